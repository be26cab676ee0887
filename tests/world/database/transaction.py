"""A transaction at one server: what it sees, holds and has written."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from storage.postgresql.session import Refused
from tests.world.database.locks import KEY_SHARE
from tests.world.database.versions import Key, Row, View

if TYPE_CHECKING:
    from tests.world.database.backend import Backend

Steps = Generator[None, None, None]
"""What goes on when its backend is woken, and then looks whether there still is a reason to
wait."""


class Transaction:
    """One transaction. Its statements run in steps of its backend."""

    def __init__(self, backend: Backend, *, repeatable: bool = False, read_only: bool = False):
        self.backend = backend
        self.server = backend.server
        self.repeatable = repeatable
        self.read_only = read_only or self.server.in_recovery  # for all of its life
        self.changes: dict[Key, Row | None] = {}
        self.locked: dict[Key, None] = {}
        self.settings: dict[str, str] = {}
        self.local: dict[str, str] = {}
        self._moment: int | None = None

    # --- reading ---------------------------------------------------------------------------------

    def view(self) -> View:
        """Return what a statement sees that begins now."""
        versions = self.server.versions
        if self._moment is None or not self.repeatable:
            self._moment = versions.held[self] = versions.moment
        return View(versions, self._moment, self.changes)

    def newest(self, key: Key) -> Row | None:
        """Return the newest version of a row that is its own or committed."""
        if key in self.changes:
            return self.changes[key]
        return self.server.versions.newest(key)

    # --- writing ---------------------------------------------------------------------------------

    def may_write(self, what: str) -> None:
        if self.read_only:
            raise Refused("25006", f"cannot execute {what} in a read-only transaction")

    def write(self, key: Key, row: Row | None) -> None:
        self.changes[key] = row

    def lock(self, key: Key, strength: int) -> Generator[None, None, bool]:
        """Take a row's lock; return whether that took a wait."""
        server = self.server
        if server.locks.take(self, key, strength):
            return False
        waiter = server.locks.enqueue(self, key, strength)
        check_at: float | None = server.world.now + server.pace.deadlock_s
        self.backend.wake_in(server.pace.deadlock_s)
        self.backend.waits_for = ("Lock", "transactionid")
        try:
            while not (server.locks.is_first(waiter) and server.locks.take(self, key, strength)):
                if check_at is not None and server.world.now >= check_at:
                    check_at = None  # whoever closes a circle later finds it
                    if server.locks.is_deadlocked(waiter):
                        raise Refused("40P01", "deadlock detected")
                yield
        finally:
            self.backend.waits_for = None
            server.locks.leave(waiter)
        return True

    def lock_row(
        self, view: View, key: Key, row: Row, strength: int, still: Callable[[Row], bool]
    ) -> Generator[None, None, Row | None]:
        """Lock a row that was seen; return its newest version, or None where that is not wanted."""
        if strength == KEY_SHARE:  # what becomes of other columns is no concern of it
            yield from self.lock(key, strength)
            return row if self.newest(key) is not None else self._unchanged(key, row)
        self._unchanged(key, row)
        yield from self.lock(key, strength)
        newest = self._unchanged(key, row)
        if newest is row:
            return row
        return newest if newest is not None and still(newest) else None

    def _unchanged(self, key: Key, seen: Row | None) -> Row | None:
        """Return the newest version of a row. Raises Refused if it may only be the one seen."""
        newest = self.newest(key)
        if newest is not seen and self.repeatable:
            raise Refused("40001", "could not serialize access due to concurrent update")
        return newest

    # --- its end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """Give back its locks and its snapshot."""
        self.server.versions.held.pop(self, None)
        self.server.locks.release(self)
