"""The HTTP surface, put together: one service a role, and the paths that it is asked by.

A role is imported where a node of it is made. A process runs one role, and a supervisor none: what
the others need would be a third of what a start takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bazar.node.server import Context, Service


def _frontend(context: Context) -> Service:
    from handlers import storefront
    from handlers.dashboard import dashboard
    from handlers.frontend.handlers import ROUTES
    from handlers.frontend.service import FrontEndService, Room
    from handlers.keeper import keeper

    rooms = (lambda _: Room(ROUTES), dashboard, keeper, lambda _: Room(storefront.ROUTES))
    return FrontEndService(context, rooms)


def _order(context: Context) -> Service:
    from handlers.orders.handlers import ROUTES
    from handlers.orders.service import OrderService

    return OrderService(context, ROUTES)


def _catalog(context: Context) -> Service:
    from handlers.catalog.handlers import ROUTES
    from handlers.catalog.service import CatalogService

    return CatalogService(context, ROUTES)


# Callers before those they call: in this order nodes stop without losing a request.
ROLES: Mapping[str, Callable[[Context], Service]] = {
    "frontend": _frontend,
    "order": _order,
    "catalog": _catalog,
}
