"""The page that shows the cluster at work: who leads, who follows, and what requests wait for."""

from __future__ import annotations

from bazar.node.server import INTERNAL, PUBLIC, Route
from handlers.dashboard.handlers import (
    ClusterPage,
    FaultInjectionHandler,
    LinksHandler,
    WatchHandler,
)
from handlers.dashboard.poller import Watch
from handlers.dashboard.trace_handlers import TraceHandler
from handlers.frontend.service import FrontEndService, Room


def dashboard(service: FrontEndService) -> Room:
    """Return the paths of a front end's dashboard, and the poller that all its watchers share."""
    watch = Watch(service.context, service.client)
    shared = {"watch": watch}
    routes = (
        Route("/cluster", ClusterPage, PUBLIC),
        Route("/cluster/events", WatchHandler, PUBLIC, shared),
        Route("/cluster/try", TraceHandler, PUBLIC),
        Route("/cluster/links", LinksHandler, INTERNAL, shared),
        Route("/cluster/nodes/([^/]+)", FaultInjectionHandler, INTERNAL, shared),
    )
    return Room(routes, watch.close)
