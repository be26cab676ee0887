"""Everybody can use it: by keyboard, with a screen reader, on a phone, in the dark."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.shop import DESKTOP, NARROW, PHONE, BrowserShop, accessibility

PATHS = (
    "/",
    "/books?q=under",
    "/books?q=nothing+of+that",
    "/books?q=%2B%2B",
    "/books/4",
    "/books/2",
    "/basket",
    "/confirm?book=4&quantity=9&cost=25&key=k",
    "/books/6",
    "/confirm?book=6&quantity=1&cost=1500&key=k",
    "/docs",
    "/books/99",
)
# How far things have moved since the page began, once two more frames are drawn.
SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  const add = (entries) => { for (const entry of entries) sum += entry.value; };
  const observer = new PerformanceObserver((list) => add(list.getEntries()));
  observer.observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => {
    add(observer.takeRecords());
    done(sum);
  }));
})"""


def fill_basket(page: Page, shop: BrowserShop) -> None:
    """With books of all kinds; one is retired."""
    value = "0" * 32 + "~4.2.25~5.1.1200~2.3.506~6.1.1500~99.1.1"
    page.context.add_cookies([{"name": "basket", "value": value, "url": shop.url}])
    shop.update(6, retired=True)


@pytest.mark.parametrize(
    ("size", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone in the dark"]
)
def test_accessible(shop: BrowserShop, size: tuple[int, int], dark: bool) -> None:
    page = shop.visit("/", size, dark=dark)
    fill_basket(page, shop)
    for path in PATHS:
        page.goto(path)
        assert not accessibility(page), path
        assert page.evaluate(SHIFTS) < 0.01, path
    shop.complaints.clear()  # the browser notes the 404


@pytest.mark.parametrize("size", [NARROW, PHONE, DESKTOP], ids=str)
def test_nothing_is_wider_than_the_screen(shop: BrowserShop, size: tuple[int, int]) -> None:
    shop.update(4, title="Donaudampfschifffahrtsgesellschaftskapitän" * 4, author="W" * 60)
    page = shop.visit("/", size)
    fill_basket(page, shop)
    for path in PATHS:
        page.goto(path)
        wide = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (path, wide)
    shop.complaints.clear()


def test_by_keyboard_alone(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "quantity":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/receipt/*")
    assert shop.book(4)["count"] == 6
