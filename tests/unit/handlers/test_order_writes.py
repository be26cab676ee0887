"""What other nodes send to the orders' primary, read as strictly as what comes from outside."""

from __future__ import annotations

import unittest
from typing import Any

from bazar.errors import BadRequest
from handlers import writes
from handlers.orders.writes import WRITES

SALE = {"order_id": "a" * 32, "seq": 7, "sold_at": 1, "lines": [{"book": 4, "quantity": 1}]}
CANCELLATION = {
    **{"order_id": "a" * 32, "seq": 8, "cancelled_at": 2},
    "cancelled": [{"book": 4, "quantity": 1}],
}


class ProjectTest(unittest.TestCase):
    def project(self, *changes: Any) -> Any:
        after = {"number": 6, "id": None}
        return writes.read(
            WRITES, {"op": "project", "after": after, "changes": list(changes), "id": "e"}
        )

    def test_sales_and_cancellations_are_taken_as_they_are(self) -> None:
        self.assertEqual(self.project(SALE, CANCELLATION)["changes"], [SALE, CANCELLATION])

    def test_what_is_neither_or_both_is_refused(self) -> None:
        for change in (
            {"order_id": "a" * 32, "seq": 7},
            {**SALE, **CANCELLATION},
            {name: SALE[name] for name in ("order_id", "seq", "sold_at")},
            {**SALE, "cancelled_at": 2},
        ):
            with self.assertRaisesRegex(BadRequest, r"changes\[1\]: is neither"):
                self.project(SALE, change)
