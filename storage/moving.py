"""A whole shop carried from one place to another: from one engine to another, to another database,
into a backup, or out of one.

Where a shop is moved, both are closed meanwhile, and held so that no node of theirs can start. What
is carried are all rows of all tables, the histories among them, and how far each group has come:
numbers of sales and of orders, and the orders' cursor, go on in the new place. The next epoch there
is above all that the old one knew, and has an id of its own (H1).

No half shop is ever opened, and there are never two that both go on. Each place keeps a *note*,
which nodes look at before they open anything:

1. the new place notes `arriving`: nodes refuse it;
2. all is copied, and both places are compared row by row;
3. the old place notes `gone`: nodes refuse it, too;
4. the new place is finished, and notes `arrived`: from now on it is the shop.

Whatever is interrupted is repeated from the start by the same command: before (3) the old shop is
as it was, and behind it the note's id tells which new place has it. What is only copied - an open
shop into a backup, a backup into an empty place - stays as it is: there is no step 3.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from bazar.errors import ConfigError, Conflict, FatalError
from storage.images import Image

ARRIVING, ARRIVED, GONE = "arriving", "arrived", "gone"

Rows = AsyncIterator[Sequence[Image]]


@dataclass(frozen=True, slots=True)
class Note:
    """What a place says of a move: its id, what became of the shop here, and the other place."""

    id: str
    state: str
    other: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the note in a text that `text` made. Raises ValueError."""
        match json.loads(text):
            case {"id": str(name), "state": str(state), "other": str(other)}:
                return cls(name, state, other)
        raise ValueError(f"no note of a move: {text[:100]!r}")

    @property
    def text(self) -> str:
        return json.dumps({"id": self.id, "state": self.state, "other": self.other}, indent=1)

    def check(self, place: str) -> None:
        """Return if the shop that has this note may be opened. Raises ConfigError."""
        if self.state == ARRIVING:
            raise ConfigError(
                f"{place}: a shop was on its way here, from {self.other}, and has not arrived:"
                " repeat that `python -m bazar move`, or `restore`"
            )
        if self.state == GONE:
            raise ConfigError(
                f"{place}: this shop was moved to {self.other}, and goes on there. What is sold"
                " there is not known here. To open the one that stayed behind all the same: python"
                " -m bazar move --stay"
            )


class Standing(NamedTuple):
    """How far a group has come: the highest epoch that anything in it knows of, and its last
    entry."""

    epoch: int
    number: int


class Origin(Protocol):
    """What a shop is copied from: it stays as it is, from `hold` to `close`. Raises BazarError that
    says what is wrong, and where."""

    name: str

    async def hold(self) -> None:
        """Hold what is read: it is of one moment, whatever goes on."""

    async def standing(self, role: str) -> Standing:
        """Return how far the group has come. Raises Conflict where that is not known for sure."""

    def rows(self, role: str, table: str) -> Rows:
        """Yield all rows of a table, in chunks, in the order of its key: texts by their bytes."""

    async def close(self) -> None:
        """Let go of it."""


class Place(Protocol):
    """Where a whole shop is kept. From `hold` to `close` no node can open it. Raises BazarError
    that says what is wrong, and where."""

    name: str

    @property
    def notes(self) -> Mapping[str, Note | None]:
        """Return the note of each group, once it is held."""

    async def hold(self) -> None:
        """Keep nodes out. Raises Conflict where one runs."""

    async def close(self) -> None:
        """Let nodes in again. What is not finished is undone, or stays `arriving`."""


class Source(Place, Origin, Protocol):
    """A place that a shop leaves."""

    async def leave(self, note: Note | None) -> None:
        """Note, durably, that the shop is gone; or, with None, that it stays."""


class Target(Place, Protocol):
    async def expect(self, roles: Collection[str], note: Note) -> None:
        """Note, durably, that these groups arrive. Raises Conflict unless they are empty, or what a
        move has left unfinished, which is deleted."""

    async def put(self, role: str, table: str, rows: Sequence[Image]) -> None:
        """Write rows of a table that has none of them."""

    async def settle(self, role: str, standing: Standing) -> None:
        """Write what follows from the rows: no more are to come."""

    def rows(self, role: str, table: str) -> Rows:
        """Yield what was written, as an `Origin` does."""

    async def finish(self, standings: Mapping[str, Standing], note: Note) -> None:
        """Note, durably, that these groups have arrived: they may be opened."""


