"""One request in the hands of a Tornado application, spoken to through Tornado's own interfaces:
the application is called with a `HTTPServerRequest`, this is its `HTTPConnection`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn, Protocol

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError

from bazar.errors import BadRequest, BazarError
from bazar.http.parser import Request
from bazar.http.served_request import ClientContext, Failed, ServedRequest

log = logging.getLogger(__name__)

Application = Callable[[ServedRequest], object]
"""Begins to answer, and returns what goes on with it, if anything. Raises HTTPInputError."""


class ClientConnection(Protocol):
    """The side of the connection that an answer goes to."""

    peer: ClientContext

    def detach(self) -> tuple[asyncio.Transport, bytes]: ...

    def write(self, data: bytes) -> asyncio.Future[None]:
        """Write; the future is done when more may be written, and fails with StreamClosedError if
        the client has gone."""

    def date(self) -> str:
        """Return what an answer's Date says now."""

    def keeps_alive(self) -> bool:
        """Whether another request may follow on this connection."""

    def answered(self, keep_alive: bool) -> None: ...
    def refuse(self, error: BazarError, headers: HTTPHeaders | None = None) -> None: ...
    def abort(self) -> None: ...


def connection_header(version: str, keep_alive: bool) -> str | None:
    """Return what the answer's Connection says, where that isn't what the version implies."""
    if version == "HTTP/1.1":
        return None if keep_alive else "close"
    return "Keep-Alive" if keep_alive else None


class Exchange(HTTPConnection):
    """From a whole request to the end of its answer."""

    def __init__(self, client: ClientConnection, request: Request) -> None:
        self.context = client.peer
        self._client: ClientConnection | None = client
        self._request = request
        self._on_close: Callable[[], None] | None = None
        self._work: object = None  # asyncio itself keeps no task
        self._begun = False
        self._keep_alive = False
        self._chunked = False
        self._remaining: int | None = None  # what Content-Length still promises

    def run(self, application: Application, failed: Failed | None = None) -> None:
        """Give the whole request to the application, with what it has met, if anything. It answers
        through the methods below, whenever."""
        request = self._request
        try:
            start_line, headers, body = request.start_line, request.headers, bytes(request.body)
            served = ServedRequest(start_line, headers, body, self, self.context)
            if failed is not None:
                served.failed = failed
                served._start_time -= failed.spent_s
            self._work = application(served)
        except HTTPInputError as error:
            self._refuse(BadRequest(str(error)))
        except Exception:
            log.exception("%s failed", request.start_line.path)
            self._refuse(BazarError("internal error; the log has it"))

    def _refuse(self, error: BazarError) -> None:
        client = self._client
        if client is None:
            return
        self.lost()
        if self._begun:
            client.abort()
        else:
            client.refuse(error, self._request.headers)

    # --- what the application calls --------------------------------------------------------------

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        self._on_close = callback

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> asyncio.Future[None]:
        assert isinstance(start_line, ResponseStartLine)
        if self._client is None:
            return closed()
        request, code = self._request.start_line, start_line.code
        if request.method == "HEAD" or code in (204, 304) or code < 200:
            self._remaining = 0
        elif "Content-Length" in headers:
            self._remaining = int(headers["Content-Length"])
        elif request.version == "HTTP/1.1":
            self._chunked = True
            headers["Transfer-Encoding"] = "chunked"
        # A body without a length ends, for HTTP/1.0, where the connection does.
        bounded = self._chunked or self._remaining is not None
        self._keep_alive = (
            self._client.keeps_alive()
            and bounded
            and headers.get("Connection", "").lower() != "close"
        )
        connection = connection_header(request.version, self._keep_alive)
        if connection is not None:
            headers["Connection"] = connection
        lines = [f"HTTP/1.1 {code} {start_line.reason}"]
        lines += [f"{name}: {value}" for name, value in headers.get_all()]
        if "Date" not in headers:
            lines.append(f"Date: {self._client.date()}")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            bad = next(line for line in lines if "\n" in line or "\r" in line)
            raise ValueError(f"a line end in a header: {bad!r}")
        begin = head.encode("latin-1") + b"\r\n\r\n"
        self._begun = True
        return self._client.write(begin + self._framed(chunk) if chunk else begin)

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        if self._client is None:
            return closed()
        return self._client.write(self._framed(chunk))

    def finish(self) -> None:
        client = self._client
        if client is None:
            return
        if self._remaining or not self._begun:
            self._give_up("less than it promised")
        if self._chunked:
            client.write(b"0\r\n\r\n")
        self._client = self._on_close = None
        client.answered(self._keep_alive)

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        """Leave the connection to another protocol, with what has come behind this request. Raises
        StreamClosedError if the client has gone."""
        client = self._client
        self._client = self._on_close = None
        if client is None:
            raise StreamClosedError
        return client.detach()

    def _framed(self, chunk: bytes) -> bytes:
        if not self._begun:
            self._give_up("no head")
        if self._remaining is not None:
            self._remaining -= len(chunk)
            if self._remaining < 0:
                self._give_up("more than its Content-Length")
        if self._chunked and chunk:  # an empty chunk would end the body
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        return chunk

    def _give_up(self, what: str) -> NoReturn:
        """Break the connection: only its end tells the client that this answer is not whole."""
        client = self._client
        self.lost()
        if client is not None:
            client.abort()
        raise HTTPOutputError(f"{self._request.start_line.path}: the answer has {what}")

    # --- what the connection calls ---------------------------------------------------------------

    def lost(self) -> None:
        """Tell the application, once, that the client has gone."""
        callback, self._on_close, self._client = self._on_close, None, None
        if callback is not None:
            callback()


def closed() -> asyncio.Future[None]:
    """Return what a write to a closed connection returns. Not every caller looks at it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(StreamClosedError())
    future.exception()
    return future
