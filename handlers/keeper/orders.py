"""The orders of a time, newest first: as a page, and as a table for a spreadsheet.

Days are those of UTC, as all times that the shop shows are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from bazar.errors import BadRequest
from bazar.replication.store import Answer
from handlers.keeper import forms
from handlers.keeper.base import KeeperHandler
from handlers.keeper.forms import ORDERS_FILE, ORDERS_PATH
from handlers.storefront.rendering import link
from handlers.validation import WORDS, trouble
from storage import exports

ON_PAGE = 50
ON_FILE_PAGE = 500
MOST_IN_FILE = 10_000
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
            raise BadRequest("The first day is after the last one.")
        q = self.asked_for("q")
        if q and (reason := trouble(q)):
            raise BadRequest(reason)
        part = {
            "since": None if since is None else _begins(since),
            "until": None if until is None else _begins(until) + DAY_MS,
            "q": WORDS(q, "q") if q else None,
            "cancelled": STATES[self.given["cancelled"] or ""],
            "before": self.given["before"],
        }
        return {name: value for name, value in part.items() if value is not None}

    def _day(self, name: str) -> date | None:
        text = self.asked_for(name)
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            raise BadRequest(f"“{text[:40]}” is no day such as 2026-11-29.") from None

    async def read_page(self, wanted: dict[str, Any], limit: int) -> Answer:
        item = {"op": "sold", **wanted, "limit": limit}
        page, replica = await self.service.list_orders(item, self.note)
        self.set_header("X-Replica", replica)
        return page

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
            found = await self.read_page(self.wanted(), ON_PAGE)
        except BadRequest as refusal:
            reason = str(refusal)
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
    """A table that has all of them or is refused: what was cut off would look whole."""

    @forms.ORDERS_TABLE
    async def get(self) -> None:
        wanted = self.wanted()
        write = exports.as_csv(exports.LINE, for_spreadsheets=True)
        rows, count = [exports.head(exports.LINE)], 0
        while True:
            page = await self.read_page(wanted, ON_FILE_PAGE)
            count += len(page["orders"])
            if count > MOST_IN_FILE:
                raise BadRequest(
                    f"since, until: that are more than {MOST_IN_FILE:,} orders; ask for a shorter"
                    " time, or use `python -m bazar orders --csv`"
                )
            rows.append(write(page["orders"]))
            if page["before"] is None:
                break
            wanted["before"] = page["before"]
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="orders.csv"')
        self.finish(b"".join(rows))


def _begins(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