async def move(
    *,
    source: Source,
    target: Target,
    tables: Mapping[str, Mapping[str, str]],
    new_id: str,
    say: Callable[[str], None],
) -> None:
    """Carry the shop from `source` to `target`, both held. `tables` names, by role, each table with
    its key. Raises BazarError; then the same call again goes on."""
    gone = next((note for note in source.notes.values() if note and note.state == GONE), None)
    name = new_id if gone is None else gone.id
    roles = list(tables)
    if gone is not None:
        roles = _left(target, tables, name)
        if not _waits(target, roles, name):
            gone.check(source.name)  # it is somewhere else
        if not roles:
            say(f"The shop was moved to {target.name} already.")
            return
    standings = await _carry(source, target, tables, roles, name, say)
    await source.leave(Note(name, GONE, target.name))
    await target.finish(standings, Note(name, ARRIVED, source.name))


async def copy(
    *,
    origin: Origin,
    target: Target,
    tables: Mapping[str, Mapping[str, str]],
    name: str,
    say: Callable[[str], None],
) -> None:
    """Carry what `origin` holds to `target`, and leave `origin` as it is. `name` is the same for
    each copy of one origin: what was interrupted between two groups goes on by it. Raises
    BazarError; then the same call again goes on."""
    roles = _left(target, tables, name)
    if not roles or not _waits(target, roles, name):
        roles = list(tables)  # the target refuses what it should not lose
    standings = await _carry(origin, target, tables, roles, name, say)
    await target.finish(standings, Note(name, ARRIVED, origin.name))


async def _carry(
    origin: Origin,
    target: Target,
    tables: Mapping[str, Mapping[str, str]],
    roles: Collection[str],
    name: str,
    say: Callable[[str], None],
) -> Mapping[str, Standing]:
    """Copy these groups, and compare every row. Return how far they have come."""
    standings = {role: await origin.standing(role) for role in tables}
    # One for all groups: the numbers of orders are of the catalog's epochs.
    epoch = max(standing.epoch for standing in standings.values())
    standings = {role: Standing(epoch, standings[role].number) for role in roles}
    await target.expect(roles, Note(name, ARRIVING, origin.name))
    for role in roles:
        for table in tables[role]:
            async for rows in origin.rows(role, table):
                await target.put(role, table, rows)
        await target.settle(role, standings[role])
    for role in roles:
        counted = [
            f"{await compare(origin, target, role, table, key)} {table}"
            for table, key in tables[role].items()
        ]
        say(f"{role}: up to entry {standings[role].number}: {', '.join(counted)}")
    return standings


def _left(target: Target, tables: Collection[str], name: str) -> list[str]:
    """Return the groups that have not arrived at `target` under this name."""
    return [role for role in tables if not _says(target.notes[role], name, ARRIVED)]


def _waits(target: Target, roles: Collection[str], name: str) -> bool:
    """Return whether `target` has begun to take these groups under this name."""
    return all(_says(target.notes[role], name, ARRIVING) for role in roles)


def _says(note: Note | None, name: str, state: str) -> bool:
    return note is not None and (note.id, note.state) == (name, state)


async def compare(origin: Origin, target: Origin | Target, role: str, table: str, key: str) -> int:
    """Return how many rows a table has, the same in both places. Raises FatalError that names the
    first one that is not."""
    ours, theirs = origin.rows(role, table), target.rows(role, table)
    some: list[Image] = []
    others: list[Image] = []
    count = 0
    while True:
        some, others = some or await _next_rows(ours), others or await _next_rows(theirs)
        size = min(len(some), len(others))
        if not size or some[:size] != others[:size]:
            break
        count += size
        del some[:size], others[:size]
    for one, other in itertools.zip_longest(some, others):
        if one != other:
            wrong = one if one is not None else other
            raise FatalError(f"{target.name}: {table} {wrong[key]!r} is {other}, and was {one}")
    return count


async def _next_rows(rows: Rows) -> list[Image]:
    """Return the next rows; none at their end."""
    async for some in rows:
        if some:
            return list(some)
    return []


def refuse_filled(place: str, found: str, note: Note | None, then: str) -> None:
    """Raise Conflict: a shop can't be moved to where another one is. `then` says how to make room
    for it."""
    was = f" (moved to {note.other})" if note is not None and note.state == GONE else ""
    raise Conflict(f"{place}: {found}{was}, and a shop can't be moved on top of another: {then}")
