"""The row locks of one server: who holds them, who waits, and who waits in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.world.database.transaction import Transaction
    from tests.world.database.versions import Key

KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE = range(4)
CONFLICTS = (
    frozenset({UPDATE}),
    frozenset({NO_KEY_UPDATE, UPDATE}),
    frozenset({SHARE, NO_KEY_UPDATE, UPDATE}),
    frozenset({KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE}),
)
"""What each strength excludes (PostgreSQL's documentation, table 13.3)."""


class Waiter:
    """A transaction's place in the queue for one row."""

    def __init__(self, owner: Transaction, key: Key, strength: int) -> None:
        self.owner, self.key, self.strength = owner, key, strength


class Locks:
    """All row locks. Whoever excludes no holder gets a lock at once, even past a queue; of those
    that wait only the first tries again when a holder ends."""

    def __init__(self, wake: Callable[[Transaction], None]) -> None:
        self._wake = wake
        self._holders: dict[Key, dict[Transaction, int]] = {}
        self._queues: dict[Key, list[Waiter]] = {}

    def take(self, owner: Transaction, key: Key, strength: int) -> bool:
        """Take a lock, unless others hold what it excludes."""
        holders = self._holders.get(key)
        if holders is None:
            holders = self._holders[key] = {}
        elif any(True for _ in self._excluding(holders, owner, strength)):
            return False
        holders[owner] = max(strength, holders.get(owner, KEY_SHARE))
        owner.locked[key] = None
        return True

    @staticmethod
    def _excluding(
        holders: dict[Transaction, int], owner: Transaction, strength: int
    ) -> Iterator[Transaction]:
        excluded = CONFLICTS[strength]
        for holder, held in holders.items():
            if held in excluded and holder is not owner:
                yield holder

    def enqueue(self, owner: Transaction, key: Key, strength: int) -> Waiter:
        waiter = Waiter(owner, key, strength)
        self._queues.setdefault(key, []).append(waiter)
        return waiter

    def is_first(self, waiter: Waiter) -> bool:
        return self._queues[waiter.key][0] is waiter

    def leave(self, waiter: Waiter) -> None:
        """Leave the queue, with the lock or without it."""
        queue = self._queues[waiter.key]
        queue.remove(waiter)
        if queue:
            self._wake(queue[0].owner)
        else:
            del self._queues[waiter.key]

    def drop(self, owner: Transaction, key: Key) -> None:
        """Give back one lock."""
        del owner.locked[key]
        holders = self._holders[key]
        del holders[owner]
        if not holders:
            del self._holders[key]
        if key in self._queues:
            self._wake(self._queues[key][0].owner)

    def release(self, owner: Transaction) -> None:
        """Give back all locks of a transaction."""
        for key in tuple(owner.locked):
            self.drop(owner, key)

    def is_changing(self, key: Key) -> bool:
        """Return whether some transaction has changed this row, and is not at its end."""
        return any(key in one.changes for one in self._holders.get(key, ()))

    def blocked(self) -> list[Waiter]:
        """Return who waits for what somebody holds, or for somebody who waits."""
        return [one for queue in self._queues.values() for one in queue if self._blocks(one)]

    def _blocks(self, waiter: Waiter) -> bool:
        return any(True for _ in self._waits_for(waiter))

    def is_deadlocked(self, waiter: Waiter) -> bool:
        """Return whether a transaction waits, in the end, for itself."""
        waits = {one.owner: one for queue in self._queues.values() for one in queue}
        seen: set[Transaction] = set()
        look = list(self._waits_for(waiter))
        while look:
            owner = look.pop()
            if owner is waiter.owner:
                return True
            if owner not in seen and owner in waits:
                look += self._waits_for(waits[owner])
            seen.add(owner)
        return False

    def _waits_for(self, waiter: Waiter) -> Iterator[Transaction]:
        holders = self._holders.get(waiter.key, {})
        yield from self._excluding(holders, waiter.owner, waiter.strength)
        for other in self._queues[waiter.key]:
            if other is waiter:
                return
            yield other.owner
