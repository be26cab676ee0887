"""Tornado's HTTP server with a bound on its connections."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Iterable
from typing import Any, cast

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream
from tornado.web import Application

from bazar.http.acceptor import Acceptor


class Port(HTTPServer):
    """Where there is no room, the connection that has waited longest for a request makes it; where
    all are at work, the next wait in the kernel until one is done."""

    def initialize(  # type: ignore[override]
        self, application: Application, connections: int, **options: Any
    ) -> None:
        super().initialize(application, **options)
        self._most = connections
        self._waiting: dict[IOStream, None] = {}  # those without a request, longest first
        self._acceptor = Acceptor(self._take)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        self._acceptor.listen(sockets)

    def stop(self) -> None:
        self._acceptor.close()

    def _take(self, connection: socket.socket, address: Any) -> bool:
        room = len(self._connections) < self._most or self._make_room()
        stream = IOStream(
            connection,
            max_buffer_size=self.max_buffer_size,
            read_chunk_size=self.read_chunk_size,
        )
        self._waiting[stream] = None
        self.handle_stream(stream, address)
        return room

    def _make_room(self) -> bool:
        longest = next(iter(self._waiting), None)
        if longest is not None:
            del self._waiting[longest]
            longest.close()
        return longest is not None

    # --- what Tornado's connections tell their server --------------------------------------------

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        stream = _stream(server_conn)
        if stream not in self._waiting:  # its last request is done
            self._waiting[stream] = None
            self._acceptor.go_on()
        return _Heard(super().start_request(server_conn, request_conn), stream, self._waiting)

    def on_close(self, server_conn: object) -> None:
        self._waiting.pop(_stream(server_conn), None)
        super().on_close(server_conn)
        self._acceptor.go_on()


def _stream(connection: object) -> IOStream:
    return cast(HTTP1ServerConnection, connection).stream


class _Heard(HTTPMessageDelegate):
    """Passes one request on to the application, and notes that its connection waits no more."""

    def __init__(
        self,
        application: HTTPMessageDelegate,
        stream: IOStream,
        waiting: dict[IOStream, None],
    ) -> None:
        self._application = application
        self._stream = stream
        self._waiting = waiting
        self.data_received = application.data_received  # type: ignore[method-assign]
        self.finish = application.finish  # type: ignore[method-assign]
        self.on_connection_close = application.on_connection_close  # type: ignore[method-assign]

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._waiting.pop(self._stream, None)
        return self._application.headers_received(start_line, headers)
