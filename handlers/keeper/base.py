"""What the keeper's pages share: who may see them, where forms may come from, and that nothing that
was typed is lost."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from bazar import addresses
from bazar.errors import BadRequest, Forbidden, TooManyRequests, Unauthorized
from bazar.http.handler import READS
from bazar.http.response import HEADERS
from handlers.base import as_error
from handlers.keeper import rendering
from handlers.keeper.forms import BOOKS_PATH, PLACE_HERE, TO, TOKEN
from handlers.keeper.session import COOKIE, Sessions
from handlers.storefront.base import Fields, PageHandler, new_key
from handlers.storefront.rendering import apology, link

PATH = "/keeper"


class KeeperHandler(PageHandler):
    """A page of the keeper's: for whoever has a session, or sends the token."""

    def initialize(self, service: Any, access: str, sessions: Any = None) -> None:
        super().initialize(service, access)
        self.sessions: Sessions = sessions

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")  # after the sign-out, too, nobody sees it

    # --- who may ---------------------------------------------------------------------------------

    def prepare(self) -> Awaitable[None] | None:
        self._refuse_in_the_clear()
        reading = super().prepare()
        if self.request.method not in READS and not self.brings_token and not self.is_our_form:
            raise Forbidden("Origin: is missing; a browser says which page a form comes from")
        return reading

    def check_caller(self) -> None:
        """Take whoever brings the token, or the cookie of a session. Raises Unauthorized or
        Forbidden."""
        if self.brings_token:
            self.check_token()
        elif not self.goes_on():
            self.check_rate()
            raise Unauthorized(
                "session: there is none, or it has ended; sign in at /keeper/sign-in, or send"
                " 'Authorization: Bearer <cluster token>'"
            )

    @property
    def brings_token(self) -> bool:
        """Return whether a program asks: no browser sends this by itself."""
        return self.request.headers.get("Authorization", "").lower().startswith("bearer ")

    @property
    def is_our_form(self) -> bool:
        """Return whether the browser says where this comes from: then it is a page of ours, or the
        request would have been refused. `SameSite=Strict` alone would take it from another port of
        this host."""
        return "Sec-Fetch-Site" in self.request.headers or "Origin" in self.request.headers

    def goes_on(self) -> bool:
        """Return whether there is a session; it goes on."""
        cookie = self.get_cookie(COOKIE, "")
        known = self.sessions.goes_on(cookie or "")
        if known is not None and known != cookie:
            self.keep(known)
        return known is not None

    def keep(self, session: str) -> None:
        self.set_cookie(COOKIE, session, **self.cookie_options)

    @property
    def cookie_options(self) -> dict[str, Any]:
        options = {**super().cookie_options, "path": PATH}
        return {**options, "samesite": "Strict", "httponly": True}

    def _refuse_in_the_clear(self) -> None:
        """Raises Forbidden where others could read the token as it is typed."""
        if (
            self.request.protocol != "https"
            and not addresses.is_loopback(self.client)
            and not self.service.context.config.insecure
        ):
            self.check_rate()
            raise Forbidden(
                "this connection is not encrypted, and a token that is typed here could be read on"
                " its way: come by HTTPS, or from the shop's own machine (`insecure` in"
                " cluster.json says that the network is yours alone)"
            )

    # --- in --------------------------------------------------------------------------------------

    def typed(self) -> Fields:
        """Return the fields of a form that came with this request, but for those of the sign-in."""
        return [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.body_arguments.items()
            if name not in (TOKEN, TO)
            for value in values
        ]

    def keyed(self, **query: Any) -> bool:
        """Return whether the address has a key for its form; if it has none, lead on to it."""
        if self.given["key"] is None:
            self.go(link(self.request.path, key=new_key(), **query))
        return self.given["key"] is not None

    # --- out -------------------------------------------------------------------------------------

    def paint(self, template: str, **values: Any) -> None:
        self.finish(rendering.paint(template, here=self.request.path, **values))

    def ask_to_sign_in(self, to: str, typed: Fields, reason: str | None = None) -> None:
        """Answer with the form to sign in, which leads to a page of ours, with what was typed."""
        others = self.request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        self.paint(
            "sign-in.html",
            title="Sign in",
            navigation=(),
            to=to,
            typed=typed,
            reason=reason,
            # A link of another site's: the browser has kept the cookie to itself (SameSite).
            onward=to if others and not typed else None,
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if "text/html" not in self.request.headers.get("Accept", ""):
            self.set_header("Content-Type", HEADERS["Content-Type"])
            super(PageHandler, self).write_error(status_code, **kwargs)
            return
        error = as_error(status_code, kwargs.get("exc_info", (None, None, None))[1], self)
        self.set_status(error.status)
        self.tell_error(error)
        typed = self.typed() if self.is_our_form else []
        if isinstance(error, Unauthorized):
            self.ask_to_sign_in(self._place(), typed)
            return
        heading, text = apology(error, rendering.KEEPING)
        self.paint(
            "error.html",
            title=heading,
            text=text,
            error=error,
            typed=typed if error.status >= 500 or isinstance(error, TooManyRequests) else [],
            again=self.request.uri,
            reads=self.request.method in READS,
            request_id=self.request_id,
        )

    def _place(self) -> str:
        """Return where this request leads, if that is a page of ours."""
        try:
            return PLACE_HERE(self.request.uri, TO)
        except BadRequest:
            return BOOKS_PATH
