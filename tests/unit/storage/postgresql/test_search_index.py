"""What books are found by: their keys, and the statements that write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from storage.postgresql import search_index
from storage.postgresql.search_index import CUT, keys
from storage.terms import AUTHOR, RETIRED

LONG = "a" * (CUT + 2)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("an", ["an", "^a", "^an"]),
        (f"{AUTHOR}a", [f"{AUTHOR}a", f"^{AUTHOR}a"]),  # a mark alone is no beginning
        (f"{RETIRED}a", [f"{RETIRED}a", f"^{RETIRED}a"]),
        (f"{RETIRED}{AUTHOR}a", [f"{RETIRED}{AUTHOR}a", f"^{RETIRED}{AUTHOR}a"]),
        ("#12 $34 an an", ["#12", "$34", "an", "^a", "^an"]),  # nobody types half a number
        (LONG, ["a" * CUT, *(f"^{'a' * n}" for n in range(1, CUT + 1))]),
    ],
)
def test_a_book_has_its_terms_and_what_they_begin_with(terms: str, expected: list[str]) -> None:
    blocks = keys(5000, "")
    assert keys(5000, terms) - blocks == set(expected)
    assert blocks and all(block.startswith("~") for block in blocks)


def put(*books: dict[str, Any]) -> dict[str, Any]:
    """What is written for these books, by statement."""
    made = search_index.put([{"author": None, "isbn": None, "catalog_id": 1, **b} for b in books])
    return {one.sql: one.params[0] for one in made}


def test_a_book_is_found_by_its_words_and_has_its_place_among_titles_while_on_sale() -> None:
    on_sale = {"id": 1, "title": "On Sale", "retired": None}
    retired = {"id": 2, "title": "Retired", "retired": 1}
    assert put() == {}
    assert put(on_sale).keys() == {search_index.PUT, search_index.PUT_TITLES}
    assert put(retired).keys() == {search_index.PUT, search_index.DELETE_TITLES}
    written = put(on_sale, retired)
    assert [row["book"] for row in json.loads(written[search_index.PUT])] == [1, 2]
    assert [row["book"] for row in json.loads(written[search_index.PUT_TITLES])] == [1]
    assert written[search_index.DELETE_TITLES] == [2]
