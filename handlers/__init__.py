"""The HTTP surface, put together: one service a role, and the paths that it is asked by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bazar.node.server import Context, Service
from handlers import storefront
from handlers.catalog.handlers import ROUTES as CATALOG_ROUTES
from handlers.catalog.service import CatalogService
from handlers.dashboard import dashboard
from handlers.frontend.handlers import ROUTES as FRONTEND_ROUTES
from handlers.frontend.service import FrontEndService, Room
from handlers.orders.handlers import ROUTES as ORDERS_ROUTES
from handlers.orders.service import OrderService
from handlers.replicated import ReplicatedService

REPLICATED: Mapping[str, type[ReplicatedService[Any]]] = {
    "order": OrderService,
    "catalog": CatalogService,
}

# Callers before those they call: in this order nodes stop without losing a request.
ROLES: Mapping[str, Callable[[Context], Service]] = {
    "frontend": lambda context: FrontEndService(
        context,
        (lambda _: Room(FRONTEND_ROUTES), dashboard, lambda _: Room(storefront.ROUTES)),
    ),
    "order": lambda context: OrderService(context, ORDERS_ROUTES),
    "catalog": lambda context: CatalogService(context, CATALOG_ROUTES),
}
