"""What a disk may hold after a power cut.

A `Disk` is fed with what happened; at any moment it says what is durable for sure and what may or
may not be there. What was synced is. Of each sector, any prefix of what was written to it since:
writes to one sector reach the disk in their order, those to two in any. Of the sizes that a file
had since, any. Names follow one of two models:

- `Names.JOURNAL`, as ext4 has it: changes to directories are durable in their order, and whatever
  syncs one of them, or a file that has changed its size or its name, syncs all before it;
- `Names.POSIX`, what the standard promises: a name is durable once its directory was synced, and
  until then each change may be there without those before it.

(After ALICE: Pillai et al., 2014.)
"""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.cluster.power.content import File, apply, held, size_after
from tests.cluster.power.recording import Event, Kind

DATA = "data/"
REBUILT = "-shm"  # SQLite maps it, which no call shows, and makes it anew
# The share of states with only what is durable for sure, and with everything.
CERTAIN, ALL_OF_IT = 0.15, 0.25

State = Mapping[str, bytes]
"""The files that exist, by their path below the root."""


class Names(Enum):
    JOURNAL = "journal"
    POSIX = "posix"


class Sync(Enum):
    """The syncs that can be taken away, by what they make durable."""

    DATABASES = "databases"
    MEMBERS = "members"
    TOKEN = "token"
    REACHED = "reached"
    DIRECTORY = "directory"
    PARENT = "parent"

    @classmethod
    def of(cls, path: str) -> Sync | None:
        """Return the kind of a sync of this file (by its first path) or directory."""
        if path in (".", "data"):
            return cls.PARENT if path == "." else cls.DIRECTORY
        name = path.rpartition("/")[2]
        if name.endswith("-reached"):
            return cls.REACHED
        if ".members" in name:
            return cls.MEMBERS
        if name.startswith("token"):
            return cls.TOKEN
        return cls.DATABASES if ".db" in name else None


@dataclass(frozen=True, slots=True, eq=False)
class Naming:
    """One change to the names: `gone` ends, `name` becomes `file`'s (None: a directory's)."""

    ended: int
    gone: str = ""
    name: str = ""
    file: File | None = None

    @property
    def directory(self) -> str:
        return (self.name or self.gone).rpartition("/")[0] or "."

    def apply(self, names: dict[str, File | None]) -> None:
        if self.gone:
            names.pop(self.gone, None)
        if self.name:
            names[self.name] = self.file


@dataclass(frozen=True, slots=True)
class Lying:
    """A file, or (without content) a directory, as it is on disk."""

    name: str
    inode: int
    content: bytes | None


def look(root: Path, *names: str) -> list[Lying]:
    """Return what is below `root`: these names, or all."""
    paths = [root / name for name in names] or [root, *sorted(root.rglob("*"))]
    return [
        Lying(
            os.path.relpath(path, root),
            path.stat().st_ino,
            None if path.is_dir() else path.read_bytes(),
        )
        for path in paths
    ]


class Unfaithful(AssertionError):
    """The recording is not what happened: nothing that is built from it proves anything."""


