"""A small HTTP/1.1 client on asyncio: one keep-alive connection. It never sends a request twice by
itself, as libcurl and browsers do, so that a test knows what was sent."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cache(self) -> str:
        return self.headers.get("x-cache", "")

    @property
    def replica(self) -> str:
        return self.headers.get("x-replica", "")


class Doors(Protocol):
    """The nodes of a shop, as its customers know them."""

    def group(self, role: str) -> list[str]:
        """Return the names of a role's nodes."""

    def client(self, name: str, *, with_token: bool = False) -> HTTPClient:
        """Return a connection to a node, for any number of requests."""


class StaleConnection(ConnectionResetError):
    """A connection that had answered before was closed without a byte of this answer, as a server
    may do at any time: a client that may ask again should do so (RFC 9112, section 9.3.1)."""


class HTTPClient:
    """One connection to `host`:`port`, opened when it is needed, for one task at a time."""

    def __init__(
        self,
        port: int,
        token: str | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self.port = port
        self.token = token
        self.context = context
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._reused = False
        self.headers: dict[str, str] = {}
        """More that each request says."""

    async def __aenter__(self) -> HTTPClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def connect(self) -> None:
        """Open the connection; a request also does so by itself."""
        if self._streams is None:
            self._reused = False
            self._streams = await asyncio.open_connection(self.host, self.port, ssl=self.context)

    async def get(self, path: str, *, timeout_s: float = TIMEOUT_S) -> Answer:
        return await self.request("GET", path, timeout_s=timeout_s)

    async def put(
        self, path: str, body: Any = None, *, key: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> Answer:
        return await self.request("PUT", path, body, key=key, timeout_s=timeout_s)

    async def post(
        self, path: str, body: Any, *, key: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> Answer:
        return await self.request("POST", path, body, key=key, timeout_s=timeout_s)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Return the answer to a request. Raises OSError if there is none (TimeoutError is one)."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        content = b""
        if body is not None:
            content = json.dumps(body).encode()
            lines.append("Content-Type: application/json")
        if content or method != "GET":
            lines.append(f"Content-Length: {len(content)}")
        if self.token is not None:
            lines.append(f"Authorization: Bearer {self.token}")
        if key is not None:
            lines.append(f"Idempotency-Key: {key}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        message = "\r\n".join([*lines, "", ""]).encode() + content
        whole = False
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._exchange(message)
            self._reused = True
            whole = answer.headers.get("connection", "").lower() != "close"
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            begun = isinstance(error, asyncio.IncompleteReadError) and error.partial
            kind = StaleConnection if self._reused and not begun else ConnectionResetError
            raise kind(f"{method} {path}: the connection broke: {error!r}") from error
        finally:
            if not whole:
                self.close()
        return answer

    async def _exchange(self, message: bytes) -> Answer:
        await self.connect()
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *fields = head.split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (field.partition(":") for field in fields if field)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(status.split(" ", 2)[1]), headers, body)
