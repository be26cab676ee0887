"""The page that shows the cluster at work, its stream of events, and its buttons that disturb
nodes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tornado.iostream import StreamClosedError

from bazar.config import NodeConfig
from bazar.errors import BadRequest, BazarError, Indeterminate, NotFound, Unavailable
from bazar.replication.file_arbiter import lock_owner
from handlers.dashboard import verbs
from handlers.dashboard.poller import Views, Watch, send_away
from handlers.dashboard.rules import RULES
from handlers.frontend.handlers import FrontEndHandler
from handlers.links import MENDS_S, refuse_other_machines
from handlers.paths import LINKS_PATH
from handlers.storefront.base import PageHandler
from handlers.verbs import MAX_DELAY_MS

SIGNALS = {"pause": signal.SIGSTOP, "return": signal.SIGCONT, "kill": signal.SIGKILL}
QUIET_S = 15.0
TELL_S = 1.0


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
            local=config.is_local,
            linked=next((node for node in nodes if node.role == "catalog"), None),
            mends_s=round(MENDS_S),
            max_delay_ms=MAX_DELAY_MS,
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
        refuse_other_machines(config)
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


class LinksHandler(Watching):
    """Cuts, slows or mends the link between two nodes, at both of its ends."""

    counts = False

    @verbs.DISTURB_LINK
    async def post(self) -> None:
        refuse_other_machines(self.service.context.config)
        how = self.json_body()
        names = how.pop("between")
        one, other = ends = [self._node(name) for name in names]
        if one.role == other.role == "frontend":
            raise BadRequest("between: there is no link from front end to front end")
        if one is other:
            raise BadRequest(f"between: {one.name} twice")
        if silent := await self._tell(ends, how):
            told = f"{' and '.join(silent)}: can't be told; the link"
            if how["do"] != "mend":
                # Where it can't be cut at both ends, it is to be whole at both.
                still_cut = set(await self._tell(ends, {"do": "mend"})) - set(silent)
                if not still_cut:
                    raise Unavailable(f"{told} is whole")
            raise Indeterminate(
                f"{told} may be whole at one end alone, and mends by itself within {MENDS_S:.0f} s"
            )
        for_s = 0.0 if how["do"] == "mend" else MENDS_S
        self.answer({"between": names, "did": how["do"], "for_s": for_s})

    def _node(self, name: str) -> NodeConfig:
        node = self.service.context.config.nodes.get(name)
        if node is None:
            raise NotFound(f"no such node: {name[:100]}")
        return node

    async def _tell(self, ends: Sequence[NodeConfig], how: Mapping[str, Any]) -> list[str]:
        """Tell both ends. Return the names of those that can't be told."""

        async def tell(node: NodeConfig, other: NodeConfig) -> str | None:
            path = f"{LINKS_PATH}/{quote(other.name)}"
            try:
                await self.service.client.call(node, path, how, TELL_S)
            except BazarError:
                return node.name
            return None

        one, other = ends
        told = await asyncio.gather(tell(one, other), tell(other, one))
        return [name for name in told if name is not None]
