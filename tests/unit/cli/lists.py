"""Lists of books as a test writes them, read as `import` does."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from bazar.cli.importing.layout import Wanted
from bazar.cli.importing.reading import BookList, understand
from bazar.cli.importing.rows import Row

NONE: Mapping[str, Any] = {}


def read(
    content: str | bytes, defaults: Mapping[str, Any] = NONE, **wanted: Any
) -> tuple[BookList, list[Row]]:
    """How a list is understood, and its rows by line."""
    raw = content.encode() if isinstance(content, str) else content
    books = understand(io.BytesIO(raw), Wanted(**wanted), defaults)
    return books, sorted(books.rows(), key=lambda row: row.line)


def said(rows: Sequence[Row]) -> dict[int, str]:
    """What became of each row, by its line: its title, what is wrong, or why it is left out."""
    return {row.line: row.book["title"] if row.book else row.left_out or f"! {row}" for row in rows}


def columns(books: BookList) -> dict[str, str]:
    """Which of the list's columns became which of ours, but for the ISBN."""
    places = books.layout.chosen.places.items()
    return {ours: books.layout.header[place] for ours, place in places if ours != "isbn"}


def books(
    content: str | bytes, defaults: Mapping[str, Any] = NONE, **wanted: Any
) -> list[tuple[Any, ...]]:
    """All books of a list of which nothing else is expected."""
    _, rows = read(content, defaults, **wanted)
    assert all(row.book for row in rows), said(rows)
    names = ("title", "author", "topic", "cost", "count")
    return [tuple((row.book or {}).get(name) for name in names) for row in rows]
