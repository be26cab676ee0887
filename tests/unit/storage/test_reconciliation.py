"""What sales and orders are told to lack of each other, and what is no fault."""

from __future__ import annotations

import unittest

from storage.history import Position
from storage.reconciliation import Numbered, Reconciliation, reconcile


def cancelled(**copies: int) -> str:
    """Return what is cancelled of books, as a row has it."""
    lines = [f'{{"book": {name[1:]}, "quantity": {many}}}' for name, many in copies.items()]
    return f"[{', '.join(lines)}]"


def compared(
    said: str | None, shown: str | None, *, at: int = 6, changed: int = 9, adopted: bool = True
) -> Reconciliation:
    """Compare a sale and its order, of which this is said and shown as cancelled, `at` one entry
    and the `changed` number; the orders have adopted what came behind 3, when they were at 9."""
    return reconcile(
        Position(8, "e"),
        [Numbered("o3", 3, at if said else None, said)],
        [Numbered("o3", 3, changed if shown else None, shown)],
        follows=True,
        adopted=[range(4, 10)] if adopted else [],
    )


class CancelledTest(unittest.TestCase):
    def test_the_same_is_no_fault(self) -> None:
        for said, shown in (
            (None, None),
            (cancelled(b1=1), cancelled(b1=1)),
            (cancelled(b1=1, b2=2), cancelled(b2=2, b1=1)),
        ):
            with self.subTest(said):
                found = compared(said, shown, adopted=False)
                self.assertEqual((found.waiting, found.adopted.count), (0, 0))
                self.assertEqual([*found.faults], [])

    def test_s5_what_an_order_shows_beyond_its_sale_was_adopted(self) -> None:
        more = cancelled(b1=3)
        for said, shown, changed in (
            (None, more, 9),
            (cancelled(b1=1), more, 9),
            (cancelled(b1=1, b2=1), cancelled(b1=3, b2=1), 20),  # it has changed since
        ):
            with self.subTest(said, changed=changed):
                found = compared(said, shown, changed=changed)
                self.assertEqual([*found.faults], [])
                self.assertEqual(found.adopted.first, ["o3"])
                for adopted, lost in ((False, changed), (True, 3)):
                    found = compared(said, shown, changed=lost, adopted=adopted)
                    self.assertEqual(found.differing.first, ["o3"])

    def test_less_than_its_sale_was_never_adopted(self) -> None:
        for said in (cancelled(b1=4), cancelled(b1=3, b2=1)):
            found = compared(said, cancelled(b1=3))
            self.assertEqual(found.differing.first, ["o3"])
            self.assertEqual(len([*found.faults]), 1)

    def test_s2_what_comes_behind_the_cursor_is_waited_for(self) -> None:
        found = compared(cancelled(b1=1), None, at=9, adopted=False)
        self.assertEqual([*found.faults], [])
        self.assertEqual(found.waiting, 1)
