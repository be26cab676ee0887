"""The calls between nodes: lists of items, answered one by one, over HTTP or as frames."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from bazar.errors import BadRequest, BazarError, Indeterminate, NotFound, ShuttingDown, Unavailable
from bazar.http.access_log import access_log
from bazar.replication.store import Answer
from bazar.rpc.client import error_body
from bazar.rpc.frames import FrameConnection
from handlers import validation
from handlers.base import Handler
from handlers.feed import Replicated, UpgradeHandler

log = logging.getLogger(__name__)

MAX_CALLERS = 1024


@dataclass(frozen=True, slots=True)
class Call:
    """The method that takes the items of one path, and at which level they are logged."""

    method: Callable[[dict[str, Any]], Awaitable[Answer]]
    log_level: int = logging.INFO


class CallingService(Replicated, Protocol):
    calls: Mapping[str, Call]
    callers: dict[FrameConnection, None]


async def answer_all(service: CallingService, call: Call, items: Any) -> dict[str, Any]:
    """Return `{"answer": …}` or `{"error": …}` for each item; and the primary, for callers that
    would rather ask it. Raises BadRequest."""

    async def one(item: Any) -> dict[str, Any]:
        try:
            return {"answer": await call.method(item)}
        except BazarError as error:
            return {"error": error_body(error)}
        except Exception as error:  # the others of the batch have their own answers
            log.exception("an item of a batch failed")
            return {"error": error_body(Indeterminate(f"unexpected: {error}"))}

    if not isinstance(items, list):
        raise BadRequest("items: must be a list")
    if len(items) == 1:  # the usual case where few buy: it needs no task
        results = [await one(items[0])]
    else:
        results = await asyncio.gather(*map(one, items))
    leader = service.replica.leader
    return {"results": results, "primary": leader.name if leader else None}


class BatchHandler(Handler):
    """One call as a POST: `{"items": [...]}`."""

    service: CallingService

    def initialize(self, service: Any, access: str, call: Any = None) -> None:
        super().initialize(service, access)
        self.call: Call = call
        self.log_level = call.log_level
        self.max_body_bytes = service.max_body_bytes

    async def post(self) -> None:
        body = self.json_body()
        validation.only(body, {"items"}, "body")
        items = body.get("items")
        if isinstance(items, list):
            self.note(f"{len(items)} items")
        self.answer(await answer_all(self.service, self.call, items))


class CallsHandler(UpgradeHandler):
    """A connection of many calls, as frames: `{"id", "path", "items", "arbiter"}` is answered, in
    any order, by `{"id", "results", "primary"}` or `{"id", "error"}`. `arbiter` is the one under
    which the caller follows this group, if it does (A2)."""

    service: CallingService

    def open_connection(self) -> FrameConnection:
        if len(self.service.callers) >= MAX_CALLERS:
            raise Unavailable(f"{self.service.context.node.name} has {MAX_CALLERS} callers already")
        self.tasks: dict[asyncio.Task[None], None] = {}
        self.connection = FrameConnection(self.on_frame, self.on_lost)
        self.service.callers[self.connection] = None
        return self.connection

    def on_lost(self) -> None:
        self.service.callers.pop(self.connection, None)

    def on_frame(self, frame: bytes) -> None:
        task = asyncio.create_task(self.answer_call(frame))
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)

    async def answer_call(self, frame: bytes) -> None:
        service = self.service
        clock = service.context.clock
        began = clock()
        node, activity = service.context.node.name, service.context.activity
        under_way = object()
        activity.enter(under_way)
        try:
            plain = orjson.loads(frame)
            number, path, items = plain["id"], plain["path"], plain["items"]
            call = service.calls.get(path)
            try:
                if activity.draining:
                    raise ShuttingDown(f"{node} is about to stop")
                if call is None:
                    raise NotFound(f"no such call: {str(path)[:100]}")
                service.replica.refuse_other(plain.get("arbiter"))
                answer = await answer_all(service, call, items)
            except BazarError as error:
                answer = {"error": error_body(error)}
            self.connection.send(orjson.dumps({"id": number, **answer}))
        except (ValueError, KeyError, TypeError) as error:
            log.error("%s: a call that can't be read: %s", node, error)
            self.connection.close()
            self.on_lost()
        else:
            level = call.log_level if call is not None else logging.WARNING
            spent_ms = 1000 * (clock() - began)
            count = len(items) if isinstance(items, list) else 0
            access_log.log(level, "%s %s %.1f ms - %d items", node, path, spent_ms, count)
        finally:
            activity.leave(under_way)
