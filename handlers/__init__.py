"""The HTTP surface: one service a role, thin verbs over the rooms below."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bazar.app import Context, Service
from handlers.catalog import CatalogService
from handlers.frontend import FrontEndService
from handlers.order import OrderService

ROLES: Mapping[str, Callable[[Context], Service]] = {
    "frontend": FrontEndService,
    "catalog": CatalogService,
    "order": OrderService,
}
