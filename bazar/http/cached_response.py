"""An answer as a cache keeps it: as bytes, of which only what is its own is not shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bazar.cache import HIT
from bazar.http.response import HEADERS, RawResponse, body_of, entity_of, next_page
from bazar.http.traffic import Kind


class Asked(Protocol):
    """What is a target's own in an answer: the next page's address without the value of its
    `after`, if there may be one, what requests for it are counted as, and the first words of their
    log lines."""

    @property
    def link(self) -> str | None: ...

    @property
    def kind(self) -> Kind: ...

    def word(self, verdict: str) -> str: ...


class CachedResponse:
    """An answer as it is cached: its `entity_of`, the replica that filled it, the place behind
    which another page follows if one does, and the headers by which it is not an answer like the
    others."""

    __slots__ = ("_after", "_entity", "_link", "_own", "_raw", "replica")

    def __init__(
        self,
        body: bytes,
        replica: str,
        after: str | None = None,
        own: Mapping[str, str] | None = None,
    ) -> None:
        self._entity = entity_of(body)
        self.replica = replica
        self._after = after
        self._own = own
        self._raw: RawResponse | None = None  # of a hit, with this Link
        self._link: str | None = None

    @property
    def body(self) -> bytes:
        return body_of(self._entity)

    def headers(self, verdict: str, link: str | None) -> dict[str, str]:
        """Return what an answer with this page says of it."""
        headers = {**(self._own or {}), "X-Cache": verdict, "X-Replica": self.replica}
        if self._after is None or link is None:
            return headers
        return {**headers, "Link": next_page(link, self._after)}

    def raw(self, verdict: str, asked: Asked) -> RawResponse:
        """Return the bytes of an answer with this page."""
        headers = {**HEADERS, **self.headers(verdict, asked.link)}
        return RawResponse.of(self._entity, headers, asked.word(verdict), asked.kind)

    def hit(self, asked: Asked) -> RawResponse:
        """Return a hit's bytes. They are kept for one Link: a page is rarely asked for under two
        paths."""
        if self._raw is None or (self._after is not None and self._link != asked.link):
            self._raw, self._link = self.raw(HIT, asked), asked.link
        return self._raw
