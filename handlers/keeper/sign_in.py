"""Signing in with the cluster's token, and out again."""

from __future__ import annotations

from typing import Any

from bazar.errors import BazarError, Forbidden, TooManyRequests
from bazar.http.rate_limit import RateLimit
from handlers.keeper import forms
from handlers.keeper.base import KeeperHandler
from handlers.keeper.forms import BOOKS_PATH, PLACE_HERE, TO, TOKEN
from handlers.keeper.session import COOKIE

TRIES_PER_S, TRIES_AT_ONCE, MOST_CLIENTS = 0.1, 10, 4096


def limit() -> RateLimit:
    """Return how often a client may try a token, right or wrong, whatever limits the shop has: here
    nobody is to find out one that people have thought up."""
    return RateLimit(TRIES_PER_S, TRIES_AT_ONCE, "sign-ins", MOST_CLIENTS)


class SignInPage(KeeperHandler):
    """What was typed into another form, when the session had ended, comes along as hidden fields,
    and goes on once there is a session again."""

    def initialize(
        self, service: Any, access: str, sessions: Any = None, tries: Any = None
    ) -> None:
        super().initialize(service, access, sessions)
        self.tries: RateLimit = tries

    @forms.SIGN_IN_PAGE
    def get(self) -> None:
        if self.goes_on():
            self.go(BOOKS_PATH)
        else:
            self.ask_to_sign_in(BOOKS_PATH, [])

    @forms.SIGN_IN
    def post(self) -> None:
        to, token = PLACE_HERE(self.form(TO), TO), self.form(TOKEN)
        try:
            self._check(token)
        except (TooManyRequests, Forbidden) as refusal:
            self._refuse(refusal, to)
            return
        self.keep(self.sessions.begin())
        self.note("signed in")
        if typed := self.typed():
            self.paint("onward.html", title="You are signed in", to=to, typed=typed)
        else:
            self.go(to)

    def _check(self, token: str) -> None:
        """Raises TooManyRequests or Forbidden."""
        self.tries.check(self.client, self.service.context.clock())
        if not self.service.context.is_token(token.strip()):
            raise Forbidden("sign-in: it is not this cluster's token")

    def _refuse(self, refusal: BazarError, to: str) -> None:
        """Answer with the form once more, and have the log know who was turned away."""
        self.set_status(refusal.status)
        self.tell_error(refusal)
        wait_s = refusal.retry_after_s
        reason = f"That was tried too often. Wait {wait_s} seconds, and try again."
        self.ask_to_sign_in(to, self.typed(), reason if wait_s else "It is not this shop’s token.")


class SignOutHandler(KeeperHandler):
    """The browser forgets the session. A copy of its cookie stays good until the session ends, or
    the token is changed: there is no list of sessions."""

    @forms.SIGN_OUT
    def post(self) -> None:
        self.clear_cookie(COOKIE, **self.cookie_options)
        self.note("signed out")
        self.go("/keeper/sign-in")
