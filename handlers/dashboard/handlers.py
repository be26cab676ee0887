"""The page that shows the cluster at work, its stream of events, and its buttons that disturb
nodes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

from tornado.iostream import StreamClosedError

from bazar.errors import Forbidden, NotFound, Unavailable
from bazar.replication.file_arbiter import lock_owner
from handlers.dashboard import verbs
from handlers.dashboard.poller import Views, Watch, send_away
from handlers.dashboard.rules import RULES
from handlers.frontend.handlers import FrontEndHandler
from handlers.storefront.base import PageHandler

SIGNALS = {"pause": signal.SIGSTOP, "return": signal.SIGCONT, "kill": signal.SIGKILL}
QUIET_S = 15.0


class ClusterPage(PageHandler):
    @verbs.SHOW_CLUSTER
    def get(self) -> None:
        config = self.service.context.config
        nodes = list(config.nodes.values())
        self.paint(
            "cluster.html",
            title="The cluster",
            nodes=nodes,
            settings=json.dumps(
                {
                    "nodes": [{"name": node.name, "role": node.role} for node in nodes],
                    "lease_s": config.replication.lease_s,
                }
            ),
            local=all(node.is_local for node in nodes),
            database=config.engine.kind == "postgresql",
            rules=RULES,
        )


class Watching(FrontEndHandler):
    """Base of the handlers that use the poller."""

    def initialize(self, service: Any, access: str, watch: Any = None) -> None:
        super().initialize(service, access)
        self.watch: Watch = watch


class WatchHandler(Watching):
    """Sends views of the cluster as server-sent events, several times a second. Of over 32 watchers
    the oldest is sent away, and comes back."""

    counts = False  # it lasts as long as the page is open
    _gone = False
    _views: Views | None = None

    @verbs.WATCH
    async def get(self) -> None:
        if self._gone:
            return
        watch = self.watch
        views = self._views = watch.join()
        self._begin()
        try:
            self.write("retry: 1000\n\n")
            await self.flush()
            while await self.service.context.activity.unless_leaving(self._next(views)):
                await self.flush()
        except StreamClosedError:
            pass
        finally:
            watch.leave(views)
        if not self._gone:
            self.finish()

    async def head(self, *path: str) -> None:
        self._begin()

    def _begin(self) -> None:
        """Have proxies pass on each view at once: nginx would buffer them, and others might
        compress them."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache, no-store, no-transform")
        self.set_header("X-Accel-Buffering", "no")

    async def _next(self, views: Views) -> bool:
        """Write the next view. Return False if there is none, or if the client is gone."""
        try:
            async with asyncio.timeout(QUIET_S):
                seen = await views.get()
        except TimeoutError:
            self.write(": still here\n\n")
            return True
        if not seen or self._gone:
            return False
        self.write(f"data: {json.dumps(seen, ensure_ascii=False)}\n\n")
        return True

    def on_connection_close(self) -> None:
        self._gone = True
        if self._views is not None:
            send_away(self._views)


class FaultInjectionHandler(Watching):
    """Sends a signal to a replica of this machine."""

    counts = False

    @verbs.DISTURB
    def post(self, name: str) -> None:
        config = self.service.context.config
        if not all(node.is_local for node in config.nodes.values()):
            raise Forbidden("only a cluster on the loopback interface can be disturbed from here")
        act = self.json_body()["do"]
        node = config.nodes.get(name)
        if node is None or node.role == "frontend":
            raise NotFound("only the nodes of the catalog and of the orders can be disturbed")
        pid = lock_owner(config.data_dir / f"{name}.pid")
        try:
            os.kill(pid, SIGNALS[act])
        except OSError as error:
            raise Unavailable(f"{name}: {error.strerror}") from error
        self.watch.note(f"{name} gets {SIGNALS[act].name} from this page", kind="drop")
        self.answer({"node": name, "did": act})
