"""The state of a node, for load balancers and for operators."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable
from typing import Any

from bazar.node.server import INTERNAL, PUBLIC, Route
from bazar.node.status import machine_id
from handlers import verbs
from handlers.base import Handler


class HealthHandler(Handler):
    """200 while the process answers at all."""

    log_level = logging.DEBUG  # the supervisor asks very often
    counts = False

    @verbs.CHECK_HEALTH
    def get(self) -> None:
        self.answer({"node": self.service.context.node.name, "healthy": True})


class ReadyHandler(Handler):
    """200 while the node serves linearizable reads by itself, else 503 with the reason."""

    counts = False

    @verbs.CHECK_READINESS
    def get(self) -> None:
        self.service.ready()
        self.answer({"node": self.service.context.node.name, "ready": True})


class StatusHandler(Handler):
    """Everything `python -m bazar status` shows of this node."""

    log_level = logging.DEBUG  # an open dashboard asks very often

    def tell(self) -> dict[str, Any]:
        context = self.service.context
        process = {"pid": os.getpid(), "run": context.run, "machine": machine_id()}
        return {**self.service.status(), **process, "links": context.links.status()}

    @verbs.SHOW_STATUS
    def get(self) -> Awaitable[None] | None:
        self.answer(self.tell())
        return None


PROBES = (
    Route("/healthz", HealthHandler, PUBLIC),
    Route("/readyz", ReadyHandler, PUBLIC),
)
ROUTES = (*PROBES, Route("/status", StatusHandler, INTERNAL))
