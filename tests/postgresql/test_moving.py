"""A move that is interrupted anywhere leaves one shop at the most that opens, and is repeated."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from bazar.cluster_file import parse
from bazar.config import Config
from bazar.errors import BazarError, ConfigError, FatalError, Unavailable
from bazar.node.data_directory import prepare_data_dir
from bazar.replication.file_arbiter import FileArbiter, lock_exclusively
from bazar.replication.messages import Mark
from bazar.replication.shared.database import Beat
from handlers import ROLES
from storage.engines import TABLES, Place, place_of
from storage.images import Image
from storage.moving import GONE, Note, Rows, Standing, compare, move
from storage.postgresql import moving
from storage.postgresql.driver import servers_of
from storage.postgresql.engine import id_of_cluster
from storage.postgresql.link import Link
from storage.postgresql.register import PostgreSQLRegister
from storage.postgresql.schema import migrate
from storage.postgresql.session import Statement
from storage.postgresql.shop import models_of
from storage.sqlite.notes import refuse_moved
from tests.invented import EPOCH, NUMBER, ROWS, Invented
from tests.patience import until
from tests.postgresql.servers import Server

TOKEN = "the-token-of-this-shop"
NODES = {
    "catalog-1": {"role": "catalog", "port": 1},
    "catalog-2": {"role": "catalog", "port": 2},
    "order-1": {"role": "order", "port": 3},
}


class Interrupted(Exception):
    """The command was killed here."""


class Killed:
    """A place that is killed in one of its calls: before it has done it, or behind."""

    def __init__(self, place: Place, call: int) -> None:
        self._place = place
        self.left = call
        self.name = place.name

    @property
    def notes(self) -> Mapping[str, Note | None]:
        return self._place.notes

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._count()
        yield
        self._count()

    async def hold(self) -> None:
        await self._place.hold()

    async def close(self) -> None:
        await self._place.close()

    async def standing(self, role: str) -> Standing:
        return await self._place.standing(role)

    def rows(self, role: str, table: str) -> Rows:
        return self._place.rows(role, table)

    async def leave(self, note: Note | None) -> None:
        with self._counted():
            await self._place.leave(note)

    async def expect(self, roles: Collection[str], note: Note) -> None:
        with self._counted():
            await self._place.expect(roles, note)

    async def put(self, role: str, table: str, rows: Sequence[Image]) -> None:
        with self._counted() if table in ("books", "history") else contextlib.nullcontext():
            await self._place.put(role, table, rows)

    async def settle(self, role: str, standing: Standing) -> None:
        with self._counted():
            await self._place.settle(role, standing)

    async def finish(self, standings: Mapping[str, Standing], note: Note) -> None:
        """Each group by itself: there may be a database for each."""
        with self._counted():
            for role, standing in standings.items():
                if self._place.name.startswith("PostgreSQL"):
                    await self._place.finish({role: standing}, note)
                    self._count()
            if not self._place.name.startswith("PostgreSQL"):
                await self._place.finish(standings, note)


@pytest.fixture
def over_files(tmp_path: Path) -> Config:
    return made(tmp_path / "files", {})


@pytest.fixture
def over_databases(
    tmp_path: Path, postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> Config:
    monkeypatch.setattr(moving, "LOOK_S", 0.01)  # as soon as the short lease is over
    return made(tmp_path / "databases", {"engine": engine_of(postgresql_database)})


def engine_of(conninfo: str) -> dict[str, Any]:
    """What `cluster.json` says of a database."""
    parts = dict(conninfo_to_dict(conninfo))
    server = f"{parts.pop('host')}:{parts.pop('port')}"
    dsn = " ".join(f"{name}={value}" for name, value in parts.items())
    tempo = {"primary_lease_s": 0.05, "pause_s": 0}
    return {"kind": "postgresql", "servers": [server], "dsn": dsn, **tempo}


@pytest.fixture
def over_others(tmp_path: Path, postgresql_server: Server) -> Iterator[Config]:
    """A shop over a database of its own for each role."""
    names = {role: f"{role}_{secrets.token_hex(6)}" for role in TABLES}
    password = postgresql_server.place.password
    for name in names.values():
        postgresql_server.ask(f"CREATE DATABASE {name}")
    engine = {
        "kind": "postgresql",
        "servers": [postgresql_server.address],
        "dsn": {
            role: f"user=postgres dbname={name} password={password}" for role, name in names.items()
        },
    }
    yield made(tmp_path / "others", {"engine": engine})
    for name in names.values():
        postgresql_server.ask(f"DROP DATABASE {name} WITH (FORCE)")


def made(directory: Path, settings: dict[str, Any]) -> Config:
    directory.mkdir()
    config = parse({"nodes": NODES, **settings}, directory, ROLES)
    prepare_data_dir(config)
    return config


@contextlib.asynccontextmanager
async def held(config: Config) -> AsyncIterator[Place]:
    place = place_of(config, TOKEN)
    try:
        await place.hold()
        yield place
    finally:
        await place.close()


async def carry(source: Any, target: Any, name: str = "move-1") -> list[str]:
    """Move between two places that are held; return what is said."""
    said: list[str] = []
    await move(source=source, target=target, tables=TABLES, new_id=name, say=said.append)
    return said


async def fill(config: Config) -> None:
    async with held(config) as place:
        await carry(Invented(), place, "first")


async def opens(config: Config) -> bool:
    """Whether nodes would open a shop here."""
    found = []
    try:
        if config.engine.kind == "sqlite":
            refuse_moved(config.data_dir)
            for role in TABLES:
                membership = FileArbiter(config.data_dir, role).read()
                found.append(membership is not None and bool(membership.members))
            return all(found)
        for role, model in models_of().items():
            link = Link(servers_of(config, role), 60.0)
            try:
                await migrate(await link.session(), model, id_of_cluster(TOKEN))
                look = await PostgreSQLRegister(link, model.schema, "nobody").look()
                found.append(look.beat.epoch > 0)
            finally:
                await link.close()
        return all(found)
    except ConfigError:
        return False


async def is_whole(config: Config) -> None:
    """Check that the shop that was filled is there, in every row."""
    async with held(config) as place:
        for role, tables in TABLES.items():
            standing = await place.standing(role)
            assert (standing.epoch, standing.number) == (EPOCH, NUMBER)
            for table, key in tables.items():
                rows = ROWS[role][table]
                assert await compare(Invented(), place, role, table, key) == len(rows)


async def interrupted_everywhere(one: Config, other: Config) -> None:
    """Move from `one` to `other`, killed in each of its calls in turn, and go on each time."""
    kills = 0
    for side in range(2):
        call = 0
        while True:
            call += 1
            async with held(one) as source, held(other) as target:
                killed = Killed((source, target)[side], call)
                with contextlib.suppress(Interrupted):
                    await (carry(source, killed) if side else carry(killed, target))
            assert await opens(one) + await opens(other) <= 1, (side, call)
            if killed.left > 0:
                break  # the move has come to its end
            kills += 1
            async with held(one) as source, held(other) as target:
                await carry(source, target, f"again-{call}")
            assert (await opens(one), await opens(other)) == (False, True), (side, call)
            await is_whole(other)
            await back_again(one, other)
        await back_again(one, other)
    assert kills > 12


async def back_again(one: Config, other: Config) -> None:
    """Let the shop in `one` go on as it was left, and delete that in `other`."""
    async with held(one) as place:
        await place.leave(None)
    await emptied(other)


async def emptied(config: Config) -> None:
    """Delete the shop that is there."""
    if config.engine.kind == "sqlite":
        for path in config.data_dir.iterdir():
            path.unlink()
        return
    for role, model in models_of().items():
        link = Link(servers_of(config, role), 60.0)
        await link.run(Statement(f"DROP SCHEMA {model.schema} CASCADE"))
        await link.close()


async def test_to_databases(over_files: Config, over_databases: Config) -> None:
    await fill(over_files)
    assert await opens(over_files)
    await interrupted_everywhere(over_files, over_databases)


async def test_to_files(over_files: Config, over_databases: Config) -> None:
    await fill(over_databases)
    assert await opens(over_databases)
    await interrupted_everywhere(over_databases, over_files)


async def test_to_other_databases(over_databases: Config, over_others: Config) -> None:
    await fill(over_databases)
    async with held(over_databases) as source, held(over_others) as target:
        assert await carry(source, target)
    assert (await opens(over_databases), await opens(over_others)) == (False, True)
    await is_whole(over_others)


# --- what is refused -----------------------------------------------------------------------------


async def refused(source: Config, target: Config) -> str:
    """Return why a move is refused."""
    with pytest.raises(BazarError) as error:
        async with held(source) as one, held(target) as other:
            await carry(one, other)
    return str(error.value)


async def test_a_shop_on_top_of_another(over_files: Config, over_databases: Config) -> None:
    await fill(over_files)
    await fill(over_databases)
    assert "name a database without one" in await refused(over_files, over_databases)
    assert "name another data_dir" in await refused(over_databases, over_files)
    assert await opens(over_files)
    assert await opens(over_databases)


async def test_a_shop_that_is_not_there(over_files: Config, over_databases: Config) -> None:
    assert "has no catalog group" in await refused(over_files, over_databases)
    assert "has no shop in bazar_catalog" in await refused(over_databases, over_files)


async def test_a_shop_that_was_moved_elsewhere(over_files: Config, over_databases: Config) -> None:
    await fill(over_files)
    async with held(over_files) as place:
        await place.leave(Note("another-move", GONE, "another place"))
    assert "moved to another place" in await refused(over_files, over_databases)
    assert not await opens(over_databases)


async def test_nodes_over_files_that_run(over_files: Config, over_databases: Config) -> None:
    await fill(over_files)
    lock = lock_exclusively(over_files.data_dir / "catalog-2.pid")
    assert "catalog-2 runs already" in await refused(over_files, over_databases)
    os.close(lock)
    group = FileArbiter(over_files.data_dir, "order")
    assert group.try_acquire()
    assert "the order group has a primary" in await refused(over_files, over_databases)
    group.release()


async def test_a_shop_that_did_not_end_in_order(over_files: Config, over_databases: Config) -> None:
    await fill(over_files)
    arbiter = FileArbiter(over_files.data_dir, "order")
    assert arbiter.try_acquire()
    recorded = arbiter.read()
    assert recorded is not None
    await arbiter.record(dataclasses.replace(recorded, clean=False))
    arbiter.release()
    assert "the order group has not ended in order" in await refused(over_files, over_databases)


async def test_tables_of_an_older_version(over_files: Config, over_databases: Config) -> None:
    """Only the nodes bring them up to date, one of which leads."""
    await fill(over_databases)
    link = Link(servers_of(over_databases, "order"), 60.0)
    older = "UPDATE bazar_order.meta SET value = '0' WHERE name = 'version'"
    [changed] = (await link.run(Statement(older))).results
    assert changed.tag == "UPDATE 1"
    await link.close()
    assert "start the shop with this program first" in await refused(over_databases, over_files)


async def test_rows_that_are_not_what_was_written(
    over_files: Config, over_databases: Config
) -> None:
    await fill(over_files)
    with contextlib.closing(sqlite3.connect(over_files.data_dir / "order-1.db")) as connection:
        connection.execute("UPDATE orders SET sold_at = sold_at + 1 WHERE order_id = 'a'")
        connection.commit()
    assert "its rows are not those that were written" in await refused(over_files, over_databases)


async def take_over(
    register: PostgreSQLRegister, seen: Beat, epoch: int, epoch_id: str, over_ms: int = 0
) -> Mark | None:
    new = Beat(epoch, epoch_id, f"{epoch_id}:0", False, epoch_id.rpartition("-")[0], over_ms)
    return await register.take_over(seen, new, lambda: None)


async def test_nodes_over_a_database_that_run(over_files: Config, over_databases: Config) -> None:
    await fill(over_databases)
    link = Link(servers_of(over_databases, "order"), 60.0)
    register = PostgreSQLRegister(link, "bazar_order", "order-9")
    seen = (await register.look()).beat
    # Its next beat is waited for patiently; that of the catalog, which has ended, is not.
    mark = await take_over(register, seen, EPOCH + 1, "order-9-1", over_ms=30_000)
    assert mark == Mark(NUMBER, "order-9-1")

    async def beat() -> None:
        for number in itertools.count():
            await register.beat("order-9-1", f"order-9-1:{number}", 0, 60.0)

    beating = asyncio.create_task(beat())
    try:
        assert "the shop runs, and order-9 leads" in await refused(over_databases, over_files)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await link.run(Statement("UPDATE bazar_order.beat SET over_ms = 0"))
        await link.close()
    # It has ended without a word: after a lease that does not count any more.
    async with held(over_databases) as place:
        assert (await place.standing("order")).epoch == EPOCH + 1


async def test_a_candidate_that_waits_while_the_shop_arrives(
    over_databases: Config, postgresql_server: Server
) -> None:
    """It began to wait for the beat's lock before the shop was there."""
    link = Link(servers_of(over_databases, "catalog"), 60.0)
    await migrate(await link.session(), models_of()["catalog"], id_of_cluster(TOKEN))
    register = PostgreSQLRegister(link, "bazar_catalog", "catalog-9")
    seen = (await register.look()).beat
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    try:
        async with held(over_databases) as place:
            taking = asyncio.create_task(take_over(register, seen, 1, "catalog-9-1"))
            what = "%UPDATE bazar_catalog.beat%"
            await until(lambda: taking.done() or postgresql_server.ask(waits, what), "it waits")
            await carry(Invented(), place)
            with contextlib.suppress(Unavailable):  # it waited for too long
                assert await taking is None
        now = await register.look()
        assert (now.beat.epoch, now.beat.released) == (EPOCH, True)
        assert await take_over(register, now.beat, EPOCH + 1, "e") == Mark(NUMBER, "e")
    finally:
        await link.close()


class WithNUL(Invented):
    async def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        yield [
            dict(row, **({"title": "a\0b"} if row.get("id") == 2 else {}))
            for row in ROWS[role][table]
        ]


async def test_a_text_that_postgresql_cannot_keep(over_databases: Config) -> None:
    async with held(over_databases) as place:
        with pytest.raises(FatalError, match="books 2: has a NUL character"):
            await carry(WithNUL(), place)
    assert not await opens(over_databases)
    await fill(over_databases)  # as if nothing had been
    await is_whole(over_databases)


async def test_a_row_that_is_not_the_same(over_files: Config) -> None:
    await fill(over_files)
    async with held(over_files) as place:
        await place.standing("order")
        await place.standing("catalog")
        with pytest.raises(FatalError, match=r"books 2 is .*Émile.*, and was .*a.x00b"):
            await compare(WithNUL(), place, "catalog", "books", "id")
