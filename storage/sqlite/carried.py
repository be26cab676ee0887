"""One group's file, as it is read for a copy: whole, of this program's version, and with the rows
that were written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bazar.config import Config, NodeConfig
from bazar.errors import Conflict, FatalError
from bazar.replication.messages import Membership
from storage.history import EPOCH_SHIFT
from storage.images import Image
from storage.moving import Standing
from storage.sqlite.errors import readable
from storage.sqlite.integrity import holds_what_was_written, refuse_foreign_wal
from storage.sqlite.model import Model
from storage.sqlite.replica_file import ReplicaFile
from storage.sqlite.wal import refuse_copy

CHUNK_ROWS = 1000


def open_file(config: Config, node: NodeConfig, model: Model) -> ReplicaFile:
    """Open a node's file. Raises ConfigError where it is not what its node has left, Damaged
    where it can't be read, NotFound."""
    path = config.data_dir / f"{node.name}.db"
    file = ReplicaFile(node.name, path)
    try:
        refuse_copy(path)
        refuse_foreign_wal(path)
        with readable(path):
            if (why := file.other_version(model)) is not None:
                raise Conflict(f"{path}: {why}")
            file.look()
    except BaseException:
        file.close()
        raise
    return file


def standing_of(file: ReplicaFile, membership: Membership, model: Model) -> Standing:
    """Return how far the group has come, by this file."""
    with readable(file.path):
        epochs = [membership.epoch, file.tail()[0] or 0, file.begun() or 0]
        epochs.append(file.highest_number(model.tables) >> EPOCH_SHIFT)
    return Standing(max(epochs), file.committed.seq)


def check_rows(file: ReplicaFile, model: Model) -> None:
    """Raise FatalError unless the rows are those that were written."""
    with readable(file.path):
        whole = holds_what_was_written(file, model.tables)
    if not whole:
        raise FatalError(
            f"{file.path}: its rows are not those that were written: see python -m bazar verify"
        )


async def rows_of(file: ReplicaFile, model: Model, table: str) -> AsyncIterator[Sequence[Image]]:
    """Yield all rows of a table, in chunks, in the order of its key."""
    cursor = file.connection.execute(f"SELECT * FROM {table} ORDER BY {model.tables[table]}")
    while rows := cursor.fetchmany(CHUNK_ROWS):
        yield [dict(row) for row in rows]
