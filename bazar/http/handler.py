"""A handler of Tornado's that sends a whole answer in a shorter way."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.httputil import ResponseStartLine
from tornado.web import RequestHandler

from bazar.http.response import entity_tag
from bazar.http.served_request import ServedRequest
from bazar.http.traffic import Kind

READS = ("GET", "HEAD")


class LeanHandler(RequestHandler):
    """Answers what Tornado's own would, tagged with our tags; no `log_function` hears of it."""

    request: ServedRequest
    kind: Kind
    """What this request is counted as."""
    counts = True
    """Whether its requests are of customers, and how long they take matters."""

    def compute_etag(self) -> str | None:
        return entity_tag(b"".join(self._write_buffer))

    def check_etag_header(self) -> bool:
        return "If-None-Match" in self.request.headers and super().check_etag_header()

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """Send status, headers and body at once. An answer that has begun goes on as Tornado has
        it."""
        if self._headers_written or self._finished:
            return super().finish(chunk)
        if chunk is not None:
            self.write(chunk)
        self._describe()
        for cookie in getattr(self, "_new_cookie", {}).values():
            self.add_header("Set-Cookie", cookie.OutputString(None))
        start_line = ResponseStartLine("", self._status_code, self._reason)
        body = b"" if self.request.method == "HEAD" else b"".join(self._write_buffer)
        connection: Any = self.request.connection
        connection.set_close_callback(None)
        self._headers_written = True
        sent: asyncio.Future[None] = connection.write_headers(start_line, self._headers, body)
        connection.finish()
        self._finished = True
        self.on_finish()
        self._break_cycles()
        return sent

    def _describe(self) -> None:
        """Say of the body what it is, how long it is, and whether the client has it already."""
        headers = self._headers
        if (
            self._status_code == 200
            and self.request.method in READS
            and "Etag" not in headers
            and (etag := self.compute_etag()) is not None
        ):
            headers["Etag"] = etag
            if self.check_etag_header():
                self._write_buffer = []
                self.set_status(304)
        if self._should_not_send_content(self._status_code):
            if self._write_buffer:
                raise RuntimeError(f"an answer with status {self._status_code} has no body")
            self._clear_representation_headers()
        elif "Content-Length" not in headers:
            headers["Content-Length"] = str(sum(map(len, self._write_buffer)))
