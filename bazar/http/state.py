"""What the connections of one server share."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.client import responses

from bazar.errors import BazarError
from bazar.http.access_log import AccessLog
from bazar.http.exchange import Application
from bazar.http.forwarded import Arrivals
from bazar.http.known_targets import KnownTarget
from bazar.http.rate_limit import RateLimit
from bazar.http.response import header_lines, render

MAX_CONNECTIONS = 4096  # of one port


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take."""

    head_bytes: int = 16 << 10
    head_s: float = 10.0
    body_s: float = 10.0
    idle_s: float = 60.0
    """Between two requests: longer than a reader looks at a page, shorter than a proxy keeps an
    unused connection by default."""
    write_s: float = 30.0
    """For its kernel to take 64 KiB of an answer."""
    linger_s: float = 2.0
    """For what it still sends after the last answer."""
    half_close_s: float = 10.0
    """For its answers, when it has said that it sends no more: it may have gone."""
    graceful_close_s: float = 0.5
    """For its next request to be told to close, when the node leaves."""
    handshake_s: float = 5.0
    """From its first sign to where its requests are encrypted."""
    connections: int = MAX_CONNECTIONS


class ServerState:
    """`find` is asked for every GET and HEAD: what is known of the target, exactly as it was sent,
    if anything; all else is the `application`'s. `headers` are what its own errors have."""

    def __init__(
        self,
        application: Application,
        find: Callable[[bytes], KnownTarget | None],
        *,
        arrivals: Arrivals,
        log: AccessLog,
        limit: RateLimit | None = None,
        headers: Mapping[str, str],
        max_body_bytes: int,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
        limits: Limits | None = None,
    ) -> None:
        self.application = application
        self.find = find
        self.arrivals = arrivals
        self.max_body_bytes = max_body_bytes
        self.clock = clock
        self.limits = limits or Limits()
        self.log = log
        self.limit = limit
        self.stopping = False
        """Whether each connection is to be closed with its next answer."""
        self._refusal_headers = header_lines(headers)
        self._date = ""
        self.date_line = b""
        self.date_until = float("-inf")
        self._wall = wall
        form = secrets.token_hex(8).encode() + b"%016x"
        self.new_id = map(form.__mod__, itertools.count(secrets.randbits(62))).__next__
        """Returns a request id, counted from a random start: unique, cheaper than a random one."""

    def date_at(self, now: float) -> str:
        """Return what an answer's Date says."""
        if now >= self.date_until:
            self.renew_date(now)
        return self._date

    def renew_date(self, now: float) -> None:
        """Make the lines that every answer begins with anew, good for the rest of this second."""
        wall = self._wall()
        self._date = formatdate(wall, usegmt=True)
        self.date_line = f"Date: {self._date}\r\nX-Request-Id: ".encode()
        self.date_until = now + 1 - wall % 1

    def refusal(self, error: BazarError, request_id: bytes, *, is_head: bool) -> bytes:
        """Return the answer to what never reaches the application, as that would give it. The
        connection ends with it."""
        message = {"error": str(error), "code": error.code, "request_id": request_id.decode()}
        body = render(message)
        self.renew_date(self.clock())
        own = b"Connection: close\r\nContent-Length: %d\r\n" % len(body)
        if error.retry_after_s is not None:
            own += b"Retry-After: %d\r\n" % error.retry_after_s
        return (
            b"HTTP/1.1 %d %b\r\n" % (error.status, responses[error.status].encode())
            + b"%b%b\r\n%b%b\r\n" % (self.date_line, request_id, own, self._refusal_headers)
            + (b"" if is_head else body)
        )
