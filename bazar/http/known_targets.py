"""Targets of GET that were asked before, found again by their very bytes: what one means is read
once, and not again where its answer must be fetched anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lru import LRU

from bazar.http.response import RawResponse

Note = Callable[[str], None]
"""Adds words to the request's log line."""

LEAST = 4096
"""How many are known in any case: each takes a kilobyte or two."""
LONGEST = 1024
"""In bytes: what anybody may make longer by what nobody reads is not worth to be known."""


class KnownTarget(Protocol):
    """What a target asks for, as the application has read it."""

    def find(self, now: float) -> RawResponse | None:
        """Return the answer, if it may be given now as it is."""

    async def fetch(self, note: Note) -> RawResponse:
        """Return the answer, got as the application would get it. Raises what that would answer
        with an error."""


class KnownTargets:
    """The last `entries` targets. Nothing else says what a target means. `find` returns what one
    asks for, None if that is not known."""

    def __init__(self, entries: int = 0) -> None:
        self._known: LRU[bytes, KnownTarget] = LRU(max(entries, LEAST))
        self.find: Callable[[bytes], KnownTarget | None] = self._known.get

    def remember(self, target: bytes, known: KnownTarget) -> None:
        """Know from now on what this target asks for, unless it is very long."""
        if len(target) <= LONGEST:
            self._known[target] = known
