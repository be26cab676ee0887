"""A shop in SQLite files, read as of one moment while its nodes run, or while none does.

Of each group one member's file is read, best a follower's: nobody waits for it. What was
acknowledged before it was looked at is in the log of each member (R3), and read once that member
has committed it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from bazar import clock
from bazar.config import Config
from bazar.errors import BazarError, Conflict, FatalError, NotFound
from bazar.replication.file_arbiter import FileArbiter, locked_by
from bazar.replication.messages import Member, Membership
from storage.images import Image
from storage.moving import Standing
from storage.sqlite import notes
from storage.sqlite.carried import check_rows, open_file, rows_of, standing_of
from storage.sqlite.errors import readable
from storage.sqlite.model import Model
from storage.sqlite.replica_file import ReplicaFile

FOLLOWER_S = 1.0  # that a follower may need until it has committed what its log has
TAKEOVER_S = 15.0  # before which no follower knows what is committed
LOOK_S = 0.01


class SQLiteSnapshot:
    """An `Origin`."""

    def __init__(self, config: Config, models: Mapping[str, Model]) -> None:
        """`models` by role, in the order in which their groups are looked at: what is derived from
        another group's log comes before that."""
        self._config = config
        self._models = models
        self._stack = contextlib.ExitStack()
        self._files: dict[str, ReplicaFile] = {}
        self._memberships: dict[str, Membership] = {}
        self.name = str(config.data_dir.resolve())

    async def hold(self) -> None:
        notes.refuse_moved(self._config.data_dir)
        for role, model in self._models.items():
            arbiter = FileArbiter(self._config.data_dir, role)
            membership = arbiter.look()
            if membership is None or not membership.members:
                raise NotFound(
                    f"{self._config.data_dir}: has no {role} group that has begun. Its data"
                    " directory is on the machine where its nodes run: run the command there"
                )
            files = self._members(role, membership)
            self._memberships[role] = membership
            self._files[role] = await _caught_up(files, model)
            _let_go(file for file in files if file is not self._files[role])

    def _members(self, role: str, membership: Membership) -> list[ReplicaFile]:
        """Open the files of all members, the primary's last. Raises Conflict where none can be
        read."""
        found: list[ReplicaFile] = []
        trouble: list[str] = []
        for node in self._config.group(role):
            try:
                file = open_file(self._config, node, self._models[role])
            except BazarError as error:
                trouble.append(str(error))
                continue
            self._stack.callback(file.close)
            try:
                _check_log(file, membership)
            except BazarError as error:
                trouble.append(str(error))
                file.close()
            else:
                found.append(file)
        if not found:
            raise Conflict(f"no file of the {role} group can be read: {'; '.join(trouble)}")
        leads = FileArbiter(self._config.data_dir, role).lock_owner()
        pids = {file: locked_by(self._config.data_dir / f"{file.node}.pid") for file in found}
        return sorted(found, key=lambda file: leads is not None and pids[file] == leads)

    async def standing(self, role: str) -> Standing:
        return standing_of(self._files[role], self._memberships[role], self._models[role])

    def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        return rows_of(self._files[role], self._models[role], table)

    async def close(self) -> None:
        self._stack.close()


def _check_log(file: ReplicaFile, membership: Membership) -> None:
    """Raise Conflict where a file's log may lack what was acknowledged, Damaged where it can't be
    read."""
    if Member(file.node, file.store) not in membership.members:
        raise Conflict(f"{file.path}: is not in sync")
    with readable(file.path):
        last = file.tail()[1]
    if last.seq < file.reached:
        raise Conflict(f"{file.path}: has lost the end of its log")


def _let_go(files: Iterable[ReplicaFile]) -> None:
    """Close files that are not needed: while they are read their nodes can't shorten their WAL."""
    for file in files:
        file.close()


async def _caught_up(files: Sequence[ReplicaFile], model: Model) -> ReplicaFile:
    """Return the first of these files that is whole, as of a moment at which it has committed all
    that its log had at first. Raises Conflict where none has in time, FatalError where none is
    whole."""
    had = {file: file.tail()[1].seq for file in files}
    began = clock.now()
    while had:
        waited_s = clock.now() - began
        for file in list(had)[: 1 if waited_s < FOLLOWER_S else None]:
            try:
                with readable(file.path):
                    # An entry that was cut off meanwhile was never acknowledged (T3).
                    if file.look().seq < min(had[file], file.tail()[1].seq):
                        continue
                    check_rows(file, model)
                return file
            except FatalError as error:
                del had[file]
                trouble = error
        if had and waited_s > TAKEOVER_S:
            raise Conflict(
                f"{next(iter(had)).path}: has entries in its log that no primary has committed:"
                " start the shop, or see python -m bazar status"
            )
        await asyncio.sleep(LOOK_S)
    raise trouble
