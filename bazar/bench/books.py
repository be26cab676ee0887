"""Invented books for a large shop."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from bazar.bench.cluster import MeasuredShop

STARTING_BOOKS = 7
BATCH_BOOKS = 1000  # the most that one import may carry
TRIES = 20  # of one import: a busy machine may take longer to commit it than a node waits
COPIES = 1_000_000
AUTHORS = 997


def topics(books: int) -> int:
    """Return how many topics a shop of so many books has: 10,000 have 100, a million have 1,000."""
    return max(math.isqrt(books), 2)


def book(number: int, shop_books: int) -> dict[str, Any]:
    topic = number % topics(shop_books)
    # The starting topics are among them, so that one search means the same in every shop.
    names = ("Undergraduate School", "Distributed Systems")
    return {
        "title": f"The Art of Writing Book Number {number}",
        "author": f"Author {number % AUTHORS}",
        "topic": names[topic] if topic < len(names) else f"Topic {topic}",
        "cost": 500 + number % 4500,
        "count": COPIES,
    }


def batches(have: int, want: int) -> Iterator[list[dict[str, Any]]]:
    for first in range(have + 1, want + 1, BATCH_BOOKS):
        yield [book(n, want) for n in range(first, min(first + BATCH_BOOKS, want + 1))]


def fill(
    shop: MeasuredShop,
    want: int,
    have: int = STARTING_BOOKS,
    done: Callable[[int], None] | None = None,
) -> None:
    """Import books until there are `want`; their ids are 1 to `want`. `done` is called with the
    count."""
    with shop.caller("catalog-1") as caller:
        for batch in batches(have, want):
            key = {"Idempotency-Key": secrets.token_hex(16)}
            caller.insist("POST", "/import", {"books": batch}, key, tries=TRIES)
            if done is not None:
                done(len(batch))
