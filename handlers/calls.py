"""The calls between nodes: lists of items, answered one by one, over HTTP or as frames."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import orjson

from bazar import deadlines, trace_context
from bazar.errors import BadRequest, BazarError, Indeterminate, NotFound, ShuttingDown, Unavailable
from bazar.http.access_log import printable
from bazar.http.traffic import CALLS, kind_of
from bazar.replication.store import Answer
from bazar.rpc.batcher import MAX_BATCH_ITEMS
from bazar.rpc.client import error_body
from bazar.rpc.frames import FrameConnection
from handlers import verbs
from handlers.base import Handler
from handlers.feed import Replicated, UpgradeHandler

log = logging.getLogger(__name__)

MAX_CALLERS = 1024
MAX_TRACE_ID = 64
MAX_SHOWN = 100  # characters of a path
UNKNOWN = kind_of("-", CALLS)


@dataclass(frozen=True, slots=True)
class Call:
    """The method that takes the items of one path, and at which level they are logged."""

    method: Callable[[dict[str, Any]], Awaitable[Answer]]
    log_level: int = logging.INFO


def _ids(traces: Any) -> list[str]:
    """Return the ids of an optional field, none where it is not as it should be."""
    if not isinstance(traces, list) or len(traces) > MAX_BATCH_ITEMS:
        return []
    return [one[:MAX_TRACE_ID] if isinstance(one, str) else "" for one in traces]


def _deadlines(until: Any, opened: float) -> list[float]:
    """Return the deadlines of an optional field on our clock, none where it is not as it should
    be."""
    if not isinstance(until, list) or not all(isinstance(one, int | float) for one in until):
        return []
    return [opened + one for one in until]


class CallingService(Replicated, Protocol):
    calls: Mapping[str, Call]
    callers: dict[FrameConnection, None]


async def answer_all(
    service: CallingService,
    call: Call,
    items: Any,
    traces: Sequence[str] = (),
    until: Sequence[float] = (),
) -> dict[str, Any]:
    """Return `{"answer": …}` or `{"error": …}` for each item; and the primary, for callers that
    would rather ask it. `traces` has the ids of the requests that the items are for, `until` when
    whoever asked gives up (R9). Raises BadRequest."""

    async def one(item: Any, trace: str, deadline: float) -> dict[str, Any]:
        trace_context.current.set(trace)
        deadlines.current.set(deadline)
        try:
            if not isinstance(item, dict):
                raise BadRequest("an item: must be a JSON object")
            return {"answer": await call.method(item)}
        except BazarError as error:
            return {"error": error_body(error)}
        except Exception as error:  # the others of the batch have their own answers
            log.exception("an item of a batch failed")
            return {"error": error_body(Indeterminate(f"unexpected: {error}"))}

    if not isinstance(items, list):
        raise BadRequest("items: must be a list")
    own = trace_context.current.get()
    if len(traces) != len(items):
        traces = [own] * len(items)
    if len(until) != len(items):
        until = [inf] * len(items)
    if len(items) == 1:  # the usual case where few buy: it needs no task
        results = [await one(items[0], traces[0], until[0])]
    else:
        results = await asyncio.gather(*map(one, items, traces, until))
    leader = service.replica.leader
    return {"results": results, "primary": leader.name if leader else None}


class BatchHandler(Handler):
    """One call as a POST."""

    service: CallingService

    def initialize(self, service: Any, access: str, call: Any = None) -> None:
        super().initialize(service, access)
        self.call: Call = call
        self.log_level = call.log_level

    @classmethod
    def about(cls, options: Mapping[str, Any]) -> str:
        return inspect.getdoc(options["call"].method) or ""

    @verbs.ANSWER_ITEMS
    async def post(self) -> None:
        items = self.json_body()["items"]
        self.note(f"{len(items)} items")
        self.answer(await answer_all(self.service, self.call, items))


class CallsHandler(UpgradeHandler):
    """A connection of many calls, as frames: `{"id", "path", "items", "arbiter", "traces",
    "until"}` is answered, in any order, by `{"id", "now", "results", "primary"}` or `{"id", "now",
    "error"}`. `arbiter` is the one under which the caller follows this group, if it does (A2);
    `traces`, if it is there, has the id of each item's request, and `until` its deadline (R9): in
    seconds since the connection was opened here, as `now` is."""

    service: CallingService

    def open_connection(self) -> FrameConnection:
        if len(self.service.callers) >= MAX_CALLERS:
            raise Unavailable(f"{self.service.context.node.name} has {MAX_CALLERS} callers already")
        self.opened = self.service.context.clock()
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
            traces, until = _ids(plain.get("traces")), _deadlines(plain.get("until"), self.opened)
            status = 200
            call = service.calls.get(path)
            try:
                if activity.draining:
                    raise ShuttingDown(f"{node} is about to stop")
                if call is None:
                    raise NotFound(f"no such call: {str(path)[:MAX_SHOWN]}")
                service.replica.refuse_other(plain.get("arbiter"))
                answer = await answer_all(service, call, items, traces, until)
            except BazarError as error:
                answer, status = {"error": error_body(error)}, error.status
            answer = {"id": number, "now": clock() - self.opened, **answer}
            self.connection.send(orjson.dumps(answer))
        except (ValueError, KeyError, TypeError) as error:
            log.error("%s: a call that can't be read: %s", node, error)
            self.connection.close()
            self.on_lost()
        else:
            count = len(items) if isinstance(items, list) else 0
            service.context.log.add(
                printable(",".join(dict.fromkeys(filter(None, traces))).encode()) or b"-",
                *(self.caller, b"CALL", str(path)[:MAX_SHOWN].encode()),
                *(status, 1000 * (clock() - began), b"%d items" % count),
                UNKNOWN if call is None else kind_of(path, CALLS),
                logging.WARNING if call is None else call.log_level,
            )
        finally:
            activity.leave(under_way)
