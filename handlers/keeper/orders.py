"""The orders of a time, newest first: as a page, and as a table for a spreadsheet.

Days are those of UTC, as all times that the shop shows are.
"""

from __future__ import annotations

import contextlib
import shlex
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bazar.errors import BadRequest
from bazar.replication.store import Answer
from handlers.keeper import forms, table
from handlers.keeper.base import KeeperHandler
from handlers.keeper.forms import ORDERS_FILE, ORDERS_PATH
from handlers.moments import MOMENT
from handlers.storefront.rendering import link
from handlers.validation import WORDS, trouble
from storage import exports

ON_PAGE = 50
DAY_MS = 86_400_000
STATES = {"": None, "some": True, "none": False}
"""What may be asked of cancelling: nothing, that something of an order is cancelled, or nothing."""


class OrdersHandler(KeeperHandler):
    def asked_for(self, name: str) -> str:
        return (self.given[name] or "").strip()

    def wanted(self) -> dict[str, Any]:
        """Return the orders that are wanted, as an order node takes it. Raises BadRequest."""
        since, until = (self._day(name) for name in ("since", "until"))
        if since is not None and until is not None and since > until:
            raise BadRequest("The first day is after the last one")
        q = self.asked_for("q")
        if q and (reason := trouble(q, "a title")):
            raise BadRequest(reason.removesuffix("."))
        part = {
            "since": None if since is None else MOMENT(str(since), "since"),
            "until": None if until is None else MOMENT(str(until), "until") + DAY_MS,
            "q": WORDS(q, "q") if q else None,
            "cancelled": STATES[self.given["cancelled"] or ""],
        }
        return {name: value for name, value in part.items() if value is not None}

    def _day(self, name: str) -> date | None:
        """Return a day, in the one form that a browser's field has."""
        text = self.asked_for(name)
        if not text:
            return None
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(text)
            if str(day) == text:
                return day
        raise BadRequest(f"“{text[:40]}” is no day such as 2026-11-29")

    async def read_page(self, wanted: dict[str, Any], place: str | None, limit: int) -> Answer:
        """Return so many of these orders, from the newest, or behind a place."""
        behind = {} if place is None else {"before": place}
        item = {"op": "sold", **wanted, **behind, "limit": limit}
        return await self.list_orders(item)

    @property
    def asked(self) -> dict[str, str | None]:
        """Return what was asked for, as it stands in addresses."""
        return {name: self.asked_for(name) or None for name in ("since", "until", "q", "cancelled")}


class OrdersPage(OrdersHandler):
    @forms.LIST_ORDERS
    async def get(self) -> None:
        found: dict[str, Any] = {"orders": [], "before": None, "looked_back_to": None}
        reason = None
        try:
            found = await self.read_page(self.wanted(), self.given["before"], ON_PAGE)
        except BadRequest as refusal:
            reason = f"{refusal}."
            self.set_status(400)
        asked = self.asked
        self.paint(
            "orders.html",
            title="Orders",
            reason=reason,
            asked=asked,
            days=self._days(),
            first=self.given["before"] is None,
            orders=found["orders"],
            looked_back_to=found["looked_back_to"],
            older=link(ORDERS_PATH, **asked, before=found["before"]) if found["before"] else None,
            file=link(ORDERS_FILE, **asked),
        )

    def _days(self) -> list[tuple[str, str]]:
        """Return times that are asked for most: a name, and an address."""
        today = datetime.fromtimestamp(self.service.context.wall(), UTC).date()
        times = (("Today", 0, 0), ("Yesterday", 1, 1), ("The last 7 days", 6, 0))
        return [
            (name, link(ORDERS_PATH, since=today - timedelta(first), until=today - timedelta(last)))
            for name, first, last in times
        ]


class OrdersFile(OrdersHandler):
    @forms.ORDERS_TABLE
    async def get(self) -> None:
        wanted = self.wanted()

        async def page(place: str | None) -> table.Page:
            found = await self.read_page(wanted, place, table.ON_PAGE)
            return found["orders"], found["before"]

        await table.send_table(self, "orders.csv", exports.LINE, page, self._instead(wanted))

    def _instead(self, wanted: dict[str, Any]) -> str:
        """Return the command that has no such bound. Its last day is the first that is left out."""
        flags = []
        if since := self._day("since"):
            flags += ["--since", str(since)]
        if (until := self._day("until")) and until < date.max:
            flags += ["--until", str(until + timedelta(1))]
        if "cancelled" in wanted:
            flags.append("--cancelled" if wanted["cancelled"] else "--no-cancelled")
        if "q" in wanted:
            flags += ["--words", *wanted["q"].split()]
        command = shlex.join(["python", "-m", "bazar", "orders", "--csv", *flags])
        return f"ask for a shorter time, or use `{command}`"
