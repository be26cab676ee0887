"""An answer as the bytes that go out, with the tag that names them; a cached one is made once, when
it is filled."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What every answer says. Caches in front must ask each time: ours is the only one that knows of
# every write.
HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

OK = b"HTTP/1.1 200 OK\r\n"
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\n"

_encoder = json.JSONEncoder(ensure_ascii=False)
_ETAGS = re.compile(rb'\*|(?:W/)?"[^"]*"')


def render(value: Any) -> bytes:
    """Return a value as JSON, as every answer has it."""
    return _encoder.encode(value).encode() + b"\n"


def entity_tag(body: bytes) -> str:
    """Return the tag of an answer with this body, the same at every node: a writer that has read at
    one may name it at another (RFC 9110 section 8.8.3)."""
    return f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'


def next_page(link: str, place: object) -> str:
    """Return the Link to the next page (RFC 8288), which begins behind `place`."""
    return f'<{link}{place}>; rel="next"'


@dataclass(frozen=True, slots=True)
class RawResponse:
    """`validators` are header lines that a 200 and a 304 share; `entity` is what only the 200 has:
    its own header lines, the empty line and, from `body_at`, the body."""

    etag: bytes
    validators: bytes
    entity: bytes
    body_at: int
    log_note: bytes
    """What the log says of a hit."""

    @classmethod
    def of(cls, body: bytes, headers: Mapping[str, str], log_note: str) -> RawResponse:
        """Make it of a body and all headers but ETag and Content-Length."""
        etag = entity_tag(body)
        shared = {**headers, "Etag": etag}
        own = {"Content-Type": shared.pop("Content-Type"), "Content-Length": str(len(body))}
        head = header_lines(own) + b"\r\n"
        return cls(etag.encode(), header_lines(shared), head + body, len(head), _kept(log_note))

    def answer(self, method: bytes, lines: bytes, if_none_match: bytes) -> tuple[int, bytes]:
        """Return status and bytes; `lines` are this request's own header lines."""
        if if_none_match and self._matches(if_none_match):
            return 304, b"".join((NOT_MODIFIED, lines, self.validators, b"\r\n"))
        entity = self.entity if method != b"HEAD" else self.entity[: self.body_at]
        return 200, b"".join((OK, lines, self.validators, entity))

    def _matches(self, if_none_match: bytes) -> bool:
        """Whether one of a list of tags is this one, by weak comparison, or `*` (RFC 9110 section
        13.1.2)."""
        given = _ETAGS.findall(if_none_match)
        return given[:1] == [b"*"] or any(etag.removeprefix(b"W/") == self.etag for etag in given)


@functools.lru_cache(maxsize=16)
def _kept(log_note: str) -> bytes:
    """Return the same bytes for all answers of a kind: there may be many."""
    return log_note.encode()


def header_lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
