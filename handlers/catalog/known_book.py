"""A book that a catalog replica was asked for over HTTP before: it is answered without a handler,
and without a look at its row while that is in memory."""

from __future__ import annotations

from typing import Any

from bazar.http.known_targets import Note
from bazar.http.response import HEADERS, RawResponse, entity_of, render
from bazar.http.traffic import Kind
from handlers.catalog.service import CatalogService
from storage.books import info_key


class KnownBook:
    """A `KnownTarget` at one replica; its requests are counted as `kind`."""

    __slots__ = ("_book", "_kind", "_made", "_service", "_tag")

    def __init__(self, service: CatalogService, book: int, kind: Kind) -> None:
        self._service = service
        self._book = book
        self._tag = info_key(book)
        self._kind = kind
        self._made: tuple[dict[str, Any], RawResponse] | None = None  # the book, as it is shown

    def find(self, now: float) -> RawResponse | None:
        """Return the book as it is in memory, if this replica may answer at once (L2, L4)."""
        found = self._service.known_now(self._tag)
        return None if found is None else self._shown(found)

    async def fetch(self, note: Note) -> RawResponse:
        with self._service.context.activity.request():
            found = await self._service.read({"op": "info", "book": self._book})
        return self._shown(found["book"])

    def _shown(self, found: dict[str, Any]) -> RawResponse:
        """Return an answer's bytes, which are made once for each state of the book."""
        if self._made is None or found is not self._made[0]:
            headers = {**HEADERS, "X-Replica": self._service.context.node.name}
            answer = RawResponse.of(entity_of(render(found)), headers, "", self._kind)
            self._made = found, answer
        return self._made[1]
