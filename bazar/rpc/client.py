"""Calls between nodes: reused connections, a deadline, the token, and batching.

A call carries a list of items and answers with a list, one result per item, so that many items
share one call. An error that the other node raised is raised here as the same exception. Nodes call
each other over one connection of frames each; single requests, as most commands send them, are
plain HTTP.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from bazar import clock, deadlines, trace_context
from bazar.config import NodeConfig
from bazar.errors import (
    BazarError,
    Indeterminate,
    OtherToken,
    Unavailable,
    Untrusted,
    from_answer,
)
from bazar.futures import resolve
from bazar.rpc.batcher import Batcher
from bazar.rpc.frames import Dial, FrameConnection, dial
from bazar.rpc.other_clock import OtherClock

if TYPE_CHECKING:
    from tornado.curl_httpclient import CurlAsyncHTTPClient
    from tornado.httpclient import HTTPResponse

CALLS_PATH = "/calls/2"  # with its version: nodes of another version have no such path
MAX_CONNECTIONS = 32
DIAL_S = 0.3
SILENT_S = 1.0  # a shorter silence does not mean that the other end is dead
FRESH_S = 30.0  # after which the clock at the other end is known too badly


def error_body(error: BazarError) -> dict[str, Any]:
    """Return an error as one item of an answer."""
    plain = {"status": error.status, "code": error.code, "message": str(error)}
    return {**plain, "details": error.details} if error.details else plain


class Peer:
    """The calls to one node, over one connection, which is opened when it is needed."""

    def __init__(
        self,
        node: NodeConfig,
        token: str,
        dial_s: float = DIAL_S,
        silent_s: float = SILENT_S,
        dial: Dial = dial,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self._node = node
        self._token = token
        self._dial = dial
        self._clock = clock
        self._dial_s = dial_s
        self._silent_s = silent_s
        self._dialing = asyncio.Lock()
        self._connection: FrameConnection | None = None
        self._other = OtherClock(clock)
        self._answers: dict[int, tuple[FrameConnection, asyncio.Future[dict[str, Any]]]] = {}
        self._numbers = itertools.count(1)
        self._unheard_since: float | None = None
        """Since when calls wait and no frame has come, or None if no call waits."""

    async def call(
        self,
        path: str,
        items: list[Any],
        timeout_s: float,
        arbiter: str | None = None,
        traces: list[str] | None = None,
        until: Sequence[float] = (),
    ) -> dict[str, Any]:
        """Return the other node's answer, if it is under this arbiter (A2); `traces` has for each
        item the id of the request that it is for, `until` when whoever asked gives up (R9). Raises
        the error that it answered, Unavailable if nothing was sent, and Indeterminate."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        connection = self._usable() or await self._connect(timeout_s)
        number = next(self._numbers)
        plain = {"id": number, "path": path, "items": items, "arbiter": arbiter}
        if traces is not None:
            plain["traces"] = traces
        if until:
            plain["until"] = [self._other.at(moment) for moment in until]
        frame = orjson.dumps(plain)
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._answers[number] = connection, answer
        if self._unheard_since is None:
            self._unheard_since = loop.time()
        connection.send(frame)
        timer = loop.call_at(deadline, self._is_late, number, timeout_s)
        try:
            answered: dict[str, Any] = await answer
        finally:
            timer.cancel()
            self._answers.pop(number, None)
            if connection is not self._connection and not self._of(connection):
                connection.close()
        if "error" in answered:
            raise _error(answered["error"])
        return answered

    def _usable(self) -> FrameConnection | None:
        """Return the connection, unless it is over or was silent for so long that it is not known
        well enough what the clock at its other end shows."""
        connection = self._connection
        if connection is None or connection.closed or self._other.age_s > FRESH_S:
            return None
        return connection

    async def _connect(self, timeout_s: float) -> FrameConnection:
        """Return a connection, after all that want one have waited for the same. Raises OtherToken,
        Untrusted or Unavailable."""
        node = self._node.name
        try:
            async with asyncio.timeout(timeout_s), self._dialing:
                connection = self._usable()
                if connection is None:
                    # Give up early enough to raise Unavailable, and to try another replica: while a
                    # node restarts, its supervisor lets connections wait.
                    dial_s = min(self._dial_s, timeout_s / 2)
                    connection = await self._dial(self._node, CALLS_PATH, self._token, dial_s)
                    if self._connection is not None and not self._of(self._connection):
                        self._connection.close()
                    self._other = OtherClock(self._clock)
                    connection.on_frame = functools.partial(self._answered, self._other)
                    connection.on_lost = functools.partial(self._lost, connection)
                    self._connection, self._unheard_since = connection, None
                    connection.resume()
        except PermissionError as error:
            raise OtherToken(f"{node} does not know our token") from error
        except ssl.SSLError as error:
            raise Untrusted(f"{node}: {error}") from error
        except OSError as error:
            raise Unavailable(f"{node}: {str(error) or 'no connection in time'}") from error
        if connection.closed:
            raise Unavailable(f"{node}: the connection broke")
        return connection

    def _is_late(self, number: int, timeout_s: float) -> None:
        connection, answer = self._answers[number]
        since, now = self._unheard_since, asyncio.get_running_loop().time()
        silent = since is not None and now - since >= self._silent_s
        if silent and connection is self._connection:
            # The connection may be dead without having been closed, as when a machine loses power.
            # The next call opens a new one. The calls under way on this one may only be slow.
            self._connection = None
        resolve(answer, Indeterminate(f"{self._node.name}: no answer in {timeout_s:.1f} s"))

    def _answered(self, other: OtherClock, frame: bytes) -> None:
        try:
            plain = orjson.loads(frame)
            _, answer = self._answers.get(plain["id"], (None, None))
            if isinstance(now := plain.get("now"), float):
                other.heard(now)
        except (ValueError, KeyError, TypeError):
            self.close()
            return
        if answer is not None:
            resolve(answer, plain)
        others = len(self._answers) > 1
        self._unheard_since = asyncio.get_running_loop().time() if others else None

    def _of(self, connection: FrameConnection) -> list[asyncio.Future[dict[str, Any]]]:
        """Return the futures of the answers that are to come over this connection."""
        return [answer for one, answer in self._answers.values() if one is connection]

    def _lost(self, connection: FrameConnection) -> None:
        for answer in self._of(connection):
            resolve(answer, Indeterminate(f"{self._node.name}: the connection broke"))

    def close(self) -> None:
        under_way = [one for one, _ in self._answers.values()]
        for connection in dict.fromkeys([*under_way, self._connection]):
            if connection is not None:
                connection.close()
                self._lost(connection)


