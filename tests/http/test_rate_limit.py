"""A client that asks more often than it may is told when to come again."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.http.shop import TOKEN, ShopTestCase

RATE, BURST = 0.01, 5  # so slow that no machine is too slow for the test
LIMITS = {"requests_per_s": RATE, "requests_burst": BURST}


class RequestsTest(ShopTestCase):
    settings: ClassVar[dict[str, Any]] = {
        "rate_limit": LIMITS,
        "trusted_proxies": ["127.0.0.1"],
        # Who has passed the time asks for leases anew: every third of one, by the real clock.
        "replication": {"lease_s": 3.0, "ack_timeout_s": 1.0},
    }

    def answers(self, count: int, path: str = "/info/1", client: str = "192.0.2.1") -> list[int]:
        return [self.ask(path, X_Forwarded_For=client).code for _ in range(count)]

    def test_hits_and_misses_count_alike(self) -> None:
        self.assertEqual(self.answers(BURST + 2), [200] * BURST + [429] * 2)

    def test_it_is_told_when_to_come_again_and_is_answered_then(self) -> None:
        self.answers(BURST)
        response = self.ask("/info/1", X_Forwarded_For="192.0.2.1")
        refusal = self.assert_error(response, 429, "too_many_requests")
        self.assertEqual(refusal["error"], "too many requests from 192.0.2.1")
        wait_s = int(response.headers["Retry-After"])
        self.assertTrue(0 < wait_s <= 1 / RATE, wait_s)
        self.shop.pass_time(wait_s)
        self.assertEqual(self.answers(2), [200, 429])
        self.shop.pass_time(BURST / RATE)
        self.assertEqual(self.answers(BURST + 1), [200] * BURST + [429])

    def test_each_address_is_a_client_and_each_ipv6_network(self) -> None:
        self.assertEqual(self.answers(BURST + 1)[-1], 429)
        self.assertEqual(self.answers(1, client="192.0.2.2"), [200])
        self.assertEqual(self.answers(BURST, client="2001:db8::1"), [200] * BURST)
        self.assertEqual(self.answers(1, client="2001:db8::ffff"), [429])
        self.assertEqual(self.answers(1, client="2001:db8:0:1::1"), [200])

    def test_a_page_says_so_too(self) -> None:
        self.answers(BURST)
        response = self.ask("/", X_Forwarded_For="192.0.2.1", Accept="text/html")
        self.assertEqual(response.code, 429)
        self.assertIn("text/html", response.headers["Content-Type"])

    def test_a_page_that_is_known_says_so_as_any_other(self) -> None:
        path, client = "/books/4", {"X_Forwarded_For": "192.0.2.1"}
        self.assertEqual(self.answers(BURST, path), [200] * BURST)
        self.assertEqual(self.answers(1, path), [429])  # of what is cached, at the port
        self.shop.frontend.catalog.cache.reset()
        response = self.ask(path, X_Request_Id="mine", **client)
        self.assertEqual((response.code, response.headers["X-Request-Id"]), (429, "mine"))
        self.assertIn("text/html", response.headers["Content-Type"])
        self.shop.pass_time(1 / RATE)
        self.assertEqual(self.answers(2, path), [200, 429])  # a miss costs one request, not two

    def test_who_looks_after_the_shop_has_no_limit(self) -> None:
        for _ in range(BURST + 1):
            for path in ("/healthz", "/readyz"):
                self.assertEqual(self.ask(path).code, 200)
            self.assertEqual(self.ask("/status", token=TOKEN).code, 200)

    def test_who_finds_nothing_or_has_no_token_is_limited_too(self) -> None:
        for path in ("/nothing", "/status", "/metrics"):
            self.shop.pass_time(BURST / RATE)
            self.assertEqual(self.answers(BURST + 1, path)[-1], 429, path)

    def test_other_roles_have_none(self) -> None:
        for _ in range(BURST + 1):
            self.assertEqual(self.ask("/info/1", node="catalog-1").code, 200)


class PurchasesTest(ShopTestCase):
    settings: ClassVar[dict[str, Any]] = {
        "rate_limit": {"purchases_per_s": RATE, "purchases_burst": 2}
    }

    def test_purchases_by_whatever_way_have_a_limit_of_their_own(self) -> None:
        self.buy(4)
        lines = {"lines": [{"book": 4, "quantity": 1}]}
        self.assertEqual(self.ask("/purchase", "POST", lines).code, 200)
        for path, method, body in (("/purchase/4", "PUT", None), ("/purchase", "POST", lines)):
            response = self.ask(path, method, body)
            refusal = self.assert_error(response, 429, "too_many_requests")
            self.assertEqual(refusal["error"], "too many purchases from 127.0.0.1")
            self.assertIn("key", refusal)  # with which to ask again
        self.assertEqual(self.get("/info/4")["count"], 5)
        self.shop.pass_time(1 / RATE)
        self.buy(4)
