"""The page that is made of the rows that a server tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bazar.errors import Unavailable
from storage import letters
from storage.postgresql.search import found
from storage.postgresql.session import Row
from storage.searches import Count, Found, Search

HEAD: Row = (letters.VERSION, 3, True, None, None)  # three books, or more; looked at to the end
NOTHING = (None,) * 9  # in the place of a book


def book(number: int) -> Row:
    """A book's columns, as a server tells them."""
    return number, f"Title {number}", "Topic", 10 * number, 1, 1, None, None, None


def made(rows: Sequence[Row], q: str | None = None, **wanted: Any) -> Found:
    return found(Search(2, q=q, **wanted), rows)


def listed(*numbers: int) -> list[Row]:
    return [(*HEAD, *book(number)) for number in numbers]


def ranked(*places: tuple[int, int, int]) -> list[Row]:
    return [(*HEAD, rank, length, *book(number)) for rank, length, number in places]


def ids(page: Found) -> list[int]:
    return [book["id"] for book in page.books]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_books_stand_by_rank_in_whichever_order_they_are_told(order: tuple[int, ...]) -> None:
    rows = ranked((1, 7, 5), (1, 8, 4), (2, 7, 6))
    page = made([rows[at] for at in order], "title")
    assert (ids(page), page.before, page.after) == ([5, 4], None, "1-8-4")
    back = made([rows[at] for at in order], "title", before="9-0-9")
    assert (ids(back), back.before, back.after) == ([4, 6], "1-8-4", "2-7-6")
    assert page.books[0]["title"] == "Title 5"


@pytest.mark.parametrize(
    ("sort", "after"),
    [("newest", "4"), ("title", f"{letters.sort_key('Title 4')}-4"), ("price", "40-4")],
)
def test_the_next_page_begins_behind_the_last_book_of_this_one(sort: str, after: str) -> None:
    page = made(listed(5, 4, 6), sort=sort)
    assert (ids(page), page.after, page.count) == ([5, 4], after, Count(3, more=True))


@pytest.mark.parametrize(
    ("wanted", "key", "after"),
    [
        ({"q": "a"}, None, "17"),
        ({"q": "a", "sort": "newest"}, None, "17"),
        ({"sort": "newest", "in_stock": True}, "0", "17"),
        ({"sort": "title"}, "a key", "a key-17"),
        ({"sort": "price"}, "5", "5-17"),
    ],
)
def test_a_page_that_has_ended_early_goes_on_where_it_stopped_looking(
    wanted: dict[str, Any], key: str | None, after: str
) -> None:
    width = 2 if wanted == {"q": "a"} else 0
    page = made([(*HEAD[:3], key, 17, *NOTHING, *(None,) * width)], **wanted)
    assert (ids(page), page.after, page.cut) == ([], after, True)


def test_nothing_is_found_where_a_server_tells_of_no_book() -> None:
    for rows, wanted in (((*HEAD, None, None, *NOTHING), "a"), ((*HEAD, *NOTHING), None)):
        page = made([rows], wanted, sort=None if wanted else "title")
        assert (page.books, page.before, page.after, page.cut) == ([], None, None, False)


def test_an_index_of_another_version_finds_nothing() -> None:
    with pytest.raises(Unavailable, match="the index of words is of version another"):
        made([("another", *HEAD[1:], None, None, *NOTHING)], "a")
