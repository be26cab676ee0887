"""What is a visitor's own, in cookies alone: a secret, and the orders that its browser remembers.

A page names a purchase; the sale's key is made of that name and the secret. Each order is a cookie
of its own, with the name of its purchase, so that two windows that buy at once can't lose one; they
are sent to `/receipt` and below, and to no other page. A cookie may be forged: the id of an order
gives what it gives everybody, and only name and secret together make the key by which the catalog
knows the buyer (S6).

What was bought last is in a short-lived cookie for all pages, which scripts may read: pages about
books are the same for all visitors.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from bazar.errors import NoCookie
from handlers.storefront.base import PageHandler

Order = Mapping[str, Any]
VISITOR = "visitor"
ASKED_COOKIE = "cookie"
KEPT_S = 365 * 86_400
ORDERS_PATH = "/receipt"
MAX_OWN = 40  # a browser keeps at least 50 cookies of a site (RFC 6265 section 6.1)
BOUGHT = "bought"
JUST_S = 600  # so long something was bought "just now"
MAX_BOUGHT = 5
OF_BASKET, UNDONE = "basket", "undone"

_DIGITS = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ORDER = re.compile(r"order-([0-9a-f]{32})", re.ASCII)
_BOUGHT = re.compile(
    rf"({OF_BASKET}|{UNDONE}|0|[1-9][0-9]{{0,17}})\.([0-9a-f]{{32}})\.([0-9a-f]{{32}})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Bought:
    """What was bought just now: the number of a book, or OF_BASKET; UNDONE if that was undone."""

    what: str
    order: str
    name: str


def short(name: str) -> str:
    """Return the name of a purchase with 32 digits: as most are, or a digest of it."""
    return name if _DIGITS.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()[:32]


class VisitorHandler(PageHandler):
    """A page, or a form, that belongs to one visitor."""

    # --- whose it is -----------------------------------------------------------------------------

    @property
    def secret(self) -> str | None:
        """Return the secret of this visitor's cookie, None if there is none."""
        found = self.get_cookie(VISITOR, "") or ""
        return found if _DIGITS.fullmatch(found) else None

    def know_visitor(self) -> None:
        """Set the cookie if there is none."""
        if self.secret is None:
            options = {**self.cookie_options, "httponly": True, "max_age": KEPT_S}
            self.set_cookie(VISITOR, secrets.token_hex(16), **options)

    def comes_back(self) -> bool:
        """Have a new visitor's form sent again, with a cookie; return whether it is. Raises
        NoCookie where it came back without one."""
        if self.secret is not None:
            return False
        if self.query(ASKED_COOKIE) is not None:
            self._miss_cookie()
        self.know_visitor()
        self.go(f"{self.request.path}?{ASKED_COOKIE}=1", 307)
        return True

    def _miss_cookie(self) -> NoReturn:
        self.know_visitor()
        raise NoCookie("the form came without the shop's cookie")

    def own_key(self, name: str) -> str:
        """Return the key of this visitor's purchase of that name. A link may carry any name, but
        only this visitor's secret makes the key, which gives access to the order.
        Raises NoCookie."""
        secret = self.secret
        if secret is None:
            self._miss_cookie()
        return hmac.new(secret.encode(), short(name).encode(), hashlib.sha256).hexdigest()[:32]

    # --- its orders ------------------------------------------------------------------------------

    def remember(self, order: str, name: str, what: str) -> None:
        """Have the browser remember a purchase."""
        name = short(name)
        options = {**self.cookie_options, "httponly": True, "max_age": KEPT_S}
        self.set_cookie(f"order-{order}", name, path=ORDERS_PATH, **options)
        self._keep([Bought(what, order, name), *self.bought()])

    def own_orders(self) -> dict[str, str]:
        """Return the orders that the browser remembers, the newest first: id -> name. It sends the
        oldest first (RFC 6265 section 5.4), and is to forget those before the last MAX_OWN."""
        found = {
            match[1]: morsel.value
            for cookie, morsel in reversed(self.cookies.items())
            if (match := _ORDER.fullmatch(cookie)) and _DIGITS.fullmatch(morsel.value)
        }
        for order in list(found)[MAX_OWN:]:
            del found[order]
            self.clear_cookie(f"order-{order}", path=ORDERS_PATH)
        return found

    def bought(self) -> list[Bought]:
        """Return what was bought just now, the last first."""
        parts = (self.get_cookie(BOUGHT, "") or "").split("~")
        matches = map(_BOUGHT.fullmatch, parts[:MAX_BOUGHT])
        return [Bought(*match.groups()) for match in matches if match is not None]

    def not_bought(self, order: str) -> None:
        """Note that a purchase was undone."""
        found = self.bought()
        if any(one.order == order for one in found):
            self._keep([replace(o, what=UNDONE) if o.order == order else o for o in found])

    def _keep(self, bought: list[Bought]) -> None:
        kept: dict[str, Bought] = {}
        for one in bought:
            kept.setdefault(one.order, one)
        last = list(kept.values())[:MAX_BOUGHT]
        text = "~".join(f"{one.what}.{one.order}.{one.name}" for one in last)
        self.set_cookie(BOUGHT, text, max_age=JUST_S, **self.cookie_options)
