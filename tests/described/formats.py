"""Values of the formats that the description names beyond what JSON Schema can say."""

from __future__ import annotations

from datetime import UTC

import schemathesis
from hypothesis import strategies as st

from storage.isbn import isbn13

LETTERS = st.characters(categories=["Ll", "Lu", "Lo", "Nd", "Po", "Sm", "So"], codec="utf-8")
MOMENTS = st.one_of(
    st.dates().map(str), st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat())
)
WORDS = st.text(st.characters(categories=["Ll", "Lu", "Nd"], codec="utf-8"), min_size=1)


def _isbn(nine: str) -> str:
    """Complete nine digits by the last one, which checks them."""
    return next(f"{nine}{last}" for last in "0123456789X" if isbn13(f"{nine}{last}"))


def register() -> None:
    """Have schemathesis make them."""
    make = schemathesis.openapi.format
    make("isbn", st.from_regex(r"[0-9]{9}", fullmatch=True).map(_isbn))
    make("moment", MOMENTS)
    make("visible-text", st.text(LETTERS, min_size=1, max_size=60))
    make("search-words", st.lists(WORDS, min_size=1, max_size=4).map(" ".join))