class Disk:
    """The files below a root; `without` is the sync that is taken away."""

    def __init__(self, without: Sync | None = None) -> None:
        self.names: dict[str, File | None] = {}
        self._without = without
        self._namings: list[Naming] = []
        self._in_journal = 0  # how many changes of names the journal holds
        self._synced: set[Naming] = set()  # by a sync of their directory
        self._inodes: dict[int, File | str] = {}  # what is open; a directory is given by its path

    def adopt(self, lying: Sequence[Lying], at: int = 0) -> None:
        """Assume that all this has been durable since `at`."""
        for one in lying:
            file = None
            if one.content is not None:
                file = File(
                    one.name, bytearray(one.content), size=len(one.content), in_journal=True
                )
            made = Naming(at, name=one.name, file=file)
            self._name(made)
            self._synced.add(made)
            self._inodes[one.inode] = one.name if file is None else file
        self._in_journal = len(self._namings)

    # --- what happened ---------------------------------------------------------------------------

    def feed(self, event: Event) -> None:
        """Apply an event. Raises Unfaithful if it can't have happened now."""
        if event.kind == Kind.OPEN:
            self._open(event)
        elif event.kind in (Kind.WRITE, Kind.TRUNCATE):
            file = self._inodes.get(event.inode)
            if not isinstance(file, File):
                raise Unfaithful(f"a change to a file that was not opened: {event}")
            self._change(file, event)
        elif event.kind == Kind.SYNC:
            self._sync(event)
        elif event.kind == Kind.MKDIR:
            self._name(Naming(event.ended, name=event.path))
        else:
            self._rename(event)

    def _open(self, event: Event) -> None:
        held = self.names.get(event.path)
        if held is None and event.path in self.names:
            self._inodes[event.inode] = event.path  # a directory
            return
        # Inodes distinguish files when two processes change names at the same time. The inode of a
        # file without a name may belong to another file by now.
        known = self._inodes.get(event.inode)
        if not isinstance(known, File) or known not in self.names.values():
            known = held
        if known is None:
            if not event.flags & os.O_CREAT:
                raise Unfaithful(f"opened, but never made: {event.path}")
            known = File(event.path)
            self._name(Naming(event.ended, name=event.path, file=known))
        elif event.flags & os.O_TRUNC and known.size:
            self._change(known, Event(Kind.TRUNCATE, event.began, event.ended))
        self._inodes[event.inode] = known

    def _change(self, file: File, event: Event) -> None:
        size = size_after(file.size, event)
        file.in_journal &= size == file.size
        file.size = size
        file.pending.append(event)

    def _rename(self, event: Event) -> None:
        file = self.names.get(event.path)
        if file is None:
            raise Unfaithful(f"{event.kind.name} of what is not there: {event.path}")
        file.in_journal = False
        gone = "" if event.kind == Kind.LINK else event.path
        self._name(Naming(event.ended, gone, event.other, file if event.other else None))

    def _name(self, naming: Naming) -> None:
        self._namings.append(naming)
        naming.apply(self.names)

    def _sync(self, event: Event) -> None:
        """Make durable everything that had ended when the sync began."""
        what = self._inodes.get(event.inode)
        if what is None:
            raise Unfaithful(f"a sync of what was not opened: {event}")
        kind = Sync.of(what.path if isinstance(what, File) else what)
        if kind is not None and kind == self._without:
            return
        before = bisect_right(self._namings, event.began, key=lambda naming: naming.ended)
        if isinstance(what, File):
            done = bisect_right(what.pending, event.began, key=lambda change: change.ended)
            apply(what.durable, what.pending[:done])
            del what.pending[:done]
            if what.in_journal:
                return
            what.in_journal = not what.pending
        else:
            self._synced.update(one for one in self._namings[:before] if one.directory == what)
        self._in_journal = max(self._in_journal, before)

    def check(self, root: Path, prefix: str = DATA) -> None:
        """Raise Unfaithful unless all events together lead to the files that are there."""
        there = {os.path.relpath(path, root): path for path in root.glob(f"{prefix}*")}
        for name in sorted(there.keys() | self.names.keys()):
            if not name.startswith(prefix) or name.endswith(REBUILT):
                continue
            file, path = self.names.get(name), there.get(name)
            if file is None or path is None:
                raise Unfaithful(f"{name}: {'is not recorded' if path else 'is not there'}")
            if path.read_bytes() != file.content():
                raise Unfaithful(f"{name}: holds something else")

    # --- what may be there after a cut -----------------------------------------------------------

    def state(self, rng: random.Random, model: Names) -> State:
        """Return one of the states in which the disk may be if the power fails now."""
        luck = rng.random()
        names = self._names_left(rng, model, luck)
        left: dict[File, bytes] = {}
        for file in names.values():
            if file is None or file in left:
                continue
            if luck < CERTAIN:
                left[file] = bytes(file.durable)
            else:
                left[file] = file.content() if luck < ALL_OF_IT else held(file, rng)
        return {
            name: left[file]
            for name, file in names.items()
            if file is not None and "data" in names
            if name.startswith(DATA) and not name.endswith(REBUILT)
        }

    def _names_left(
        self, rng: random.Random, model: Names, luck: float
    ) -> Mapping[str, File | None]:
        names: dict[str, File | None] = {}
        many = len(self._namings)
        if model == Names.JOURNAL:
            some = rng.randint(self._in_journal, many)
            kept = self._in_journal if luck < CERTAIN else many if luck < ALL_OF_IT else some
            survivors = self._namings[:kept]
        else:
            often = 0.0 if luck < CERTAIN else 1.0 if luck < ALL_OF_IT else rng.choice((0, 0.5, 1))
            survivors = [
                one for one in self._namings if one in self._synced or rng.random() < often
            ]
        for naming in survivors:
            naming.apply(names)
        return names
