"""A visitor's own orders, and changing one's mind."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.shop import DESKTOP, NARROW, PHONE, BrowserShop, accessibility
from tests.browser.test_buying import RECEIPT


def buy(page: Page, copies: int = 1) -> None:
    page.goto("/books/4")
    page.get_by_label("Copies").fill(str(copies))
    page.get_by_role("button", name="Buy now").click()
    page.wait_for_url(re.compile("/confirm|/receipt/"))
    if "/confirm" in page.url:  # without scripts
        page.get_by_role("button", name="Buy for").click()
    page.wait_for_url(RECEIPT)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "without"])
def test_what_was_bought_is_found_and_undone(shop: BrowserShop, scripts: bool) -> None:
    page = shop.visit("/", scripts=scripts)
    buy(page)
    expect(page.get_by_role("heading", name="Thank you")).to_be_focused()
    page.goto("/")
    page.get_by_role("link", name="Your orders").click()
    expect(page.get_by_text("1 × Cooking for the Impatient Undergrad")).to_be_visible()
    page.get_by_role("link", name="can be undone").click()
    page.get_by_role("button", name="Undo the order").dblclick()
    expect(page.get_by_role("heading", name="This order is cancelled")).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text("$0.20 comes back")
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    assert shop.book(4)["count"] == 7
    page.goto("/books/4")
    expect(page.get_by_role("button", name="Buy now")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "without"])
def test_a_part_by_keyboard_alone(shop: BrowserShop, scripts: bool) -> None:
    page = shop.visit("/", scripts=scripts)
    buy(page, 3)
    keys(page, "Undo the order")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # opens what a part needs
    page.keyboard.press("Tab")
    expect(page.get_by_label("Copies of “Cooking")).to_be_focused()
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="A part of this order is cancelled")).to_be_focused()
    expect(page.get_by_text("Cancelled: 2 of 3")).to_be_visible()
    assert shop.book(4)["count"] == 6
    keys(page, "Undo the rest")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="This order is cancelled")).to_be_focused()
    assert shop.book(4)["count"] == 7


def keys(page: Page, button: str) -> None:
    """Go to a button as one does without a mouse, and see where one is."""
    wanted = page.get_by_role("button", name=button)
    for _ in range(10):
        page.keyboard.press("Tab")
        if wanted.evaluate("button => button === document.activeElement"):
            outline = wanted.evaluate("button => getComputedStyle(button).outlineStyle")
            assert outline == "solid"
            return
    raise AssertionError(f"{button!r} is not reached")


def test_another_browser_sees_the_order_and_can_not_undo_it(shop: BrowserShop) -> None:
    page = shop.visit("/")
    buy(page)
    other = shop.visit(page.url)
    expect(other.get_by_role("heading", name="This order is placed")).to_be_visible()
    expect(other.get_by_role("button", name="Undo")).to_have_count(0)
    other.goto("/receipt")
    expect(other.get_by_text("This browser knows of none")).to_be_visible()
    order = page.locator("[data-order]").get_attribute("data-order")
    sent = other.request.post(f"{shop.url}/receipt/{order}/undo", form={})
    assert sent.status == 403
    assert shop.book(4)["count"] == 6


def test_two_windows_that_buy_at_once_remember_both(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    other = page.context.new_page()
    other.goto("/books/5")
    for one in (page, other):
        one.get_by_role("button", name="Buy now").click(no_wait_after=True)
    for one in (page, other):
        one.wait_for_url(RECEIPT)
    page.goto("/receipt")
    expect(page.locator(".orders > li")).to_have_count(2)


@pytest.mark.parametrize(
    ("size", "dark"),
    [(DESKTOP, False), (PHONE, True), (NARROW, False)],
    ids=["desktop", "phone in the dark", "narrow"],
)
def test_manners(shop: BrowserShop, size: tuple[int, int], dark: bool) -> None:
    shop.update(4, title="Donaudampfschifffahrtsgesellschaftskapitän" * 4)
    page = shop.visit("/", size, dark=dark)

    def mind(what: Any) -> None:
        expect(what).to_be_visible()
        assert not accessibility(page), page.url
        wide = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (page.url, wide)

    heading = page.get_by_role("heading")
    page.goto("/receipt")
    mind(page.get_by_text("This browser knows of none"))
    buy(page, 3)
    page.get_by_text("Undo only a part").click()
    mind(page.get_by_role("button", name="Undo the others"))
    page.go_back()
    mind(heading.filter(has_text="You just bought this"))
    page.goto("/confirm?book=4&quantity=1&cost=20&key=k")
    mind(page.get_by_text("Here you would buy it once more"))
    page.goto("/receipt")
    mind(page.get_by_role("link", name="can be undone"))
    page.locator(".orders a").first.click()
    page.get_by_text("Undo only a part").click()
    page.get_by_label("Copies of “").fill("2")
    page.get_by_role("button", name="Undo the others").click()
    mind(heading.filter(has_text="A part of this order is cancelled"))
    page.goto("/receipt")
    mind(page.get_by_text("A part is cancelled"))
