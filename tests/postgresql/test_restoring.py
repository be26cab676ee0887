"""A restore that is interrupted anywhere leaves no half shop that opens, and is repeated; a backup
is read from the server that takes writes, or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from bazar.config import Config
from bazar.errors import Conflict, NotFound, Unavailable
from storage.backup.reading import Backup
from storage.backup.writing import NewBackup
from storage.engines import TABLES, snapshot_of
from storage.moving import Origin, Target, compare, copy
from storage.postgresql import group_snapshot
from storage.postgresql.driver import servers_of
from storage.postgresql.link import Link
from storage.postgresql.session import Statement
from tests.invented import EPOCH, NUMBER, ROWS, Invented
from tests.postgresql.servers import Server
from tests.postgresql.test_moving import (
    TOKEN,
    Interrupted,
    Killed,
    emptied,
    engine_of,
    fill,
    held,
    is_whole,
    made,
    opens,
)
from tests.postgresql.test_moving import over_databases as over_databases
from tests.postgresql.test_moving import over_files as over_files
from tests.postgresql.test_moving import over_others as over_others


async def copied(origin: Origin, target: Target, name: str) -> None:
    await copy(origin=origin, target=target, tables=TABLES, name=name, say=lambda line: None)


async def written(path: Path, origin: Origin) -> Backup:
    """Write a backup of what is held; return it, held."""
    target = NewBackup(path, "now")
    try:
        await target.hold()
        await copied(origin, target, "backup-1")
    finally:
        await target.close()
    backup = Backup(path)
    await backup.hold()
    return backup


async def interrupted_everywhere(backup: Backup, config: Config) -> None:
    """Restore, killed in each call in turn, and repeat it each time."""
    for call in range(1, 100):
        async with held(config) as place:
            killed = Killed(place, call)
            with contextlib.suppress(Interrupted):
                await copied(backup, killed, backup.id)
        if killed.left > 0:
            assert call > 12
            return
        if not await opens(config):
            async with held(config) as place:
                await copied(backup, place, backup.id)
        assert await opens(config), call
        await is_whole(config)
        await emptied(config)
    raise AssertionError("it came to no end")


async def test_into_files(over_files: Config, tmp_path: Path) -> None:
    backup = await written(tmp_path / "shop.bazar", Invented())
    await interrupted_everywhere(backup, over_files)


async def test_into_a_database(over_databases: Config, tmp_path: Path) -> None:
    """Where one group may have arrived, and the other not."""
    backup = await written(tmp_path / "shop.bazar", Invented())
    await interrupted_everywhere(backup, over_databases)


async def test_a_place_where_it_was_restored_already(
    over_databases: Config, tmp_path: Path
) -> None:
    """It has gone on since."""
    backup = await written(tmp_path / "shop.bazar", Invented())
    async with held(over_databases) as place:
        await copied(backup, place, backup.id)
    with pytest.raises(Conflict, match="has a shop in bazar_catalog already"):
        async with held(over_databases) as place:
            await copied(backup, place, backup.id)
    assert await opens(over_databases)


async def test_what_is_written_later_is_not_in_it(over_others: Config, tmp_path: Path) -> None:
    await fill(over_others)
    origin = snapshot_of(over_others, TOKEN, list(TABLES))
    try:
        await origin.hold()
        for role in TABLES:
            link = Link(servers_of(over_others, role), 60.0)
            schema = f"bazar_{role}"
            await link.run(Statement(f"UPDATE {schema}.mark SET number = number + 1"))
            await link.run(Statement(f"DELETE FROM {schema}.history"))
            await link.close()
        backup = await written(tmp_path / "shop.bazar", origin)
    finally:
        await origin.close()
    for role, tables in TABLES.items():
        assert backup.standings[role] == (EPOCH, NUMBER)
        for table, key in tables.items():
            same = await compare(Invented(), backup, role, table, key)
            assert same == len(ROWS[role][table])


async def test_a_shop_that_has_not_begun(over_databases: Config) -> None:
    origin = snapshot_of(over_databases, TOKEN, list(TABLES))
    with pytest.raises(NotFound, match="has no shop in bazar_order"):
        await origin.hold()
    await origin.close()


async def test_a_server_that_was_deposed(
    postgresql_pair: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still answers, and does not know what was acknowledged since: it confirms nothing."""
    one, other = postgresql_pair
    config = made(tmp_path / "pair", {"engine": engine_of(one.conninfo)})
    await fill(config)
    other.promote()
    monkeypatch.setattr(group_snapshot, "CONFIRM_S", 0.5)
    origin = snapshot_of(config, TOKEN, list(TABLES))
    with pytest.raises(Unavailable, match="schema bazar_order: confirms no write"):
        await origin.hold()
    await origin.close()
