"""The keeper's pages, as a keeper uses them: with and without scripts, by keyboard, on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.shop import DESKTOP, NARROW, PHONE, BrowserShop, accessibility
from tests.browser.test_manners import SHIFTS

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "none"])
CONFLICT = "Somebody else has changed this book meanwhile"


def sign_in(shop: BrowserShop, path: str = "/keeper/books", **options: object) -> Page:
    """A keeper's page. The first one signs in, and all go on with that session: whoever signs in
    too often has to wait."""
    if not shop.session:
        page = shop.visit(path)
        page.get_by_label("The shop’s token").fill(shop.token)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Sign out").wait_for()
        shop.complaints.clear()  # the browser notes the 401
        shop.session = page.context.cookies()
    page = shop.visit(path, cookies=shop.session, **options)  # type: ignore[arg-type]
    page.get_by_role("button", name="Sign out").wait_for()
    return page


def open_book(page: Page, number: int) -> None:
    page.goto(f"/keeper/books/{number}")
    page.get_by_role("heading", name="Restock or change").wait_for()


@SCRIPTS
def test_a_keeper_finds_a_book_and_restocks_it(shop: BrowserShop, scripts: bool) -> None:
    page = sign_in(shop, scripts=scripts)
    page.get_by_role("main").get_by_role("searchbox").fill("impatient cook")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Cooking for the Impatient Undergrad").click()
    page.get_by_label("Copies to add").fill("5")
    page.get_by_role("button", name="Save").dblclick()
    expect(page.get_by_text("12 in stock")).to_be_visible()
    expect(page.get_by_role("status")).to_be_focused()
    page.reload()
    assert shop.book(4)["count"] == 12


@SCRIPTS
def test_the_back_button_does_nothing_a_second_time(shop: BrowserShop, scripts: bool) -> None:
    page = sign_in(shop, scripts=scripts)
    open_book(page, 4)
    page.get_by_label("Copies to add").fill("5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The stock is changed")).to_be_visible()
    page.go_back()
    page.get_by_label("Copies to add").fill("5")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("was not done a second time")
    assert shop.book(4)["count"] == 12
    page.get_by_label("Copies to add").fill("5")  # here it is another one
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("17 in stock")).to_be_visible()


@SCRIPTS
def test_what_is_wrong_is_said_beside_it_and_nothing_is_lost(
    shop: BrowserShop, scripts: bool
) -> None:
    page = sign_in(shop, scripts=scripts)
    page.get_by_role("link", name="Add a book").click()
    page.get_by_label("Title").fill(f"Typed {scripts}")
    page.get_by_label("Topic").fill("Software")
    page.get_by_label("Price").fill("12.505")
    page.get_by_label("Copies in stock").fill("3")
    page.keyboard.press("Enter")
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    price = page.get_by_label("Price")
    expect(price).to_have_accessible_description(
        "In dollars, such as 12.50. Error:"
        " '12.505' can be read in two ways: type 12505.00 if it has no cents."
    )
    expect(price).to_have_value("12.505")
    expect(page.get_by_label("Title")).to_have_value(f"Typed {scripts}")
    summary.get_by_role("link", name="Price").click()
    expect(price).to_be_focused()
    price.fill("12.50")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The book is in the shop now")).to_be_visible()
    expect(page.get_by_text("3 in stock at $12.50")).to_be_visible()
    shop.complaints.clear()  # the browser notes the 400


@SCRIPTS
def test_a_session_that_ends_loses_nothing(shop: BrowserShop, scripts: bool) -> None:
    page = sign_in(shop, scripts=scripts)
    open_book(page, 4)
    page.get_by_label("Title").fill("Typed for an hour")
    page.context.clear_cookies(name="keeper")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("What you typed is kept")).to_be_visible()
    page.get_by_label("The shop’s token").fill(shop.token)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Go on with it").click()
    expect(page.get_by_text("The change is saved")).to_be_visible()
    assert shop.book(4)["title"] == "Typed for an hour"
    shop.complaints.clear()  # of a 401


@SCRIPTS
def test_a_book_is_retired_found_again_and_brought_back(shop: BrowserShop, scripts: bool) -> None:
    page, title = sign_in(shop, scripts=scripts), "Cooking for the Impatient Undergrad"
    open_book(page, 4)
    page.get_by_role("button", name="Retire it").click()  # the browser asks to tick the box
    assert "retired" not in shop.book(4)
    page.get_by_label("I mean it").check()
    page.get_by_role("button", name="Retire it").dblclick()
    expect(page.get_by_role("status")).to_contain_text("nobody finds it or buys it any more")
    expect(page.get_by_role("status")).to_be_focused()
    assert shop.book(4)["retired"]
    page.get_by_role("link", name="Books", exact=True).click()
    expect(page.get_by_role("link", name=title)).to_have_count(0)
    page.get_by_label("Retired books").check()
    page.get_by_role("main").get_by_role("searchbox").fill("impatient")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=title).click()
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_role("status")).to_contain_text("It is on sale again")
    assert "retired" not in shop.book(4)


def test_two_keepers(shop: BrowserShop) -> None:
    pages = [sign_in(shop) for _ in range(2)]
    for page, title in zip(pages, ("Theirs", "Mine"), strict=True):
        open_book(page, 4)
        page.get_by_label("Title").fill(title)
    pages[1].get_by_label("Price").fill("0.30")
    pages[0].get_by_role("button", name="Save").click()
    expect(pages[0].get_by_text("The change is saved")).to_be_visible()
    page = pages[1]
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text(CONFLICT)
    row = page.get_by_role("row", name="Title")
    for text in ("Cooking for the Impatient Undergrad", "Theirs", "Mine"):
        expect(row).to_contain_text(text)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The change is saved")).to_be_visible()
    book = shop.book(4)
    assert (book["title"], book["cost"]) == ("Mine", 30)
    shop.complaints.clear()  # of a 412


def test_after_the_sign_out_nobody_sees_anything(shop: BrowserShop) -> None:
    page = sign_in(shop)
    open_book(page, 4)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("The shop’s token")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Title")).to_have_count(0)
    shop.complaints.clear()  # of a 401


def test_by_keyboard_alone(shop: BrowserShop) -> None:
    page = sign_in(shop)
    open_book(page, 4)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "count_add":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_focused()
    assert shop.book(4)["count"] == 10


PATHS = (
    "/keeper/books",
    "/keeper/books?q=xyz",
    "/keeper/books?q=%2B%2B",
    "/keeper/add",
    "/keeper/books/4",
    "/keeper/books/6",
    "/keeper/books?retired=true",
    "/keeper/books/99",
    "/keeper/orders",
    "/keeper/orders?q=xyz",
    "/keeper/orders?since=2026-11-29&until=2026-11-28",
    "/keeper/orders?before=0-0",
)


@pytest.mark.parametrize(
    ("size", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone in the dark"]
)
def test_accessible(shop: BrowserShop, size: tuple[int, int], dark: bool) -> None:
    shop.update(4, author="Somebody", isbn="0-306-40615-2")
    shop.update(6, retired=True)
    stranger = shop.visit("/keeper/books", size, dark=dark)
    stranger.get_by_label("The shop’s token").fill("wrong")
    stranger.keyboard.press("Enter")
    stranger.get_by_text("It is not this shop’s token").wait_for()
    assert not accessibility(stranger)
    page = sign_in(shop, size=size, dark=dark)
    order = shop.buy((4, 3), (5, 1))
    for path in (*PATHS, f"/keeper/orders/{order}"):
        page.goto(path)
        assert not accessibility(page), path
        assert page.evaluate(SHIFTS) < 0.01, path
    page.goto("/keeper/add")
    page.get_by_role("button", name="Add the book").click()
    page.get_by_text("The book was not added").wait_for()
    assert not accessibility(page)
    page.goto(f"/keeper/orders/{order}")
    refuse_nine(page)
    assert not accessibility(page)
    clash(shop, page)
    assert not accessibility(page)
    shop.complaints.clear()


def refuse_nine(page: Page) -> None:
    """Have nine of three copies cancelled."""
    page.get_by_label("Cooking").fill("9")
    page.get_by_role("button", name="Cancel these copies").click()
    page.get_by_text("Nothing was cancelled").wait_for()


def clash(shop: BrowserShop, page: Page, title: str = "Theirs") -> None:
    """Lead the page to a conflict."""
    open_book(page, 4)
    shop.update(4, title=title)
    page.get_by_label("Title").fill(f"Mine, not {title}")
    page.get_by_role("button", name="Save").click()
    page.get_by_text(CONFLICT).wait_for()


@pytest.mark.parametrize("size", [NARROW, PHONE, DESKTOP], ids=str)
def test_nothing_is_wider_than_the_screen(shop: BrowserShop, size: tuple[int, int]) -> None:
    shop.update(
        4, title="Cooking" + "Donaudampfschifffahrtsgesellschaftskapitän" * 4, author="W" * 60
    )
    order = shop.buy((4, 3), (5, 1))
    page = sign_in(shop, size=size)

    def width() -> int:
        wide: int = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        return wide

    for path in (*PATHS, f"/keeper/orders/{order}"):
        page.goto(path)
        assert width() <= 0, path
    refuse_nine(page)
    assert width() <= 0
    clash(shop, page, "W" * 60)
    assert width() <= 0
    shop.complaints.clear()
