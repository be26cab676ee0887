"""What travels on the feed, and what the log is made of: frozen dataclasses to and from JSON.

A `Mark` names one point of a log by its number and the digest of everything up to it, so that two
nodes which agree on a mark agree on the whole prefix (a hash chain: Haber & Stornetta, 1991).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from bazar.errors import OtherVersion, ProtocolError

WIRE_VERSION = 4

REPLICA = "replica"
CACHE = "cache"
FOLLOWER = "follower"  # of a group whose state is in a database


@dataclass(frozen=True, slots=True)
class Mark:
    """One point of the log: the entry `seq` and the digest of the log up to and with it."""

    seq: int
    digest: str

    def __repr__(self) -> str:
        return f"{self.seq}:{self.digest[:6]}"


GENESIS = Mark(0, "")


@dataclass(frozen=True, slots=True)
class Change:
    """What one operation does: the cache's tags that it touches and the row images it leaves.

    `effects` is a JSON value that only the store reads; it says what is so now ("book 4 is this
    row"), never what to do, so that applying it twice is applying it once.
    """

    tags: tuple[str, ...]
    effects: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A change with its place in the log. `seq` is dense from 1; `epoch` is its primary's. On the
    wire and on disk its tags are called `keys`."""

    seq: int
    epoch: int
    tags: tuple[str, ...]
    effects: Any
    digest: str

    @property
    def mark(self) -> Mark:
        return Mark(self.seq, self.digest)

    def extends(self, before: Mark) -> bool:
        """Whether this entry is the very next one after `before`, by number and by digest."""
        return self == chain(before, self.epoch, Change(self.tags, self.effects))

    def without_effects(self) -> Entry:
        """Return the entry as a cache sees it: what it touches, not what that became."""
        return Entry(self.seq, self.epoch, self.tags, None, self.digest)


def chain(before: Mark, epoch: int, change: Change) -> Entry:
    """Return the entry that puts `change` behind `before`."""
    seq = before.seq + 1
    hashed = [before.digest, seq, epoch, change.tags, change.effects]
    text = orjson.dumps(hashed, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.blake2b(text, digest_size=16).hexdigest()
    return Entry(seq, epoch, change.tags, change.effects, digest)


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A replica with its disk: a node that comes back with an empty file is another member."""

    node: str
    store: str


@dataclass(frozen=True, slots=True)
class Membership:
    """What the arbiter keeps durably: the nodes that may lead, and what a successor must know.

    `lease_s` is the longest lease that may be running; `clean` says that none is (T5). Without
    members it says that the group may begin (T0).
    """

    epoch: int
    members: frozenset[Member]
    lease_s: float
    clean: bool = False


@dataclass(frozen=True, slots=True, order=True)
class ArbiterId:
    """An arbiter (A1): `digest` tells it from all others, `place` tells people where it is."""

    digest: str
    place: str = field(compare=False)


# --- from a subscriber to the primary ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """Opens a feed (J1). `run` is this process's own random name: a lease belongs to a run.

    `epoch` and `epoch_id` are of the newest epoch that the subscriber knows. Nothing is decided by
    `last`: it is there to be seen on the wire, and nodes of this version refuse a hello without.
    """

    version: int
    kind: str
    node: str
    run: str
    store: str
    epoch: int
    committed: Mark
    last: Mark
    epoch_id: str
    arbiter: ArbiterId | None = None  # none of a cache that follows no primary yet, or of version 1


@dataclass(frozen=True, slots=True)
class Tail:
    """A member's pending entries beyond the new primary's log, offered in T2's wait."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to `mark` is durable at the replica, or dropped from the cache (R2)."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Renew:
    """Asks for a lease; `number` is never used twice in a run (L1)."""

    number: int


@dataclass(frozen=True, slots=True)
class Release:
    """Gives the lease up: this run answers no read until it has been granted another (L3)."""


# --- from the primary to a subscriber ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotPrimary:
    """This node takes no subscribers; `hint` names the node that it believes does."""

    epoch: int
    hint: str | None
    arbiter: ArbiterId


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answers a hello at a batch boundary (J1).

    A replica drops what it has beyond `tail`, unless `adopting`: then it offers it (T3).
    """

    epoch: int
    tail: Mark
    committed: Mark
    adopting: bool
    epoch_id: str
    arbiter: ArbiterId


@dataclass(frozen=True, slots=True)
class Prepare:
    """Entries to make durable (a replica) or tags to drop (a cache), to be acknowledged (R2)."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything up to `mark` is committed (R6)."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One chunk of the whole state at `mark`, for a replica that the log does not reach (J3)."""

    mark: Mark
    rows: Any
    first: bool
    final: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease of `lease_s` from the moment the `renew` of this number was sent (L1)."""

    epoch: int
    number: int
    lease_s: float


@dataclass(frozen=True, slots=True)
class Revoke:
    """The primary hands over: release the lease (T5)."""


Message = (
    Hello
    | Tail
    | Ack
    | Renew
    | Release
    | NotPrimary
    | Welcome
    | Prepare
    | Commit
    | Snapshot
    | Grant
    | Revoke
)

_TYPES: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(Hello, Tail, Ack, Renew, Release),
        *(NotPrimary, Welcome, Prepare, Commit, Snapshot, Grant, Revoke),
    )
}


def encode(message: Message) -> bytes:
    """Return a message as one JSON text."""
    kind = type(message)
    parts = {name: getattr(message, name) for name in kind.__dataclass_fields__}
    if isinstance(message, Prepare | Tail):
        parts["entries"] = [_plain(entry) for entry in message.entries]
    return orjson.dumps({"type": kind.__name__.lower(), **parts})


def decode(text: str | bytes) -> Message:
    """Return the message that `encode` wrote. Raises ProtocolError for anything else, OtherVersion
    for the hello of a node that runs another program."""
    try:
        plain = orjson.loads(text)
        kind = _TYPES[plain.pop("type")]
        if kind is Hello and plain["version"] != WIRE_VERSION:
            raise OtherVersion(
                f"{plain['node']} speaks version {plain['version']} of the feed, and this program"
                f" {WIRE_VERSION}: stop the nodes of both, and start all with the same program"
            )
        for name in ("mark", "tail", "committed", "last"):
            if name in plain:
                plain[name] = Mark(**plain[name])
        if plain.get("arbiter") is not None:
            plain["arbiter"] = ArbiterId(**plain["arbiter"])
        if "entries" in plain:
            plain["entries"] = tuple(load_entry(entry) for entry in plain["entries"])
        message: Message = kind(**plain)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise ProtocolError(f"feed: cannot read {str(text)[:80]!r}: {fault}") from fault
    return message


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "epoch": entry.epoch,
        "keys": entry.tags,
        "effects": entry.effects,
        "digest": entry.digest,
    }


def load_entry(plain: dict[str, Any]) -> Entry:
    """Return an entry from its JSON object. Raises KeyError or TypeError where it is not one."""
    parts = dict(plain)
    return Entry(tags=tuple(parts.pop("keys")), **parts)


def tail_mark(before: Mark, entries: Sequence[Entry]) -> Mark:
    """Return the last mark of a log that goes on from `before` with `entries`."""
    return entries[-1].mark if entries else before


def chained(before: Mark, epoch: int, changes: Iterable[Change]) -> tuple[Entry, ...]:
    """Return the entries that put `changes` behind `before`, in order."""
    entries: list[Entry] = []
    for change in changes:
        entries.append(chain(tail_mark(before, entries), epoch, change))
    return tuple(entries)
