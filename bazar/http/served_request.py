"""A request as Tornado's handlers know it."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine

from bazar import trace_context

KNOWN_HOSTS = 64  # values of Host that have been looked at


@dataclass(frozen=True, slots=True)
class ClientContext:
    """The client: what Tornado looks for in `HTTPConnection.context`."""

    remote_ip: str
    protocol: str = "http"


@dataclass(frozen=True, slots=True)
class Failed:
    """What a request has met before the application sees it: the error to answer with, the words of
    its log line, the id that it was given, and how long that took."""

    error: Exception
    notes: Sequence[str]
    request_id: str
    spent_s: float


class ServedRequest(HTTPServerRequest):
    """Made without Tornado's constructor, which does for each request what is the same for most:
    they have no query, and name the host that the last one has named."""

    failed: Failed | None = None

    def __init__(
        self,
        start_line: RequestStartLine,
        headers: HTTPHeaders,
        body: bytes,
        connection: HTTPConnection,
        client: ClientContext,
    ) -> None:
        if "?" in start_line.path or "Host" not in headers:
            super().__init__(
                start_line=start_line, headers=headers, body=body, connection=connection
            )
            return
        self.method, self.uri, self.version = start_line
        self.path, self.query = start_line.path, ""
        self.headers, self.body = headers, body
        self.host = headers["Host"]
        self.host_name = _name_in(self.host)
        self.remote_ip, self.protocol = client.remote_ip, client.protocol
        self.connection, self.server_connection = connection, None
        self.arguments: dict[str, list[bytes]] = {}
        self.query_arguments: dict[str, list[bytes]] = {}
        self.body_arguments: dict[str, list[bytes]] = {}
        self.files = {}
        self._start_time, self._finish_time = time.time(), None

    @property
    def given_id(self) -> str:
        """Return the id that it brings, or was given by the port; empty if there is none."""
        if self.failed is not None:
            return self.failed.request_id
        return trace_context.given_by(self.headers)

    def _parse_body(self) -> None:
        if self.body or "Content-Type" in self.headers:  # of which Tornado may say that it is wrong
            super()._parse_body()


@functools.lru_cache(KNOWN_HOSTS)
def _name_in(host: str) -> str:
    """Return the name in a value of Host. Raises HTTPInputError, as Tornado finds it."""
    line = RequestStartLine("GET", "/", "HTTP/1.1")
    return HTTPServerRequest(start_line=line, headers=HTTPHeaders({"Host": host})).host_name
