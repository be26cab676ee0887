"""The figures of a node, for a Prometheus."""

from __future__ import annotations

import asyncio
import importlib
import logging

from bazar.metrics.figures import Figures
from bazar.metrics.tell import tell_traffic
from bazar.node.server import INTERNAL, METRICS_PATH, Route
from bazar.node.workers import labels_of
from handlers import verbs
from handlers.base import Handler


class MetricsHandler(Handler):
    """All that this process counts, as text."""

    log_level = logging.DEBUG  # it is asked for all the time
    counts = False

    @verbs.SHOW_FIGURES
    async def get(self) -> None:
        self.send(await self.figures())

    async def figures(self) -> Figures:
        """Return what this process alone tells."""
        # It takes a while to load, which nobody else is to wait for.
        await asyncio.to_thread(importlib.import_module, "bazar.metrics.exposition")
        from bazar.metrics.exposition import tell_build, tell_process

        context = self.service.context
        figures = Figures(labels_of(context.node.name))
        tell_build(figures, context.node.role)
        tell_traffic(figures, context.log.counted())
        self.service.measure(figures)
        tell_process(figures)
        return figures

    def send(self, figures: Figures) -> None:
        from bazar.metrics.exposition import CONTENT_TYPE, text

        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(text(figures))


ROUTE = Route(METRICS_PATH, MetricsHandler, INTERNAL)
