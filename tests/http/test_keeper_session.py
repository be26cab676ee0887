"""The keeper's session: how it begins, whom it lets in, and how it ends."""

from __future__ import annotations

import json
import logging
from typing import Any, ClassVar

from tornado.httpclient import HTTPResponse

from bazar.node.server import Context
from handlers.keeper.forms import TO, TOKEN
from handlers.keeper.session import IDLE_S, LONGEST_S, Sessions
from handlers.keeper.sign_in import TRIES_AT_ONCE, TRIES_PER_S
from tests.http import shop
from tests.http.keeper import BROWSER, KeeperTestCase
from tests.http.test_pages import PagesTestCase

AFAR = "203.0.113.9"
PATHS = ("/keeper", "/keeper/books", "/keeper/add", "/keeper/books/4")


class SignInTest(KeeperTestCase):
    def test_every_page_leads_to_the_sign_in_and_back(self) -> None:
        for path in (*PATHS, "/keeper/books?q=cook+%26+more&offset=0"):
            self.cookies.clear()
            page = self.page(path, 401)
            self.assertIn("Sign in", page.text)
            form = page.forms["/keeper/sign-in"]
            self.assertEqual(form, [(TO, path), (TOKEN, "")])
            response = self.send("/keeper/sign-in", [(TO, path), (TOKEN, shop.TOKEN)])
            self.assertEqual(self.goes(response), path)
            self.assertIn(self.send(path).code, (200, 303))

    def test_under_the_prefix_of_old_clients_it_leads_to_where_the_cookie_goes(self) -> None:
        page = self.page("/FrontEnd_service/keeper/books/4", 401)
        self.assertEqual(page.forms["/keeper/sign-in"], [(TO, "/keeper/books"), (TOKEN, "")])

    def test_a_program_is_told_in_json(self) -> None:
        for path in PATHS:
            response = self.ask(path)
            self.assertEqual(response.headers["WWW-Authenticate"], "Bearer")
            self.assertIn("/keeper/sign-in", self.assert_error(response, 401)["error"])
            self.assert_error(self.ask(path, token="wrong"), 403, "forbidden")
            self.assertLess(self.ask(path, token=shop.TOKEN).code, 304)
        response = self.ask("/keeper/books", Authorization="Basic YTpi")  # of a proxy, say
        self.assert_error(response, 401)
        self.sign_in()
        self.assertEqual(self.send("/keeper/books", Authorization="Basic YTpi").code, 200)

    def test_the_cookie_is_kept_from_scripts_and_from_other_sites(self) -> None:
        [cookie] = self.sign_in().headers.get_list("Set-Cookie")
        value, *options = cookie.split("; ")
        self.assertEqual(sorted(options), ["HttpOnly", "Path=/keeper", "SameSite=Strict"])
        self.assertNotIn(shop.TOKEN, cookie)
        self.assertLess(len(value), 120)

    def test_who_is_signed_in_is_not_asked_again(self) -> None:
        self.page("/keeper/sign-in")
        self.sign_in()
        self.assertEqual(self.goes(self.send("/keeper/sign-in")), "/keeper/books")
        self.assertEqual(self.goes(self.send("/keeper")), "/keeper/books")

    def test_a_wrong_token_is_said_and_logged_and_shown_nowhere(self) -> None:
        for wrong in ("hunter2-hunter2-hunter2", shop.TOKEN[:-1], "", "é" * 20, "\x00"):
            with self.assertLogs("bazar.access", logging.INFO) as logs:
                response = self.sign_in(token=wrong)
                self.shop.write_logs()
            page = self.reading(response, 403)
            self.assertIn("It is not this shop’s token", page.text)
            self.assertEqual(dict(page.forms["/keeper/sign-in"])[TOKEN], "")
            self.assertIn("POST /keeper/sign-in 403", logs.output[-1])
            self.assertIn("not this cluster's token", logs.output[-1])
            if wrong:
                self.assertNotIn(wrong, response.body.decode() + "".join(logs.output))
            self.assertEqual(self.send("/keeper/books").code, 401)

    def test_the_token_itself_is_in_no_log_address_or_page(self) -> None:
        with self.assertLogs("bazar.access", logging.INFO) as logs:
            seen = [self.sign_in(), *map(self.send, PATHS), self.send("/keeper/sign-out", [])]
            self.shop.write_logs()
        self.assertIn("signed in", "".join(logs.output))
        for text in (*logs.output, *(f"{one.headers}{one.body.decode()}" for one in seen)):
            self.assertNotIn(shop.TOKEN, text)

    def test_tries_are_limited_even_right_ones(self) -> None:
        for _ in range(TRIES_AT_ONCE):
            self.assertEqual(self.sign_in(token="wrong").code, 403)
        typed = [(TO, "/keeper/books/4?key=" + "0" * 32), (TOKEN, shop.TOKEN), ("title", "Typed")]
        response = self.send("/keeper/sign-in", typed)
        page = self.reading(response, 429)
        self.assertIn("tried too often", page.text)
        self.assertIn(("title", "Typed"), page.forms["/keeper/sign-in"])
        wait_s = int(response.headers["Retry-After"])
        self.assertIn(f"Wait {wait_s} seconds", page.text)
        self.assertEqual(self.send("/keeper/books").code, 401)
        self.shop.pass_time(wait_s)
        self.assertEqual(self.goes(self.sign_in()), "/keeper/books")
        self.assertEqual(self.sign_in().code, 429)
        self.shop.pass_time(1 / TRIES_PER_S)
        self.sign_in()
        self.assertEqual(self.send("/keeper/books").code, 200)  # whom the limit keeps out is others

    def test_it_leads_to_no_other_place(self) -> None:
        for to in (
            *(
                "https://evil.example",
                "//evil.example",
                "/\\evil.example",
                "/",
                "/books",
                "/keeperx",
            ),
            *(
                "keeper",
                "/keeper\\@evil",
                "/keeper/\r\nX: y",
                "/keeper/é",
                "javascript:alert(1)",
                "",
            ),
        ):
            self.shop.pass_time(1 / TRIES_PER_S)
            response = self.sign_in(to=to)
            if to == "/keeper\\@evil":
                print(response.code)
            self.reading(response, 400)
            self.assertNotIn("Location", response.headers)
            self.assertNotIn("keeper", self.cookies)

    def test_a_link_from_another_site_leads_on(self) -> None:
        """The browser brings no cookie there, though there is one."""
        page = self.page("/keeper/books?q=cook", 401)
        self.assertNotIn("/keeper/books?q=cook", page.links)
        response = self.send("/keeper/books?q=cook", Sec_Fetch_Site="cross-site")
        self.assertIn("/keeper/books?q=cook", self.reading(response, 401).links)

    def test_no_cache_keeps_a_page_and_no_frame_shows_it(self) -> None:
        paths = (
            *PATHS,
            "/keeper/sign-in",
            "/keeper/books/99",
            "/keeper/books/x",
            "/keeper/books?after=x",
        )
        for signed_in in (False, True):
            if signed_in:
                self.sign_in()
            for path in paths:
                response = self.send(path)
                self.assertEqual(response.headers["Cache-Control"], "no-store", path)
                self.assertIn("frame-ancestors 'none'", response.headers["Content-Security-Policy"])
        self.assertEqual(self.send("/keeper/sign-out", []).headers["Cache-Control"], "no-store")


