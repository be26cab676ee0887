"""Orders as a projection of sales (S2): what operations come to."""

from __future__ import annotations

import json
import unittest
from collections.abc import Iterable
from typing import Any

from bazar.errors import Conflict
from bazar.replication.messages import GENESIS, Entry, chained
from bazar.replication.store import Outcome
from storage.books import copies
from storage.history import Position
from storage.orders import (
    Orders,
    Projected,
    in_all,
    kept,
    order_cost,
    order_key,
    projected_by,
    show_order,
    shows,
)


def sale(seq: int) -> dict[str, Any]:
    line = {"book": 4, "title": "T", "quantity": 2, "unit_cost": 20, "new_count": 5}
    return {"order_id": f"o{seq}", "seq": seq, "sold_at": 1_700_000_000_123, "lines": [line]}


def at(number: int) -> dict[str, Any]:
    """A cursor, as JSON."""
    return Position(number, "e" if number else None).plain


def project(after: int, *seqs: int) -> dict[str, Any]:
    return changed(after, *map(sale, seqs))


def changed(after: int, *changes: dict[str, Any]) -> dict[str, Any]:
    return {"op": "project", "after": at(after), "changes": list(changes), "id": "e"}


def cancelled(order_id: str, seq: int, quantity: int) -> dict[str, Any]:
    """A cancellation of so many copies in all."""
    copies = [{"book": 4, "quantity": quantity}]
    return {"order_id": order_id, "seq": seq, "cancelled_at": 1, "cancelled": copies}


def adopt(after: int, to: int, behind: int) -> dict[str, Any]:
    return {"op": "adopt", "after": at(after), "to": at(to), "behind": behind}


def decide(
    cursor: int, *operations: dict[str, Any], highest: int = 0, known: Iterable[str] = ()
) -> list[Outcome]:
    orders = {order_id: {"order_id": order_id} for order_id in known}
    work = Projected(Position.of(at(cursor)), orders, highest, 1)
    return Orders().decide(work, operations)


def entry(outcome: Outcome) -> Entry:
    assert outcome.change is not None
    [made] = chained(GENESIS, 1, [outcome.change])
    return made


