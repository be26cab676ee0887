"""Mutations of how an order is taken back: cancelled by a keeper, or undone by its buyer."""

from __future__ import annotations

from handlers.orders.service import OrderService
from storage import catalog, orders
from storage.catalog import Catalog
from storage.recent_sales import RecentSales
from storage.working_set import WorkingSet
from tests.simulation.mutations.mutation import mutation, shop

CANCELLING = (
    mutation(
        "what two keys cancel adds up",
        "S6",
        (Catalog, "_cancel", "quantity - total[book]", "quantity"),
        focus="cancelling",
        near=39,
    ),
    mutation(
        "a smaller total takes the place of a larger one",
        "S6",
        (Catalog, "_cancel", "if quantity > total[book]:", "if quantity != total[book]:"),
        focus="cancelling",
        near=27,
    ),
    mutation(
        "what is cancelled already is cancelled once more",
        "S6",
        (Catalog, "_cancel", "if known is not None and not back:", "if False:"),
        focus="cancelling",
    ),
    mutation(
        "more is cancelled than was sold",
        "S6",
        (Catalog, "_cancel", "if quantity > sold.get(book, 0):", "if False:"),
        focus="cancelling",
        near=6,
    ),
    mutation(
        "of what is cancelled only the last is known",
        "S6",
        (Catalog, "_cancel", 'else copies(known["cancelled"])', "else {}"),
        focus="cancelling",
    ),
    mutation(
        "a sale's key does not tell what was cancelled since",
        "S6",
        (Catalog, "_answer", 'if operation["op"] == "sell" and', "if False and"),
        focus="cancelling",
        near=8,
    ),
    shop(
        "orders do not take cancellations",
        "S6",
        (orders.Orders, "_project", "if order is None:", "if True:"),
        focus="cancelling",
    ),
    shop(
        "cancellations are not among the newest changes",
        "S6",
        (RecentSales, "committed", ', *put.get("cancellations", ())', ""),
        focus="cancelling",
        near=6,
    ),
    shop(
        "a cancellation is answered before its order shows it",
        "S6",
        (OrderService, "_cancelled", "and shows(order, wanted)", ""),
        focus="cancelling",
    ),
    shop(
        "an order shows what is cancelled on the present history alone",
        "S6",
        (orders, "in_all", "max(known.get(book, 0), cancelled.get(book, 0))", "cancelled[book]"),
        (orders, "in_all", "{**cancelled, **known}", "cancelled"),
        focus="cancelling, and restoring",
        near=165,
    ),
    shop(
        "an order keeps its number when it is cancelled",
        "S5",
        (orders.Orders, "_project", '"changed": number', '"changed": order["seq"]'),
        focus="cancelling",
    ),
)

UNDOING = (
    mutation(
        "a purchase is undone however late",
        "S6",
        (Catalog, "_cancel", '_in_time(sale, buyer["within_ms"], work.now_ms)', "pass"),
        focus="undoing",
    ),
    mutation(
        "it can be undone for a moment longer",
        "S6",
        (catalog, "_in_time", "passed_ms >= within_ms", "passed_ms > within_ms"),
        focus="undoing",
        near=14,
    ),
    mutation(
        "whoever knows an order undoes it",
        "S6",
        (WorkingSet, "sale", "if key is not None and", "if False and"),
        focus="undoing",
        near=8,
    ),
    mutation(
        "what is undone already is refused once it is late",
        "S6",
        (
            Catalog,
            "_cancel",
            "known is not None and not back:",
            "known and not back and not buyer:",
        ),
        focus="undoing",
    ),
    shop(
        "an order node forgets that it is the buyer who asks",
        "S6",
        (OrderService, "cancel", 'for name in ("buyer",) if name in item', "for name in ()"),
        focus="undoing",
    ),
)
