"""Orders as their buyer has them: a list, a receipt, and undoing one (S6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from bazar.errors import NotBuyer
from handlers.storefront import forms, rendering
from handlers.storefront.forms import KEEP, KEPT
from handlers.storefront.visitor import MAX_OWN, ORDERS_PATH, Order, VisitorHandler
from storage.books import moment
from storage.orders import kept

FEW = 4  # books of an order that the list names


class OrderPage(VisitorHandler):
    """A page that shows orders."""

    @property
    def undo_ms(self) -> int:
        return int(1000 * self.service.context.config.purchase.undo_s)

    def until(self, order: Order) -> str | None:
        """Return until when something of this order can be undone; None if nothing can any more, as
        far as a front end can tell: what counts is the clock of the catalog's primary."""
        sold_ms = round(1000 * datetime.fromisoformat(order["sold_at"]).timestamp())
        until_ms = sold_ms + self.undo_ms
        is_over = 1000 * self.service.context.wall() >= until_ms
        return None if is_over or not any(kept(order).values()) else moment(until_ms)


class OrdersPage(OrderPage):
    """Shows the orders that the browser remembers, the newest first."""

    @forms.ORDERS
    async def get(self) -> None:
        own = self.own_orders()
        orders = await self.read_orders(own) if own else []
        orders.sort(key=lambda one: str(one["sold_at"]), reverse=True)
        missing = own.keys() - {order["order_id"] for order in orders}
        self.paint(
            "orders.html",
            title="Your orders",
            orders=[(order, any(kept(order).values()), self.until(order)) for order in orders],
            missing=[order for order in own if order in missing],
            most=MAX_OWN,
            few=FEW,
        )


class ReceiptPage(OrderPage):
    """Shows an order to whoever has its address, and lets the buyer undo it."""

    @forms.RECEIPT
    async def get(self, order: str) -> None:
        is_own = order in self.own_orders()
        shown = await self.read_order(order)
        until = self.until(shown) if is_own else None
        self.paint(
            "receipt.html",
            title="Your order" if is_own else "An order",
            order=shown,
            kept=kept(shown),
            own=is_own,
            just=any(one.order == order for one in self.bought()),
            until=until,
            over=is_own and until is None and self.undo_ms > 0 and any(kept(shown).values()),
        )


class UndoHandler(OrderPage):
    """Undoes all of an order, or what of it is not to be kept. Only the browser that has bought it
    can make the sale's key, and the catalog knows no buyer by anything else."""

    apologies = rendering.UNDOING

    @forms.UNDO
    async def post(self, order: str) -> None:
        name = self.own_orders().get(order)
        if name is None:
            raise NotBuyer(f"this browser does not know order {order}")
        buyer = {"key": self.own_key(name), "within_ms": self.undo_ms}
        fields = {one: self.form(one) for one in self.request.body_arguments if KEEP.fullmatch(one)}
        self.retry = f"{ORDERS_PATH}/{order}/undo", [*fields.items()]
        lines = self._undone(await self.read_order(order), fields)
        if lines:
            self.check_buying()
            # Totals: whatever is asked for twice, under whatever key, is done once (S6).
            key = self.own_key(f"undo {order} {json.dumps(lines)}")
            item = {"key": key, "order_id": order, "lines": lines, "buyer": buyer}
            if not any(kept(await self.cancel(item)).values()):
                self.not_bought(order)
        self.go(f"{ORDERS_PATH}/{order}")

    def _undone(self, order: Order, fields: Mapping[str, str]) -> list[dict[str, int]]:
        """Return how many copies of each book are undone then, in all: without `fields` all."""
        lines = []
        for line in order["lines"]:
            book, quantity, field = line["book"], line["quantity"], f"keep-{line['book']}"
            keep = quantity if fields else 0
            if field in fields:
                keep = KEPT.typed(fields[field], field)
            if keep < quantity:
                lines.append({"book": book, "quantity": quantity - keep})
        return lines
