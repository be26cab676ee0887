"""An answer as a cache keeps it: as bytes, of which only what is its own is not shared."""

from __future__ import annotations

from collections.abc import Mapping

from bazar.cache import HIT
from bazar.http.response import HEADERS, RawResponse, body_of, entity_of, next_page
from bazar.http.traffic import Kind


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
        """Return what an answer with this page says of it; `link` is the next page's address
        without the value of its `after`."""
        headers = {**(self._own or {}), "X-Cache": verdict, "X-Replica": self.replica}
        if self._after is None or link is None:
            return headers
        return {**headers, "Link": next_page(link, self._after)}

    def raw(self, verdict: str, link: str | None, log_note: str, kind: Kind) -> RawResponse:
        """Return the bytes of an answer with this page."""
        headers = {**HEADERS, **self.headers(verdict, link)}
        return RawResponse.of(self._entity, headers, log_note, kind)

    def hit(self, link: str | None, log_note: str, kind: Kind) -> RawResponse:
        """Return a hit's bytes. They are kept for one Link: a page is rarely asked for under two
        paths."""
        if self._raw is None or (self._after is not None and self._link != link):
            self._raw, self._link = self.raw(HIT, link, log_note, kind), link
        return self._raw
