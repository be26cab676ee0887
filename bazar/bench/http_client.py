"""One blocking keep-alive connection to 127.0.0.1, for setting up, and for timing single requests
without an event loop in between."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bazar.errors import Unavailable

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
READ_BYTES = 1 << 16
NOT_KNOWN = (503, 504)

# The headers of a current browser, with cookies.
BROWSER_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/apng,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://127.0.0.1/search?topic=distributed+systems",
    "Cookie": "session=6f1c0a5b7d8e4f2a9b3c; theme=dark; consent=necessary",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Ch-Ua": '"Chromium";v="126", "Not.A/Brand";v="8"',
    "Sec-Ch-Ua-Mobile": "?0",
    "Sec-Ch-Ua-Platform": '"Linux"',
    "Upgrade-Insecure-Requests": "1",
}

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request_bytes(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def answer_size(received: bytes | bytearray) -> int | None:
    """Return how many bytes the whole answer has; None until enough of it was received to know.
    Raises ValueError if it has no Content-Length, which all measured servers send."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = _LENGTH.search(received, 0, end)
    if found is None:
        raise ValueError(f"an answer without a Content-Length: {bytes(received[:end])!r}")
    return end + 4 + int(found[1])


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @classmethod
    def parse(cls, received: bytes, seconds: float) -> Answer:
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        return cls(int(first.split()[1]), headers, body, seconds)


class HTTPClient:
    """A connection to a port of this machine, used in a `with`."""

    def __init__(self, port: int, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._socket = socket.create_connection((HOST, port), timeout_s)
        except OSError as error:
            raise Unavailable(f"port {port}: {error.strerror or error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> HTTPClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and return the answer, whatever its status. Raises Unavailable if none
        comes."""
        given = {**self._headers, **(headers or {})}
        plain = b""
        if body is not None:
            given["Content-Type"] = "application/json"
            plain = json.dumps(body).encode()
        sent = request_bytes(method, path, given, plain)
        received = bytearray()
        began = time.perf_counter()
        try:
            self._socket.sendall(sent)
            while (size := answer_size(received)) is None or len(received) < size:
                more = self._socket.recv(READ_BYTES)
                if not more:
                    raise Unavailable(f"{method} {path}: the connection was closed")
                received += more
        except OSError as error:
            raise Unavailable(f"{method} {path}: {error}") from error
        return Answer.parse(bytes(received), time.perf_counter() - began)

    def insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        tries: int = 1,
    ) -> Answer:
        """Send a request and return the answer. Of several `tries` send it again where it may not
        have happened (R5): a write has a key then. Raises Unavailable if it is not a success."""
        for left in reversed(range(tries)):
            answer = self.ask(method, path, body, headers)
            if answer.status < 300:
                return answer
            if answer.status not in NOT_KNOWN or not left:
                raise Unavailable(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        raise AssertionError("unreachable")
