"""A keeper at work in a browser without scripts."""

from __future__ import annotations

from typing import Any

from tornado.httpclient import HTTPResponse

from handlers.keeper.forms import TO, TOKEN
from tests.http import shop
from tests.http.test_pages import Fields, PagesTestCase, Reading

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
OURS = {"Sec_Fetch_Site": "same-origin"}


class KeeperTestCase(PagesTestCase):
    def send(self, path: str, fields: Fields | None = None, **headers: str) -> HTTPResponse:
        """One request as a browser sends it, with the mark of our own pages unless `headers` say
        otherwise."""
        from_us = {} if {"Origin", "Sec_Fetch_Site"} & headers.keys() else OURS
        return super().send(path, fields, **{**BROWSER, **from_us, **headers})

    def sign_in(
        self, to: str = "/keeper/books", token: str = shop.TOKEN, **headers: str
    ) -> HTTPResponse:
        return self.send("/keeper/sign-in", [(TO, to), (TOKEN, token)], **headers)

    def keyed(self, path: str) -> str:
        """The address of the same page with a key for its form."""
        response = self.send(path)
        self.assertEqual(response.code, 303, response.body)
        return str(response.headers["Location"])

    def form(self, page: Reading, do: str | None = None) -> tuple[str, dict[str, str]]:
        """Where the form that does this leads, and its fields."""
        [found] = [
            (action, dict(fields))
            for action, fields in page.all_forms
            if "?key=" in action and dict(fields).get("do") == do
        ]
        return found

    def fill(self, address: str, do: str | None = None, **typed: str) -> tuple[str, dict[str, str]]:
        """The form of a page, with what is typed into it."""
        action, fields = self.form(self.page(address), do)
        assert typed.keys() <= fields.keys()
        return action, {**fields, **typed}

    def press(self, filled: tuple[str, dict[str, str]], **headers: str) -> HTTPResponse:
        action, fields = filled
        return self.send(action, [*fields.items()], **headers)

    def told(self, response: HTTPResponse) -> str:
        """What the page says to which a form leads."""
        return self.page(self.goes(response)).text

    def book(self, number: int) -> Any:
        return self.get(f"/info/{number}")