class RPCClient:
    """HTTP to the nodes of this cluster, and to no other host."""

    def __init__(
        self,
        token: str,
        dial_s: float = DIAL_S,
        dial: Dial = dial,
        clock: Callable[[], float] = clock.now,
    ) -> None:
        self.dial_s = dial_s
        self._dial = dial
        self._clock = clock
        self._http: CurlAsyncHTTPClient | None = None  # made with the first request
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Expect": "",
        }
        self.primaries: dict[str, str | None] = {}  # of each role, as one of its nodes said last
        self.arbiters: dict[str, Callable[[], str | None]] = {}
        """By each role that this node follows: its arbiter, None if that is not known yet."""
        self._token = token
        self._peers: dict[str, Peer] = {}
        self.batchers: dict[tuple[str, str], Batcher] = {}
        self._under_way: set[asyncio.Future[HTTPResponse]] = set()
        self._closed = False

    def gathers(self, nodes: Iterable[NodeConfig], path: str) -> str | None:
        """Return which of these nodes an item for `path` would be sent to together with others that
        wait for that now, if any."""
        for node in nodes:
            batcher = self.batchers.get((node.name, path))
            if batcher is not None and batcher.gathers:
                return node.name
        return None

    async def submit(self, node: NodeConfig, path: str, item: Any, timeout_s: float) -> Any:
        """Return one item's result from `path` at `node`; items for the same path travel together.
        It is begun there within `timeout_s`, and while whoever asked still waits, or never (R9).
        Raises the item's error, Unavailable or Indeterminate."""
        if self._closed:
            raise Unavailable(f"{node.name} is not asked: this node stops")
        batcher = self.batchers.get((node.name, path))
        if batcher is None:
            if node.name not in self._peers:
                self._peers[node.name] = Peer(
                    node, self._token, self.dial_s, dial=self._dial, clock=self._clock
                )
            peer = self._peers[node.name]

            async def call(asked: list[tuple[Any, str, float]], timeout_s: float) -> list[Any]:
                arbiter = self.arbiters.get(node.role)
                items, traces, until = map(list, zip(*asked, strict=True))
                try:
                    answer = await peer.call(
                        *(path, items, timeout_s, arbiter and arbiter()),
                        traces if any(traces) else None,
                        until,
                    )
                except (Unavailable, Indeterminate):
                    if self.primaries.get(node.role) == node.name:
                        del self.primaries[node.role]
                    raise
                try:
                    results = [_result(one) for one in answer["results"]]
                    self.primaries[node.role] = answer["primary"]
                except (KeyError, TypeError) as error:
                    raise Indeterminate(f"{node.name}: its answer can't be read") from error
                if len(results) != len(items):
                    raise Indeterminate(
                        f"{node.name}: {len(results)} answers to {len(items)} items"
                    )
                return results

            batcher = self.batchers[node.name, path] = Batcher(call)
        until = deadlines.of(timeout_s, self._clock())
        return await batcher.submit((item, trace_context.current.get(), until), timeout_s)

    async def call(
        self,
        node: NodeConfig,
        path: str,
        body: Any | None,
        timeout_s: float,
        key: str | None = None,
        method: str | None = None,
    ) -> Any:
        """Return the JSON answer of `path` at `node`: by this `method`, else POST with a body and
        GET without; `key` is the write's Idempotency-Key. Raises the error that it answered,
        Unavailable or Indeterminate."""
        # Here, as nodes ask each other without it, and libcurl takes long to load.
        from tornado.curl_httpclient import CurlAsyncHTTPClient, CurlError
        from tornado.httpclient import HTTPRequest

        from bazar.rpc.sending import Sending

        content = None if body is None else orjson.dumps(body)
        sending = Sending(content or b"", node.tls)
        request = HTTPRequest(
            node.url + path,
            method=method or ("GET" if body is None else "POST"),
            headers={
                **(self._headers | trace_context.headers()),
                **({"Idempotency-Key": key} if key else {}),
            },
            body=content,
            prepare_curl_callback=sending.install,
            connect_timeout=timeout_s,
            request_timeout=timeout_s,
            follow_redirects=False,
        )
        if self._closed:
            raise Unavailable(f"{node.name} is not asked: this node stops")
        if self._http is None:
            self._http = CurlAsyncHTTPClient(max_clients=MAX_CONNECTIONS, force_instance=True)
        fetching = self._http.fetch(request, raise_error=False)
        self._under_way.add(fetching)
        fetching.add_done_callback(self._ended)
        await asyncio.wait([fetching])  # it goes on if the caller is cancelled
        try:
            response = fetching.result()
        except CurlError as error:
            raise sending.failure(error)(f"{node.name}: {error}") from error
        if response.code in (401, 403):
            raise OtherToken(f"{node.name} does not know our token")
        try:
            answer = orjson.loads(response.body)
            if response.code >= 400:
                raise from_answer(response.code, answer["code"], answer["error"])
        except (ValueError, KeyError, TypeError) as error:
            raise Indeterminate(
                f"{node.name} answered {response.code}, which can't be read"
            ) from error
        return answer

    def _ended(self, fetching: asyncio.Future[HTTPResponse]) -> None:
        self._under_way.discard(fetching)
        fetching.exception()  # the caller may have gone: then nothing else reads it

    def close(self) -> None:
        # Tornado's curl client can't be closed during a transfer: its timer would use what was
        # freed. A client that is left open ends with the process.
        self._closed = True
        for peer in self._peers.values():
            peer.close()
        if self._http is not None and not self._under_way:
            self._http.close()


def _result(plain: Any) -> Any:
    return _error(plain["error"]) if "error" in plain else plain["answer"]


def _error(plain: Any) -> BazarError:
    return from_answer(plain["status"], plain["code"], plain["message"], plain.get("details"))
