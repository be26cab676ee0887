"""An order, and what is cancelled of it: copies that come back, so many in all (S6)."""

from __future__ import annotations

from typing import Any

from bazar.errors import BadRequest, Conflict, KeyReused
from bazar.replication.store import Answer
from handlers.keeper import forms
from handlers.keeper.base import KeeperHandler
from handlers.keeper.book import SENT_BEFORE
from handlers.keeper.fields import Copies, Field, Typed
from handlers.keeper.forms import CANCELLED, COPIES, ORDERS_PATH, SURE, WAS
from handlers.storefront.base import new_key
from handlers.storefront.rendering import link
from storage.books import copies
from storage.orders import kept

NOT_SURE = "Nothing brings a cancelled order back: say that you mean it."


class OrderPage(KeeperHandler):
    @forms.ORDER_PAGE
    async def get(self, order_id: str) -> None:
        did = self.given["did"]
        if self.keyed(did=did):
            order = await self.read_order(order_id)
            self._show(order, Typed(_shown(order)), did=CANCELLED.get(did))

    @forms.CANCEL_ORDER
    async def post(self, order_id: str) -> None:
        order = await self.read_order(order_id)
        match self.form("do"):
            case "all":
                await self._all(order)
            case "part":
                await self._part(order)
            case _:
                raise BadRequest("do: must be all or part")

    async def _all(self, order: Answer) -> None:
        typed = Typed(_shown(order))
        if SURE in self.fields(SURE):
            await self._cancel(order, typed, {})
        else:
            self._show(order, typed, 400, told=NOT_SURE)

    async def _part(self, order: Answer) -> None:
        """Cancel what was typed over what the form had: what others have cancelled meanwhile is
        theirs, and the same form is the same request whatever they do."""
        fields = _fields(order)
        typed = Typed.read(fields, {one.name: self.form(one.name) for one in fields})
        lines = []
        for one, line in zip(fields, order["lines"], strict=True):
            before = one.kind.typed(self.form(f"{WAS}{one.name}"), f"{WAS}{one.name}")
            copies = typed.values.get(one.name)
            if copies == before:
                typed.texts[one.name] = _shown(order)[one.name]
            elif copies is not None and copies < before:
                typed.refuse(one, "what is cancelled stays so: it can be more, and not less")
            elif copies is not None:
                lines.append({"book": line["book"], "quantity": copies})
        if typed.reasons:
            self._show(order, typed, 400)
        elif lines:
            await self._cancel(order, typed, {"lines": lines})
        else:
            self._done(order["order_id"], "nothing")

    async def _cancel(self, order: Answer, typed: Typed, what: dict[str, Any]) -> None:
        item = {"key": self.given["key"], "order_id": order["order_id"], **what}
        try:
            answer = await self.cancel(item)
        except KeyReused as refusal:
            self._show(order, typed, refusal.status, key=new_key(), told=SENT_BEFORE)
        except Conflict as refusal:
            self._show(order, typed, refusal.status, told=f"The shop refuses it: {refusal}.")
        else:
            self._done(order["order_id"], "again" if answer["replayed"] else "cancelled")

    def _done(self, order_id: str, did: str) -> None:
        """Lead to the order, and say what was done."""
        self.go(link(f"{ORDERS_PATH}/{order_id}", key=new_key(), did=did))

    def _show(self, order: Answer, typed: Typed, status: int = 200, **more: Any) -> None:
        self.set_status(status)
        title = f"Order {order['order_id'][:8]}…"
        shown = {
            "title": title if status < 400 else f"Error: {title}",
            "order": order,
            "cancelled": copies(order.get("cancelled", ())),
            "all_is_cancelled": not any(kept(order).values()),
            "fields": _fields(order),
            "was": _shown(order),
            "typed": typed,
            "key": self.given["key"],
            "did": None,
            "told": None,
        }
        self.paint("order.html", **{**shown, **more})


def _name(line: Answer) -> str:
    return f"{COPIES}{line['book']}"


def _fields(order: Answer) -> list[Field]:
    """Return an input for each line: how many of its copies are cancelled in all."""
    return [
        Field(
            _name(line),
            line["title"],
            Copies(0, line["quantity"]),
            f"Cancelled in all, of {line['quantity']}.",
            "numeric",
        )
        for line in order["lines"]
    ]


def _shown(order: Answer) -> dict[str, str]:
    """Return what the inputs have at first."""
    known = copies(order.get("cancelled", ()))
    return {_name(line): str(known.get(line["book"], 0)) for line in order["lines"]}
