"""What the protocol asks of its driver. `Primary` and `Subscriber` return these; they do no I/O.

The driver carries effects out in order. It reports back, in the same order, those that touch the
disk: `Persist`, `Install` and `Apply` by `stored`, `Record` by `recorded`, `ReadLog` by `log_read`.
`Confirm` is reported at once, by `confirmed`.
"""

from __future__ import annotations

from dataclasses import dataclass

from bazar.replication.messages import Entry, Mark, Membership, Message, Snapshot


@dataclass(frozen=True, slots=True)
class Send:
    """Put `message` on the feed, if it is still open."""

    feed: int
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """End the feed; nothing that still arrives on it is processed."""

    feed: int
    reason: str


@dataclass(frozen=True, slots=True)
class Persist:
    """In one fsynced transaction: drop the log after `after`, then append `entries`."""

    after: Mark
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """Make everything up to `mark` the committed state.

    At the primary this commits the open transaction (fsynced: the linearization point), or, after
    a takeover, applies pending entries of the log as a follower does.
    """

    mark: Mark


@dataclass(frozen=True, slots=True)
class Install:
    """One chunk of a snapshot; the state changes, atomically, with the final one."""

    chunk: Snapshot


@dataclass(frozen=True, slots=True)
class Record:
    """Write the membership through the arbiter, durably, if its epoch is still ours."""

    membership: Membership


@dataclass(frozen=True, slots=True)
class Confirm:
    """Ask the arbiter whether this node still leads, before anything behind it is carried out
    (L5). The driver reports a yes by `confirmed`; a no ends the process."""


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read a page of the log that follows `after_seq`, for one feed."""

    feed: int
    after_seq: int


@dataclass(frozen=True, slots=True)
class SendSnapshot:
    """Stream the committed state to one feed as `Snapshot` messages."""

    feed: int


@dataclass(frozen=True, slots=True)
class Drop:
    """The cache drops what has one of these tags and detaches the fills under way (C2, C5)."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """The cache starts empty (C4, J6)."""


@dataclass(frozen=True, slots=True)
class Told:
    """A follower that keeps nothing has been told that these entries are committed."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell an operator what has to be dealt with."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """This node leaves its process: with a clean hand-over, or because it must not go on."""

    reason: str
    clean: bool = False


Effect = (
    Send
    | Close
    | Persist
    | Apply
    | Install
    | Record
    | Confirm
    | ReadLog
    | SendSnapshot
    | Drop
    | Reset
    | Told
    | Alert
    | Stop
)


@dataclass(frozen=True, slots=True)
class LogPage:
    """What `ReadLog` found: the mark at `after_seq` (None if the log does not reach it), the
    entries behind it up to a bound, and whether they reach the end of what is durable."""

    base: Mark | None
    entries: tuple[Entry, ...]
    end: bool
