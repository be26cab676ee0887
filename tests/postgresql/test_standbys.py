"""How the servers of a database stand to each other, as an operator is told."""

from __future__ import annotations

from bazar import clock
from storage.postgresql.servers import PostgreSQLServers
from storage.postgresql.standbys import ServerStanding, Standbys
from tests.patience import until
from tests.postgresql.servers import Server


async def test_a_standby_falls_behind_and_goes_away(
    postgresql_pair: tuple[Server, Server],
) -> None:
    one, two = postgresql_pair
    dsn = f"user=postgres dbname=postgres password={one.place.password}"
    standbys = Standbys(PostgreSQLServers([one.address, two.address], dsn), clock.now)
    try:
        two.ask("SELECT pg_wal_replay_pause()")
        await until(
            lambda: two.ask("SELECT pg_get_wal_replay_pause_state()") == [("paused",)], "it pauses"
        )
        one.ask("CREATE TABLE t (n int)")
        first, second = await standbys.look()
        assert str(first) == f"{one.address} takes writes; a commit waits for two"
        assert second.lag is not None and second.lag > 0
        assert str(second) == f"{two.address} is a standby, {second.lag:,} bytes behind"

        two.ask("SELECT pg_wal_replay_resume()")
        shows = "SELECT to_regclass('t') IS NOT NULL"
        await until(lambda: two.ask(shows) == [(True,)], "it has caught up")
        two.stop()
        _, gone = await standbys.look()
        assert (gone.writes, gone.lag) == (False, None)
        assert str(gone).startswith(f"{two.address} does not answer: ")

        two.start()
        one.stop()
        gone, left = await standbys.look()
        assert gone.trouble
        assert left == ServerStanding(two.address, writes=False, waits_for=left.waits_for)
        assert str(left) == f"{two.address} is a standby"
    finally:
        await standbys.close()


async def test_a_node_shows_what_it_saw_last(postgresql_server: Server) -> None:
    dsn = f"user=postgres dbname=postgres password={postgresql_server.place.password}"
    standbys = Standbys(PostgreSQLServers([postgresql_server.address], dsn), clock.now)
    try:
        assert standbys.seen() == ()
        await until(lambda: len(standbys.seen()) == 1, "it has looked")
        [one] = standbys.seen()
        assert one.plain() == {
            **{"name": postgresql_server.address, "writes": True, "lag": 0, "answers": True}
        }
    finally:
        await standbys.close()