class EndTest(KeeperTestCase):
    def is_in(self) -> bool:
        return self.send("/keeper/books").code == 200

    def test_it_ends_when_it_is_not_used(self) -> None:
        self.sign_in()
        self.shop.set_time_of_day_on(IDLE_S - 60)
        self.assertTrue(self.is_in())  # which puts the end off
        self.shop.set_time_of_day_on(IDLE_S - 60)
        self.assertTrue(self.is_in())
        self.shop.set_time_of_day_on(IDLE_S + 1)
        self.assertFalse(self.is_in())

    def test_it_ends_however_much_it_is_used(self) -> None:
        self.sign_in()
        for _ in range(LONGEST_S // 1800 - 1):
            self.shop.set_time_of_day_on(1800)
            self.assertTrue(self.is_in())
        self.shop.set_time_of_day_on(1801)
        self.assertFalse(self.is_in())

    def test_the_browser_forgets_it_at_the_sign_out(self) -> None:
        self.sign_in()
        page = self.page("/keeper/books")
        response = self.send("/keeper/sign-out", page.forms["/keeper/sign-out"])
        self.assertEqual(self.goes(response), "/keeper/sign-in")
        self.assertIn("Path=/keeper", response.headers["Set-Cookie"])
        self.assertNotIn("keeper", self.cookies)
        self.assertFalse(self.is_in())

    def test_what_others_have_made_is_none(self) -> None:
        context = self.shop.frontend.context
        self.cookies["keeper"] = self.of(context.token, context.wall)
        self.assertTrue(self.is_in())  # another process of the shop's has made it
        idle, until, code = self.cookies["keeper"].split(".")
        for forged in (
            *("", "x", f"{idle}.{until}", f"{idle}.{until}.", f"{idle}.{until}.{'0' * 64}"),
            *(f"{int(idle) + 1}.{until}.{code}", f"{idle}.{int(until) + 1}.{code}"),
            *(
                f"{idle}.{until}.{code}0",
                f"{idle}.{until}.{code.upper()}",
                f"0{idle}.{until}.{code}",
            ),
            *(f"-1.{until}.{code}", f"{until}.{idle}.{code}", f"{'9' * 5000}.{until}.{code}"),
            self.of("another-shops-token", context.wall),
            self.of(context.token, lambda: context.wall() - LONGEST_S),
        ):
            self.cookies["keeper"] = forged
            self.assertFalse(self.is_in(), forged)

    def of(self, token: str, wall: Any) -> str:
        node, config = self.shop.node("frontend-1"), self.shop.config
        return Sessions(Context(config, node, token, print, wall=wall)).begin()


class ForgeryTest(KeeperTestCase):
    """Nobody else has the keeper's browser change anything (CSRF)."""

    def setUp(self) -> None:
        super().setUp()
        self.sign_in()
        self.filled = self.fill(self.keyed("/keeper/books/4"), "change", count_add="5")

    def test_a_form_of_another_site_does_nothing(self) -> None:
        own = self.get_url("").rstrip("/")
        host, _, port = own.rpartition(":")
        for headers in (
            *({"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}),
            *({"Origin": "http://evil.example"}, {"Origin": "null"}),
            {"Origin": f"{host}:{int(port) - 1}"},  # to which SameSite would send the cookie
            {"Sec_Fetch_Site": "cross-site", "Origin": own},
        ):
            for path in (self.filled[0], "/keeper/sign-in", "/keeper/sign-out"):
                page = self.reading(self.press((path, self.filled[1]), **headers), 403)
                self.assertIn("another site", page.text)
                self.assertNotIn("count_add", dict(page.all_forms[0][1]))
        self.assertEqual(self.stock(4), 7)
        for headers in ({"Origin": own}, {"Sec_Fetch_Site": "same-origin"}):
            self.goes(self.press(self.filled, **headers))
        self.assertEqual(self.stock(4), 12)

    def test_a_form_of_which_nobody_says_where_it_comes_from_does_nothing(self) -> None:
        self.assertIn("Origin: is missing", self.assert_error(self.post(), 403)["error"])
        self.assertEqual(self.stock(4), 7)
        self.cookies.clear()
        self.goes(self.post(Authorization=f"Bearer {shop.TOKEN}"))  # which no browser sends alone
        self.assertEqual(self.stock(4), 12)

    def post(self, **headers: str) -> HTTPResponse:
        """The form as something sends it that is no browser of today."""
        action, fields = self.filled
        return PagesTestCase.send(self, action, [*fields.items()], **headers)

    def test_what_was_typed_comes_along_with_our_own_forms_only(self) -> None:
        """Or a page of another site's could have it sent by whoever signs in next."""
        self.cookies.clear()
        page = self.reading(self.press(self.filled), 401)
        self.assertIn(("count_add", "5"), page.forms["/keeper/sign-in"])
        response = self.post(Accept=BROWSER["Accept"])
        self.assertEqual(response.code, 401)
        self.assertNotIn(b"count_add", response.body)
        for path in (self.filled[0], "/keeper/sign-in"):
            response = self.press((path, self.filled[1]), Sec_Fetch_Site="cross-site")
            self.assertEqual(response.code, 403)
            self.assertNotIn(b"count_add", response.body)


class TypedTest(KeeperTestCase):
    def test_nothing_that_was_typed_is_lost_when_the_session_has_ended(self) -> None:
        self.sign_in()
        title = "Typed for an hour: \"é\" & <b>'漢字'"
        filled = self.fill(self.keyed("/keeper/books/4"), "change", title=title, cost="12.50")
        self.shop.set_time_of_day_on(IDLE_S + 1)
        page = self.reading(self.press(filled), 401)
        self.assertIn("What you typed is kept", page.text)
        form = dict(page.forms["/keeper/sign-in"])
        self.assertEqual({**form, TOKEN: ""}, {TO: filled[0], TOKEN: "", **filled[1]})
        page = self.reading(self.send("/keeper/sign-in", [*{**form, TOKEN: "wrong"}.items()]), 403)
        self.assertEqual(dict(page.forms["/keeper/sign-in"]), form)
        response = self.send("/keeper/sign-in", [*{**form, TOKEN: shop.TOKEN}.items()])
        page = self.reading(response)
        self.assertIn("You are signed in", page.text)
        self.assertEqual(self.book(4)["cost"], 20)
        self.assertEqual(dict(page.forms[filled[0]]), filled[1])
        self.assertIn("The change is saved", self.told(self.press((filled[0], filled[1]))))
        self.assertEqual((self.book(4)["title"], self.book(4)["cost"]), (title, 1250))


class InTheClearTest(KeeperTestCase):
    """No token is asked for where others could read it."""

    settings: ClassVar[dict[str, Any]] = {"trusted_proxies": ["127.0.0.1"]}

    def test_from_another_machine_only_by_https(self) -> None:
        for path in ("/keeper/sign-in", *PATHS):
            page = self.reading(self.send(path, X_Forwarded_For=AFAR), 403)
            self.assertIn("not encrypted", page.text)
            self.assertNotIn("/keeper/sign-in", page.forms)
        self.reading(self.sign_in(X_Forwarded_For=AFAR), 403)
        response = self.ask("/keeper/books", token=shop.TOKEN, X_Forwarded_For=AFAR)
        self.assertIn("not encrypted", self.assert_error(response, 403)["error"])
        response = self.sign_in(X_Forwarded_For=AFAR, X_Forwarded_Proto="https")
        self.assertIn("; Secure", response.headers["Set-Cookie"])
        response = self.send("/keeper/books", X_Forwarded_For=AFAR, X_Forwarded_Proto="https")
        self.assertEqual(response.code, 200)


class OwnNetworkTest(KeeperTestCase):
    settings: ClassVar[dict[str, Any]] = {**InTheClearTest.settings, "insecure": True}

    def test_a_network_of_ones_own_is_as_good(self) -> None:
        response = self.sign_in(X_Forwarded_For=AFAR)
        self.assertNotIn("Secure", response.headers["Set-Cookie"])
        self.assertEqual(self.send("/keeper/books", X_Forwarded_For=AFAR).code, 200)


class LimitsTest(KeeperTestCase):
    settings: ClassVar[dict[str, Any]] = {
        "rate_limit": {"requests_per_s": 0.01, "requests_burst": 5}
    }

    def test_who_has_no_session_is_a_client_like_any_other(self) -> None:
        self.sign_in()
        for _ in range(10):
            self.assertEqual(self.send("/keeper/books").code, 200)
        self.cookies.clear()
        codes = [self.send("/keeper/books").code for _ in range(6)]
        self.assertEqual((codes[0], codes[-1]), (401, 429))
        page = self.reading(
            self.send("/keeper/books/4", [("do", "change"), ("count_add", "3")]), 429
        )
        self.assertIn("One moment, please", page.text)
        [(_, fields)] = [form for form in page.all_forms if ("count_add", "3") in form[1]]
        self.assertIn(("do", "change"), fields)  # what was typed can be sent again
        text = json.loads(self.ask("/keeper/books").body)["code"]
        self.assertEqual(text, "too_many_requests")
