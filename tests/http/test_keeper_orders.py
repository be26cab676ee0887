"""The keeper looks for orders, takes them as a table, and cancels them, once."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest import mock

from handlers.keeper import orders
from handlers.storefront.rendering import when
from tests.http import shop
from tests.http.keeper import KeeperTestCase


class KeeperOrdersTestCase(KeeperTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.sign_in()

    def buy_lines(self, *lines: tuple[int, int]) -> str:
        body = {"lines": [{"book": book, "quantity": copies} for book, copies in lines]}
        response = self.ask("/purchase", "POST", body)
        self.assertEqual(response.code, 200, response.body)
        return str(json.loads(response.body)["order_id"])

    def cancel(self, order_id: str, book: int, copies: int) -> None:
        body = {"lines": [{"book": book, "quantity": copies}]}
        response = self.ask(f"/orders/{order_id}/cancel", "POST", body, token=shop.TOKEN)
        self.assertEqual(response.code, 200, response.body)

    def later(self, seconds: float) -> None:
        """The session has ended by then."""
        self.shop.set_time_of_day_on(seconds)
        self.sign_in()

    def order(self, order_id: str) -> Any:
        return self.get(f"/orders/{order_id}")

    def listed(self, query: str = "") -> list[str]:
        """The orders that a page of the list leads to."""
        prefix = "/keeper/orders/"
        found = [a for a in self.page(f"/keeper/orders{query}").links if a.startswith(prefix)]
        return [address.removeprefix(prefix) for address in found]


class ListTest(KeeperOrdersTestCase):
    def test_newest_first_by_day_by_words_and_by_what_is_cancelled(self) -> None:
        first = self.buy_lines((4, 1))
        self.later(3 * 86_400)
        second = self.buy_lines((7, 2), (5, 1))
        self.cancel(second, 7, 1)
        self.assertEqual(self.listed(), [second, first])
        today, before = (self.get(f"/orders/{one}")["sold_at"][:10] for one in (second, first))
        for query, found in (
            (f"?since={today}", [second]),
            (f"?since={today}&until={today}", [second]),
            (f"?until={before}", [first]),
            (f"?since={before}&until={today}", [second, first]),
            ("?since=2020-01-01&until=2020-01-01", []),
            ("?q=cooking+impatient", [first]),
            ("?q=7", [second]),
            (f"?q={first[:8]}", [first]),
            ("?cancelled=some", [second]),
            ("?cancelled=none", [first]),
            ("?since=&until=&q=&cancelled=", [second, first]),
        ):
            self.assertEqual(self.listed(query), found, query)
        self.assertIn("There are none.", self.page("/keeper/orders?q=nothing").text)
        self.assertIn("$25.00", self.page("/keeper/orders").text)  # is to be refunded

    def test_yesterday_is_a_link(self) -> None:
        order = self.buy_lines((4, 1))
        self.later(86_400)
        [address] = [a for n, a in self.named("/keeper/orders") if n == "Yesterday"]
        self.assertEqual(self.listed(address.removeprefix("/keeper/orders")), [order])
        [address] = [a for n, a in self.named("/keeper/orders") if n == "Today"]
        self.assertEqual(self.listed(address.removeprefix("/keeper/orders")), [])

    def named(self, path: str) -> list[tuple[str, str]]:
        body = self.send(path).body.decode()
        return [(m[2], m[1].replace("&amp;", "&")) for m in _LINK.finditer(body)]

    def test_what_can_not_be_asked_for_keeps_what_was_typed(self) -> None:
        for query, reason in (
            ("?since=20261129", "“20261129” is no day"),
            ("?since=2026-W48-7", "“2026-W48-7” is no day"),
            ("?until=0000-01-01", "is no day"),
            ("?q=a%00b", "control character U+0000."),
            ("?q=%E2%80%8B", "There is no word in it."),
            ("?since=yesterday", "“yesterday” is no day such as 2026-11-29."),
            ("?until=2026-02-30", "“2026-02-30” is no day"),
            ("?since=2026-11-29&until=2026-11-28", "The first day is after the last one."),
            ("?cancelled=true", "cancelled: must be one of (empty), some, none"),
            (f"?q={'x' * 300}", "It is 300 characters long"),
        ):
            page = self.reading(self.send(f"/keeper/orders{query}"), 400)
            self.assertIn(reason, page.text, query)
        body = self.send("/keeper/orders?since=yesterday").body.decode()
        self.assertIn('value="yesterday"', body)

    def test_the_first_day_and_the_last_one_that_there_are(self) -> None:
        order = self.buy_lines((4, 1))
        self.assertEqual(self.listed("?since=0001-01-01&until=9999-12-31"), [order])
        self.assertEqual(self.listed("?since=9999-12-31"), [])

    def test_where_an_address_leads_behind_the_last_one(self) -> None:
        self.buy_lines((4, 1))
        page = self.page("/keeper/orders?before=0-0")
        self.assertIn("There are no more.", page.text)
        self.assertIn("/keeper/orders", page.links)
        self.page("/keeper/orders?before=x", 400)

    def test_titles_and_words_are_text(self) -> None:
        self.update(4, title="<script>1</script>")
        order = self.buy_lines((4, 1))
        for path in ("/keeper/orders?q=%22%3E%3Cscript%3E1", self.keyed(f"/keeper/orders/{order}")):
            body = self.send(path).body.decode()
            self.assertNotIn("<script>1", body)
            self.assertIn("&lt;script&gt;1", body)

    def test_it_is_for_the_keeper_alone(self) -> None:
        self.cookies.clear()
        for path in ("/keeper/orders", "/keeper/orders.csv", f"/keeper/orders/{'a' * 32}"):
            self.assertEqual(self.send(path).code, 401, path)

    def test_pages_lead_to_the_very_end(self) -> None:
        made = [self.buy_lines((7, 1)) for _ in range(5)]
        with mock.patch.object(orders, "ON_PAGE", 2):
            found, query = [], ""
            while True:
                found += self.listed(query)
                older = [a for n, a in self.named(f"/keeper/orders{query}") if n == "Older"]
                if not older:
                    break
                query = older[0].removeprefix("/keeper/orders")
        self.assertEqual(found, made[::-1])


class CancelTest(KeeperOrdersTestCase):
    def cancelling(self, order_id: str, do: str, **typed: str) -> tuple[str, dict[str, str]]:
        return self.fill(self.keyed(f"/keeper/orders/{order_id}"), do, **typed)

    def test_all_of_it_and_a_second_press_does_nothing(self) -> None:
        order_id = self.buy_lines((4, 2), (5, 1))
        form = self.cancelling(order_id, "all", sure="sure")
        self.assertIn("It is cancelled", self.told(self.press(form)))
        self.assertEqual(self.order(order_id)["refund"], 2 * 20 + 1200)
        self.assertEqual((self.book(4)["count"], self.book(5)["count"]), (7, 10))
        self.assertIn("not done a second time", self.told(self.press(form)))
        self.assertEqual(self.book(4)["count"], 7)
        page = self.page(self.keyed(f"/keeper/orders/{order_id}"))
        self.assertIn("All of it is cancelled.", page.text)
        self.assertIn("To be refunded $12.40", page.text)
        self.assertIn(f"; cancelled {when(self.order(order_id)['cancelled_at'])}", page.text)

    def test_all_of_it_only_if_that_is_meant(self) -> None:
        """WCAG 3.3.4: nothing brings it back."""
        order_id = self.buy_lines((4, 2))
        action, fields = self.cancelling(order_id, "all")
        for unsure in ({"do": "all"}, {**fields, "sure": ""}):
            page = self.reading(self.press((action, unsure)), 400)
            self.assertIn("say that you mean it", page.text)
        self.assertEqual(self.book(4)["count"], 5)
        self.goes(self.press(self.form(page, "all")))

    def test_what_is_to_be_refunded_is_what_comes_on_top(self) -> None:
        order_id = self.buy_lines((4, 2), (5, 1))
        path = f"/keeper/orders/{order_id}"
        self.assertIn(": $12.40 are to be refunded then", self.page(self.keyed(path)).text)
        self.cancel(order_id, 5, 1)
        page = self.page(self.keyed(path))
        self.assertIn("To be refunded $12.00", page.text)
        self.assertIn(": $0.40 more are to be refunded then ($12.40 in all)", page.text)

    def test_two_keepers_do_not_stand_in_each_others_way(self) -> None:
        order_id = self.buy_lines((4, 3), (5, 2))
        mine = self.cancelling(order_id, "part", **{"copies-5": "1"})
        self.cancel(order_id, 4, 2)
        self.assertIn("It is cancelled", self.told(self.press(mine)))
        self.assertEqual(
            self.order(order_id)["cancelled"],
            [{"book": 4, "quantity": 2}, {"book": 5, "quantity": 1}],
        )
        self.cancel(order_id, 5, 2)
        self.assertIn("not done a second time", self.told(self.press(mine)))
        self.assertEqual(self.order(order_id)["refund"], 2 * 20 + 2 * 1200)

    def test_what_another_has_cancelled_meanwhile_is_shown_when_a_form_comes_back(self) -> None:
        order_id = self.buy_lines((4, 3), (5, 2))
        mine = self.cancelling(order_id, "part", **{"copies-5": "x"})
        self.cancel(order_id, 4, 2)
        _, fields = self.form(self.reading(self.press(mine), 400), "part")
        expected = {"copies-4": "2", "was-copies-4": "2", "copies-5": "x", "was-copies-5": "0"}
        self.assertEqual(fields, {"do": "part", **expected})

    def test_what_no_form_of_ours_has(self) -> None:
        order_id = self.buy_lines((4, 3))
        action, fields = self.cancelling(order_id, "part", **{"copies-4": "1"})
        for name in fields:
            less = {one: text for one, text in fields.items() if one != name}
            page = self.reading(self.press((action, less)), 400)
            self.assertIn(f"{name}: is missing", page.text)
        for change in ({"do": "x"}, {"was-copies-4": "-1"}, {"was-copies-4": "x"}):
            self.reading(self.press((action, {**fields, **change})), 400)
        address, _, key = action.partition("?")
        for other in (address, f"{address}?key=x", f"{address}?{key}&{key}"):
            self.reading(self.press((other, fields)), 400)
        self.reading(self.press((action, fields), Sec_Fetch_Site="cross-site"), 403)
        self.reading(self.press((action.replace(order_id, "a" * 32), fields)), 404)
        self.assertNotIn("cancelled", self.order(order_id))

    def test_a_part_then_more_of_it(self) -> None:
        order_id = self.buy_lines((4, 3), (5, 2))
        self.told(self.press(self.cancelling(order_id, "part", **{"copies-4": "1"})))
        self.assertEqual(self.order(order_id)["cancelled"], [{"book": 4, "quantity": 1}])
        typed = {"copies-4": "2", "copies-5": "1"}
        self.told(self.press(self.cancelling(order_id, "part", **typed)))
        self.assertEqual(
            self.order(order_id)["cancelled"],
            [{"book": 4, "quantity": 2}, {"book": 5, "quantity": 1}],
        )
        self.assertEqual((self.book(4)["count"], self.book(5)["count"]), (6, 9))

    def test_what_can_not_be_cancelled_stays_as_it_was_typed(self) -> None:
        order_id = self.buy_lines((4, 3))
        self.told(self.press(self.cancelling(order_id, "part", **{"copies-4": "2"})))
        for text, reason in (
            ("4", "Must be from 0 to 3."),
            ("1", "it can be more, and not less"),
            ("x", "is not a whole number"),
            ("", "Nothing is typed here"),
        ):
            pressed = self.press(self.cancelling(order_id, "part", **{"copies-4": text}))
            page = self.reading(pressed, 400)
            self.assertIn(reason, page.text, text)
            self.assertEqual(self.form(page, "part")[1]["copies-4"], text)
            self.assertIn("#copies-4", page.links)
        self.assertEqual(self.order(order_id)["cancelled"], [{"book": 4, "quantity": 2}])
        same = self.cancelling(order_id, "part", **{"copies-4": "2"})
        self.assertIn("nothing was changed", self.told(self.press(same)))

    def test_one_form_that_is_sent_with_something_else_in_it(self) -> None:
        order_id = self.buy_lines((4, 3))
        action, fields = self.cancelling(order_id, "part", **{"copies-4": "1"})
        self.press((action, fields))
        page = self.reading(self.press((action, {**fields, "copies-4": "2"})), 422)
        self.assertIn("This form was sent before", page.text)
        action, fields = self.form(page, "part")
        self.assertEqual(fields["copies-4"], "2")
        self.told(self.press((action, fields)))
        self.assertEqual(self.order(order_id)["cancelled"], [{"book": 4, "quantity": 2}])

    def test_what_is_no_order(self) -> None:
        for order_id, status in (("a" * 32, 404), ("x", 400)):
            response = self.send(f"/keeper/orders/{order_id}?key={'0' * 32}")
            self.assertEqual(response.code, status)


_LINK = re.compile(r'<a [^>]*href="([^"]+)"[^>]*>([^<]+)</a>')
