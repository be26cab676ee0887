"""Answers to GET that are kept as bytes, found again by the very bytes of the target that asked for
them: a hit does not leave this room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lru import LRU

from bazar.cache import HIT, Cache, LRUStore
from bazar.http.response import HEADERS, RawResponse, body_of, entity_of, next_page
from bazar.http.traffic import Kind


@dataclass(frozen=True, slots=True)
class CacheSlot:
    """Where the answer to a target is cached, and what is the target's own: the next page's
    address without the value of its `after`, what the log says of a hit, and what that is counted
    as."""

    cache: Cache
    store: LRUStore
    key: str
    link: str | None
    log_note: str
    kind: Kind


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
        self._raw: RawResponse | None = None  # with this Link
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

    def rendered(self, slot: CacheSlot) -> RawResponse:
        """Return a hit's bytes. They are kept for one Link: a page is rarely asked for under two
        paths."""
        if self._raw is None or (self._after is not None and self._link != slot.link):
            headers = {**HEADERS, **self.headers(HIT, slot.link)}
            self._raw = RawResponse.of(self._entity, headers, slot.log_note, slot.kind)
            self._link = slot.link
        return self._raw


class ResponseCache:
    """Where the answers to `entries` targets are. Nothing else says what a target means."""

    def __init__(self, entries: int) -> None:
        self._slots: LRU[bytes, CacheSlot] = LRU(entries)

    def find(self, target: bytes, now: float) -> RawResponse | None:
        """Return the answer to a target that was answered before, if it may be served now."""
        slot = self._slots.get(target)
        if slot is None:
            return None
        found: CachedResponse | None = slot.cache.find(slot.store, slot.key, now)
        return None if found is None else found.rendered(slot)

    def remember(self, target: bytes, slot: CacheSlot, found: CachedResponse) -> None:
        """Find this answer by `target` from now on."""
        found.rendered(slot)
        self._slots[target] = slot
