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
from urllib.parse import quote_plus

from bazar.http.traffic import Kind

# What every answer says. Caches in front must ask each time: ours is the only one that knows of
# every write.
HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

CONNECTION = {
    # The header line, where the version does not imply what it would say.
    (b"HTTP/1.1", True): b"\r\n",
    (b"HTTP/1.1", False): b"\r\nConnection: close\r\n",
    (b"HTTP/1.0", True): b"\r\nConnection: Keep-Alive\r\n",
    (b"HTTP/1.0", False): b"\r\n",
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
    return f'<{link}{quote_plus(str(place))}>; rel="next"'


def entity_of(body: bytes) -> bytes:
    """Return what of an answer depends on its body: two header lines, the tag's first, the empty
    line and the body."""
    own = {"Etag": entity_tag(body), "Content-Length": str(len(body))}
    return header_lines(own) + b"\r\n" + body


@dataclass(frozen=True, slots=True)
class CommonLines:
    """What many answers have in common: the other header lines of a 200 and of a 304, what the log
    says of them, and what they are counted as."""

    lines: bytes
    validators: bytes
    log_note: bytes
    kind: Kind


@functools.lru_cache(maxsize=64)
def _common(headers: tuple[tuple[str, str], ...], log_note: str, kind: Kind) -> CommonLines:
    """Return the same object for the same headers: there may be many answers."""
    shared = dict(headers)
    own = header_lines({"Content-Type": shared.pop("Content-Type")})
    validators = header_lines(shared)
    return CommonLines(validators + own, validators, log_note.encode(), kind)


@dataclass(frozen=True, slots=True)
class RawResponse:
    """An answer of a known target: what it shares with others, and its `entity_of`."""

    common: CommonLines
    entity: bytes

    @classmethod
    def of(
        cls, entity: bytes, headers: Mapping[str, str], log_note: str, kind: Kind
    ) -> RawResponse:
        """Make it of its entity and all headers that this does not have."""
        return cls(_common(tuple(headers.items()), log_note, kind), entity)

    @property
    def etag(self) -> bytes:
        return self.entity.partition(b"\r\n")[0].removeprefix(b"Etag: ")

    def answer(self, method: bytes, lines: bytes, if_none_match: bytes) -> tuple[int, bytes]:
        """Return status and bytes; `lines` are this request's own header lines."""
        if if_none_match and self._matches(if_none_match):
            own = b"Etag: %b\r\n\r\n" % self.etag
            return 304, b"".join((NOT_MODIFIED, lines, self.common.validators, own))
        entity = self.entity if method != b"HEAD" else self.entity[: _body_at(self.entity)]
        return 200, b"".join((OK, lines, self.common.lines, entity))

    def _matches(self, if_none_match: bytes) -> bool:
        """Whether one of a list of tags is this one, by weak comparison, or `*` (RFC 9110 section
        13.1.2)."""
        given, own = _ETAGS.findall(if_none_match), self.etag
        return given[:1] == [b"*"] or any(etag.removeprefix(b"W/") == own for etag in given)


def body_of(entity: bytes) -> bytes:
    return entity[_body_at(entity) :]


def _body_at(entity: bytes) -> int:
    return entity.index(b"\r\n\r\n") + 4


def header_lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