class OrdersTest(unittest.TestCase):
    def test_s2_each_sale_becomes_one_order_and_the_cursor_moves_with_it(self) -> None:
        [outcome] = decide(0, project(0, 3, 7))
        self.assertEqual(outcome.answer, {"cursor": at(7)})
        assert outcome.change is not None
        self.assertEqual(outcome.change.tags, (order_key("o3"), order_key("o7")))
        put = outcome.change.effects["put"]
        self.assertEqual(put["cursors"], [{"name": "sales", "seq": 7, "id": "e"}])
        self.assertEqual(
            [(row["order_id"], row["seq"]) for row in put["orders"]], [("o3", 3), ("o7", 7)]
        )
        self.assertEqual(
            show_order(put["orders"][1]),
            {
                "order_id": "o7",
                "sold_at": "2023-11-14T22:13:20.123Z",
                "cost": 40,
                "lines": sale(7)["lines"],
            },
        )

    def test_s2_the_same_sales_again_are_refused(self) -> None:
        for operation in (project(0, 3, 7), project(0, 9), project(3, 9), project(8, 9)):
            [outcome] = decide(7, operation)
            self.assertIsInstance(outcome.answer, Conflict)
            self.assertIsNone(outcome.change)

    def test_s2_within_one_batch_too(self) -> None:
        outcomes = decide(0, project(0, 3), project(0, 3), project(3, 4))
        self.assertEqual([one.change is None for one in outcomes], [False, True, False])
        self.assertIsInstance(outcomes[1].answer, Conflict)
        self.assertEqual(outcomes[2].answer, {"cursor": at(4)})

    def test_s2_a_number_alone_is_no_cursor(self) -> None:
        other = {**project(0, 9), "after": Position(7, "another epoch").plain}
        [outcome] = decide(7, other)
        self.assertIsInstance(outcome.answer, Conflict)

    def test_s5_a_cursor_goes_back_and_numbers_do_not(self) -> None:
        adopted, projected, again = decide(
            9, adopt(9, 5, 4), project(5, 6, 30), adopt(9, 5, 4), highest=20
        )
        self.assertEqual(adopted.answer, {"cursor": at(5)})
        assert adopted.change is not None
        assert projected.change is not None
        put = adopted.change.effects["put"]
        self.assertEqual(put["adoptions"], [{"upto": 20, "behind": 4}])
        numbers = [row["seq"] for row in projected.change.effects["put"]["orders"]]
        self.assertEqual(numbers, [21, 30])
        self.assertIsInstance(again.answer, Conflict)

    def test_s5_a_sale_that_is_there_again_has_its_order(self) -> None:
        [outcome] = decide(5, project(5, 6, 7, 8), highest=20, known=["o6", "o7"])
        assert outcome.change is not None
        self.assertEqual(outcome.change.tags, (order_key("o8"),))
        put = outcome.change.effects["put"]
        self.assertEqual([(row["order_id"], row["seq"]) for row in put["orders"]], [("o8", 21)])
        self.assertEqual(outcome.answer, {"cursor": at(8)})

    def test_s5_what_an_order_shows_as_cancelled_never_becomes_less(self) -> None:
        """The catalog has lost the cancellations that the order shows, and has others: an older
        one, or one that came since."""
        for back, shown, put in (
            ({4: 1}, None, "an older one changes nothing"),
            ({4: 3}, None, "nor does the same"),
            ({}, None, "nor an empty one"),
            ({5: 1, 4: 1}, {5: 1, 4: 3}, "each book's larger number"),
            ({4: 4}, {4: 4}, "a later one"),
        ):
            with self.subTest(put):
                lines = [{"book": book, "quantity": many} for book, many in back.items()]
                cancellation = {**cancelled("o3", 6, 1), "cancelled": lines, "cancelled_at": 2}
                _, projected, again, _, outcome, after = decide(
                    *(0, changed(0, sale(3), cancelled("o3", 9, 3)), changed(9, sale(10))),
                    *(adopt(9, 3, 3), adopt(10, 3, 3), changed(3, cancellation), project(6, 11)),
                )
                self.assertIsNotNone(projected.change)
                self.assertIsInstance(again.answer, Conflict)
                assert outcome.change is not None
                assert after.change is not None
                self.assertEqual(outcome.answer, {"cursor": at(6)})
                rows = outcome.change.effects["put"]["orders"]
                found = [copies(json.loads(row["cancelled"])) for row in rows]
                self.assertEqual(found, [] if shown is None else [shown])
                self.assertEqual(outcome.change.tags, (order_key("o3"),) * len(rows))
                self.assertEqual([row["cancelled_at"] for row in rows], [2] * len(rows))
                self.assertEqual([row["changed"] for row in rows], [11] * len(rows))
                [made] = after.change.effects["put"]["orders"]
                self.assertEqual(made["seq"], 11 + len(rows))

    def test_s5_a_cancellation_whose_sale_was_adopted_away_moves_the_cursor_alone(self) -> None:
        [outcome] = decide(5, changed(5, cancelled("o3", 7, 1), sale(8)), highest=20)
        self.assertEqual(outcome.answer, {"cursor": at(8)})
        [row] = entry(outcome).effects["put"]["orders"]
        self.assertEqual((row["order_id"], row["seq"]), ("o8", 21))

    def test_s6_orders_are_put_in_the_order_of_their_last_numbers(self) -> None:
        [outcome] = decide(0, changed(0, sale(3), sale(4), cancelled("o3", 5, 1)))
        made = entry(outcome)
        rows = made.effects["put"]["orders"]
        self.assertEqual([(row["seq"], row["changed"]) for row in rows], [(4, None), (3, 5)])
        self.assertEqual(made.tags, (order_key("o4"), order_key("o3")))

    def test_a_title_is_kept_as_it_is_written(self) -> None:
        """Whoever looks into the database can read it, and escapes would take more room."""
        bought = sale(3)
        bought["lines"][0]["title"] = "Émile"
        [outcome] = decide(0, changed(0, bought))
        [row] = entry(outcome).effects["put"]["orders"]
        self.assertIn('"title": "Émile"', row["lines"])

    def test_an_entry_tells_its_orders_and_where_the_cursor_is_then(self) -> None:
        begun, projected, adopted = decide(
            0, {"op": "begin", "epoch": 1, "id": "e"}, project(0, 3, 7), adopt(7, 3, 3)
        )
        self.assertEqual(projected_by(entry(begun)), ([], None))
        self.assertEqual(projected_by(entry(projected)), (["o3", "o7"], Position(7, "e")))
        self.assertEqual(projected_by(entry(adopted)), ([], Position(3, "e")))

    def test_an_order_cancelled_before_the_time_was_kept_shows_none(self) -> None:
        row = {**sale(3), "lines": json.dumps(sale(3)["lines"]), "cancelled_at": None}
        shown = show_order({**row, "cancelled": json.dumps([{"book": 4, "quantity": 1}])})
        self.assertEqual((shown["refund"], "cancelled_at" in shown), (20, False))

    def test_s5_of_each_book_the_larger_number_is_cancelled(self) -> None:
        self.assertEqual(in_all({4: 2, 5: 1}, {4: 1, 5: 3}), {4: 2, 5: 3})
        self.assertEqual(in_all({4: 0}, {5: 0}), {5: 0, 4: 0})

    def test_s6_an_order_shows_a_cancellation_once_each_book_has_as_many(self) -> None:
        lines = [{"book": 4, "quantity": 2}, {"book": 5, "quantity": 1}]
        order = {"lines": [*lines, {"book": 6, "quantity": 3}], "cancelled": lines}
        for book, quantity, shown in ((4, 1, True), (4, 2, True), (4, 3, False), (6, 1, False)):
            one = {"book": book, "quantity": quantity}
            self.assertEqual(shows(order, [one]), shown, one)
            self.assertEqual(shows(order, [lines[1], one]), shown, one)
        self.assertFalse(shows({"lines": lines}, lines))
        self.assertEqual(kept(order), {4: 0, 5: 0, 6: 3})
        self.assertEqual(kept({**order, "cancelled": lines[1:]}), {4: 2, 5: 0, 6: 3})

    def test_an_order_costs_the_sum_of_its_lines(self) -> None:
        self.assertEqual(order_cost([]), 0)
        lines = [{"quantity": 2, "unit_cost": 20}, {"quantity": 1, "unit_cost": 5}]
        self.assertEqual(order_cost(lines), 45)
