"""This node's end of each link, cut and slowed while people look on."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from bazar.config import Config
from bazar.errors import Forbidden, NotFound
from bazar.node.server import INTERNAL, Context, Route
from handlers import verbs
from handlers.base import Handler
from handlers.paths import LINKS_PATH

MENDS_S = 60.0  # then by itself: a link that is forgotten does no harm


def refuse_other_machines(config: Config) -> None:
    """Raise Forbidden where nodes serve more than this machine: there nobody only looks on."""
    if not config.is_local:
        raise Forbidden("only a cluster on the loopback interface can be disturbed from here")


def impair(context: Context, name: str, how: Mapping[str, Any]) -> None:
    """Do to the link to this node what is asked. Raises Forbidden and NotFound."""
    refuse_other_machines(context.config)
    if name not in context.config.nodes:
        raise NotFound(f"no such node: {name[:100]}")
    if how["do"] == "mend":
        context.links.mend(name)
    else:
        delay_s = inf if how["do"] == "cut" else how["delay_ms"] / 1000
        context.links.impair(name, delay_s, MENDS_S)


class LinkHandler(Handler):
    """Tells what else is cut or slow here, too."""

    counts = False

    @verbs.IMPAIR_LINK
    def post(self, name: str) -> None:
        context = self.service.context
        impair(context, name, self.json_body())
        self.answer({"links": context.links.status()})


ROUTE = Route(f"{LINKS_PATH}/([^/]+)", LinkHandler, INTERNAL)
