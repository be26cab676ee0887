"""The HTTP surface: one service a role, thin verbs over the rooms below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bazar.node.server import Context, Service
from handlers.catalog.service import CatalogService
from handlers.frontend.service import FrontEndService
from handlers.orders.service import OrderService
from handlers.replicated import ReplicatedService

REPLICATED: Mapping[str, type[ReplicatedService[Any]]] = {
    "order": OrderService,
    "catalog": CatalogService,
}

# Callers before those they call: in this order nodes stop without losing a request.
ROLES: Mapping[str, Callable[[Context], Service]] = {
    "frontend": FrontEndService,
    **REPLICATED,
}
