"""A whole shop in SQLite files, as a move reads or writes it (`storage/moving.py`).

All locks are held meanwhile: the supervisor's, each node's and each group's. What is read is the
file of a member that has everything: the shop must have ended in order, so that nothing is pending.
What is written is the file of each group's first node, as if it had been filled by a snapshot (J3),
and a membership of it alone: the others fill themselves when they start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass

from bazar.config import Config, NodeConfig
from bazar.errors import Busy, Conflict, NotFound
from bazar.replication.file_arbiter import FileArbiter, lock_exclusively
from bazar.replication.messages import GENESIS, Mark, Member, Membership, Snapshot
from storage.images import Image
from storage.moving import ARRIVING, Note, Standing, refuse_filled
from storage.sqlite import notes
from storage.sqlite.carried import check_rows, open_file, rows_of, standing_of
from storage.sqlite.errors import readable
from storage.sqlite.files import beside
from storage.sqlite.founding import histories
from storage.sqlite.model import Model
from storage.sqlite.replica_file import ReplicaFile
from storage.sqlite.replicated_store import ReplicatedStore


@dataclass(slots=True)
class _Arriving:
    """A group's file while it is filled."""

    node: NodeConfig
    store: ReplicatedStore
    mark: Mark
    begun: bool = False


class SQLitePlace:
    """A `Source` and a `Target`: the data directory of one machine."""

    def __init__(self, config: Config, models: Mapping[str, Model]) -> None:
        """`models` by role."""
        self._config = config
        self._models = models
        self._data_dir = config.data_dir
        self._arbiters = {role: FileArbiter(config.data_dir, role) for role in models}
        self._stack = contextlib.ExitStack()
        self._files: dict[str, ReplicaFile] = {}
        self._arriving: dict[str, _Arriving] = {}
        self._note: Note | None = None
        self.name = str(config.data_dir.resolve())

    @property
    def notes(self) -> Mapping[str, Note | None]:
        return dict.fromkeys(self._models, self._note)

    async def hold(self) -> None:
        if not self._data_dir.is_dir():
            raise NotFound(f"{self._data_dir}: there is no shop here")
        nodes = [node.name for role in self._models for node in self._config.group(role)]
        for name in ("supervisor", *nodes):
            try:
                lock = lock_exclusively(self._data_dir / f"{name}.pid")
            except Busy as error:
                raise Conflict(f"{error}: stop the shop first") from error
            self._stack.callback(os.close, lock)
        for role, arbiter in self._arbiters.items():
            if not arbiter.try_acquire():
                raise Conflict(f"the {role} group has a primary: stop the shop first")
            self._stack.callback(arbiter.release)
        self._note = notes.read(self._data_dir)

    async def leave(self, note: Note | None) -> None:
        notes.write(self._data_dir, note)

    async def close(self) -> None:
        for file in self._files.values():
            file.close()  # first: a store that closes waits until nobody reads its WAL
        for arriving in self._arriving.values():
            await arriving.store.close()
        self._stack.close()

    # --- the place that a shop leaves ------------------------------------------------------------

    async def standing(self, role: str) -> Standing:
        file, membership = self._whole(role)
        check_rows(file, self._models[role])
        return standing_of(file, membership, self._models[role])

    def _whole(self, role: str) -> tuple[ReplicaFile, Membership]:
        """Return the file of a member that has all that was ever acknowledged. Raises Conflict
        where that can't be told."""
        membership = self._arbiters[role].read()
        if membership is None or not membership.members:
            raise NotFound(f"{self._data_dir}: has no {role} group that has begun")
        if not membership.clean:
            raise Conflict(
                f"{self._data_dir}: the {role} group has not ended in order, so that its last"
                " entries may be in one file alone: start the shop, and stop it, first"
            )
        found = [
            self._file(role, node)
            for node in self._config.group(role)
            if (self._data_dir / f"{node.name}.db").exists()
        ]
        members = [one for one in found if Member(one.node, one.store) in membership.members]
        if not members:
            raise Conflict(f"{self._data_dir}: no member of the {role} group has its file here")
        best = max(members, key=lambda file: file.committed.seq)
        for file in members:
            with readable(file.path):
                last = file.tail()[1]
            if last.seq > best.committed.seq:
                raise Conflict(
                    f"{file.path}: has entries that are not committed anywhere: start the shop, and"
                    " stop it, first"
                )
        if best.committed == GENESIS:
            raise NotFound(f"{self._data_dir}: the {role} group holds nothing")
        self._files[role] = best
        return best, membership

    def _file(self, role: str, node: NodeConfig) -> ReplicaFile:
        file = open_file(self._config, node, self._models[role])
        self._stack.callback(file.close)
        return file

    def rows(self, role: str, table: str) -> AsyncIterator[Sequence[Image]]:
        return rows_of(self._files[role], self._models[role], table)

    # --- the place that it comes to --------------------------------------------------------------

    async def expect(self, roles: Collection[str], note: Note) -> None:
        nodes = {role: self._config.group(role)[0] for role in self._models}
        if self._note is None or self._note.state != ARRIVING:
            for role in self._models:
                self._refuse_filled(role)
        # In place of an older copy's, too, which was broken off: what comes now is another one.
        notes.write(self._data_dir, note)
        for role, node in nodes.items():
            path = self._data_dir / f"{node.name}.db"
            for suffix in ("-wal", "-shm", "-reached", ""):
                beside(path, suffix).unlink(missing_ok=True)
            (self._data_dir / f"{role}.members").unlink(missing_ok=True)
            settings = self._config.replication
            # Nothing is derived yet: the words of all books are indexed once they are there.
            store = await ReplicatedStore.open(path, self._models[role], settings.log_entries, 0)
            # A log of its own begins here, behind what came: no other has this digest.
            digest = hashlib.blake2b(f"{role} {note.id}".encode(), digest_size=16).hexdigest()
            self._arriving[role] = _Arriving(node, store, Mark(0, digest))

    def _refuse_filled(self, role: str) -> None:
        membership = self._arbiters[role].read()
        found = [path.name for path in histories(self._config, role)]
        if membership is not None and membership.members:
            found.append(f"{role}.members")
        # Nodes of another name: theirs is another shop.
        names = {node.name for role in self._models for node in self._config.group(role)}
        found += [path.name for path in self._data_dir.glob("*.db") if path.stem not in names]
        if not found:
            return
        what = f"has a {role} group already ({', '.join(sorted(found))})"
        then = "name another data_dir, or move all databases, *.members and moved.json away"
        refuse_filled(str(self._data_dir), what, self._note, then)

    async def put(self, role: str, table: str, rows: Sequence[Image]) -> None:
        await self._install(role, {table: list(rows)}, final=False)

    async def settle(self, role: str, standing: Standing) -> None:
        arriving = self._arriving[role]
        arriving.mark = Mark(standing.number, arriving.mark.digest)
        await self._install(role, {}, final=True)
        await arriving.store.derive()
        file = ReplicaFile(arriving.node.name, arriving.store.database.path)
        self._stack.callback(file.close)
        file.look()
        self._files[role] = file

    async def _install(self, role: str, rows: dict[str, list[Image]], *, final: bool) -> None:
        arriving = self._arriving[role]
        first, arriving.begun = not arriving.begun, True
        chunk = Snapshot(arriving.mark, rows, first=first, final=final)
        await arriving.store.install(chunk)

    async def finish(self, standings: Mapping[str, Standing], note: Note) -> None:
        lease_s = self._config.replication.lease_s
        for role, standing in standings.items():
            arriving = self._arriving.pop(role)
            self._files.pop(role).close()
            await arriving.store.close()
            member = Member(arriving.node.name, arriving.store.store_id)
            arbiter = self._arbiters[role]
            arbiter.read()
            await arbiter.record(
                Membership(standing.epoch, frozenset({member}), lease_s, clean=True)
            )
        notes.write(self._data_dir, note)
