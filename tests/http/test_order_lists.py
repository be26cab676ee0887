"""The orders of a time: by date, by words, by pages, at the order nodes and at the front end."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock
from urllib.parse import quote

from storage import order_pages
from tests.http.shop import TOKEN, ShopTestCase

NODES = ("order-1", "order-2", "frontend-1")


class OrderListTest(ShopTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.bought = [self.buy(number) for number in (4, 5, 4, 6, 7)]
        self.ids = [one["order_id"] for one in self.bought]
        self.settle()

    def listed(self, query: str, node: str = "frontend-1") -> Any:
        response = self.ask(f"/orders?{query}", node=node, token=TOKEN)
        self.assertEqual(response.code, 200, response.body)
        return json.loads(response.body)

    def found(self, query: str, node: str = "frontend-1") -> list[str]:
        return [order["order_id"] for order in self.listed(query, node)]

    def walk(self, link: str, node: str) -> list[list[str]]:
        """The ids of a list, page by page."""
        pages = []
        while link:
            response = self.ask(link, node=node, token=TOKEN)
            self.assertEqual(response.code, 200, response.body)
            pages.append([order["order_id"] for order in json.loads(response.body)])
            link = response.headers.get("Link", "").partition(">")[0].removeprefix("<")
        return pages

    def test_the_newest_first_each_as_it_is(self) -> None:
        path = f"/orders/{self.ids[0]}/cancel"
        self.assertEqual(self.ask(path, "POST", token=TOKEN).code, 200)
        self.settle()
        for node in NODES:
            listed = self.listed("since=2000-01-01", node)
            self.assertEqual([order["order_id"] for order in listed], self.ids[::-1])
            for order in listed:
                seq, change = order.pop("seq"), order.pop("change")
                self.assertEqual(seq < change, order["order_id"] == self.ids[0])
                self.assertEqual(order, self.get(f"/orders/{order['order_id']}"))
            self.assertEqual(self.found("cancelled=true", node), self.ids[:1])
            self.assertEqual(self.found("cancelled=false", node), self.ids[:0:-1])

    def test_since_and_until_as_iso_8601_has_them(self) -> None:
        moments = [self.get(f"/orders/{order_id}")["sold_at"] for order_id in self.ids]
        day = moments[0][:10]
        for node in NODES:
            for query, found in (
                (f"since={moments[2]}", [one for one in moments if one >= moments[2]]),
                (f"until={moments[2]}", [one for one in moments if one < moments[2]]),
                (f"since={moments[1]}&until={moments[3]}",
                 [one for one in moments if moments[1] <= one < moments[3]]),
                (f"since={moments[4].replace('Z', quote('+00:00'))}",
                 [one for one in moments if one >= moments[4]]),
                (f"until={day}", [one for one in moments if one[:10] < day]),
                (f"until={day}T00:00{quote('+00:00')}", [one for one in moments if one[:10] < day]),
                ("since=9999-12-31", []),
                ("since=2000-01-01&until=2000-01-01", []),
            ):  # fmt: skip
                listed = [order["sold_at"] for order in self.listed(query, node)]
                self.assertEqual(listed, found[::-1], (node, query))

    def test_words_a_books_number_and_an_id(self) -> None:
        for node in NODES:
            for q, found in (
                ("impatient undergrad", [2, 0]),
                ("UNDERGRAD cook", [2, 0]),
                ("4", [2, 0]),
                ("spring", [4]),
                ("winter", []),
                (self.ids[3], [3]),
                (self.ids[3][:8].upper(), [3]),
                ("0" * 32, []),
            ):
                self.assertEqual(
                    self.found(f"q={quote(q)}", node), [self.ids[at] for at in found], (node, q)
                )

    def test_links_lead_to_the_very_end_while_others_buy(self) -> None:
        for node, path in (("order-1", "/order_service/orders"), ("frontend-1", "/orders")):
            first, *rest = self.walk(f"{path}?since=2000-01-01&limit=2", node)
            newest = self.ids[::-1]
            self.assertEqual(
                [first, *rest], [newest[at : at + 2] for at in range(0, len(newest), 2)]
            )
            response = self.ask(f"{path}?since=2000-01-01&limit=2", node=node, token=TOKEN)
            self.assertRegex(
                response.headers["Link"],
                rf'<{path}\?since=2000-01-01&limit=2&before=[0-9]+-[0-9]+>; rel="next"',
            )
            link = response.headers["Link"].partition(">")[0].removeprefix("<")
            self.ids.append(self.buy(1)["order_id"])
            self.settle()
            self.assertEqual(self.walk(link, node), rest)

    def test_a_link_keeps_what_was_asked_for(self) -> None:
        query = f"q={quote('cook & undergrad')}&until={quote('2999-01-01T00:00+14:00')}&limit=1"
        for node in NODES:
            self.assertEqual(self.walk(f"/orders?{query}", node), [[self.ids[2]], [self.ids[0]]])

    def test_a_page_that_stops_looking_says_where_to_go_on(self) -> None:
        with mock.patch.multiple(order_pages, MOST_LOOKED_AT=2, SLICE=1):
            for node in NODES:
                self.assertEqual(self.walk("/orders?q=finish", node), [[], [self.ids[1]], []])

    def test_without_a_time_it_follows_changes_at_the_front_end_too(self) -> None:
        for node in NODES:
            self.assertEqual(
                self.walk("/orders?limit=2", node), [self.ids[:2], self.ids[2:4], self.ids[4:]]
            )
            after = self.listed("", node)[1]["change"]
            self.assertEqual(self.found(f"after={after}", node), self.ids[2:])

    def test_what_is_no_list_is_refused_by_name(self) -> None:
        for query, words in (
            ("since=yesterday", "since: 'yesterday' is no date as 2026-11-29"),
            ("since=2026-02-30", "since: '2026-02-30' is no moment: day is out of range"),
            ("until=2026-11-29T18:00+01:00", "a + in an address is written %2B"),
            ("until=1795910400000", "until: '1795910400000' is no date"),
            ("since=2026-11-30&until=2026-11-29", "since: is later than until"),
            ("since=2026-11-29&since=2026-11-29", "since: is given 2 times"),
            ("since=", "since: '' is no date"),
            ("q=", "q: must have 1 to 200 characters"),
            ("q=%00", "q:"),
            ("cancelled=yes", "cancelled: must be true or false"),
            ("before=17", "before: '17' names no place in a list of orders"),
            ("before=-1-1", "before: '-1-1' names no place"),
            ("after=0&since=2026-11-29", "after, since: one of them, not both"),
            ("after=3&before=1-1", "after, before: one of them, not both"),
            ("limit=501&since=2026-11-29", "limit: must be from 1 to 500"),
            ("offset=1", "'offset': is unknown"),
        ):
            for node in NODES:
                response = self.ask(f"/orders?{query}", node=node, token=TOKEN)
                self.assertIn(words, self.assert_error(response, 400, "bad_request")["error"])
        for node in NODES:
            self.assert_error(self.ask("/orders?since=2026-11-29", node=node), 401, "unauthorized")

    def test_a_call_is_read_as_strictly(self) -> None:
        sold = {"op": "sold", "limit": 1}
        items: tuple[Any, ...] = (
            {},
            {"op": "bought", "limit": 1},
            {"op": "sold"},
            {"op": "changed", "limit": 1},
            {"op": "changed", "after": -1, "limit": 1},
            {**sold, "limit": 501},
            {**sold, "since": "2026-11-29"},
            {**sold, "since": 1 << 63},
            {**sold, "since": 2, "until": 1},
            {**sold, "q": ""},
            {**sold, "cancelled": "true"},
            {**sold, "before": [1, 1]},
            {**sold, "after": 1},
        )
        told = self.ask("/listing", "POST", {"items": [*items, sold]}, node="order-1", token=TOKEN)
        *refused, good = json.loads(told.body)["results"]
        for item, result in zip(items, refused, strict=True):
            self.assertEqual(result["error"]["code"], "bad_request", item)
        self.assertEqual(good["answer"]["orders"][0]["order_id"], self.ids[-1])
        self.assertRegex(good["answer"]["before"], "^[0-9]+-[0-9]+$")
