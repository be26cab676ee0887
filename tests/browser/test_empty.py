"""A shop without books: it says what to do, to whoever comes by."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.shop import DESKTOP, NARROW, PHONE, BrowserShop, accessibility

PATHS = ("/", "/books", "/books?q=a+book", "/books?topic=Reise", "/cluster")
BOOKS = [{"title": "Der Deich", "topic": "Reise", "cost": 700, "count": 4}]


@pytest.fixture(scope="module")
def empty(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserShop]:
    with BrowserShop(chromium, tmp_path_factory.mktemp("empty"), "--empty") as shop:
        yield shop


@pytest.mark.parametrize(
    ("size", "dark"), [(DESKTOP, False), (PHONE, True), (NARROW, False)], ids=str
)
def test_its_pages_are_accessible_and_fit(
    empty: BrowserShop, size: tuple[int, int], dark: bool
) -> None:
    page = empty.visit("/", size, dark=dark)
    # The last is long, and the same in every shop: test_manners has it in the other sizes.
    for path in (*PATHS, "/docs") if size == NARROW else PATHS:
        page.goto(path)
        assert not accessibility(page), path
        wide = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (path, wide)
    empty.close_pages()


def test_the_books_are_there_once_they_are_imported(empty: BrowserShop) -> None:
    page = empty.visit("/")
    expect(page.get_by_role("heading", name="There are no books yet")).to_be_visible()
    expect(page.get_by_text("python -m bazar import books.csv")).to_be_visible()
    page.goto("/books?q=deich")
    expect(page.get_by_role("heading", name="There are no books yet")).to_be_visible()
    lesson = empty.visit("/cluster")
    lesson.get_by_role("button", name="Read it").click()
    told = "The number of each book stands in the address of its page"
    expect(lesson.locator("#result")).to_contain_text(told)

    made = empty.run(empty.cluster.post("catalog-1", "/import", {"books": BOOKS}))
    assert made.json["results"] == [{"id": 8, "created": True}]
    page.reload()
    page.get_by_role("link", name="Der Deich").click()
    page.get_by_role("button", name="Buy now").click()
    page.wait_for_url("**/receipt/*")
    assert empty.book(8)["count"] == 3
    empty.complaints.clear()  # the browser notes the 404
    empty.close_pages()
