"""`python -m tests.browser.pictures`: draw the pages that docs/ shows, each on a desktop and on a
phone, by day and in the dark."""

from __future__ import annotations

import argparse
import base64
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import chromium_running
from tests.browser.shop import DESKTOP, PHONE, BrowserShop
from tests.browser.test_keeper import clash, open_book, sign_in
from tests.browser.test_own_orders import buy
from tests.product import ROOT

SCALE = 0.5  # of a picture beside another one
SHEET = """<style>body {{ margin: 0; width: {width}px; background: #888 }}
div {{ display: flex; gap: 12px; padding: 12px; align-items: start }}</style>
<div>{day}</div><div style="padding-top: 0">{night}</div>"""

Way = Callable[[BrowserShop, Page], None]


def results(shop: BrowserShop, page: Page) -> None:
    page.goto("/books?sort=price&in_stock=true")


def receipt(shop: BrowserShop, page: Page) -> None:
    buy(page, 2)


def just_bought(shop: BrowserShop, page: Page) -> None:
    buy(page)
    page.goto("/books/4")


def orders(shop: BrowserShop, page: Page) -> None:
    buy(page, 3)
    page.goto("/books/2")
    page.get_by_role("button", name="Buy now").click()
    page.get_by_role("button", name="Undo the order").click()
    page.get_by_role("heading", name="This order is cancelled").wait_for()
    page.goto("/receipt")


def books(shop: BrowserShop, page: Page) -> None:
    page.goto("/keeper/books")


def book(shop: BrowserShop, page: Page) -> None:
    open_book(page, 4)


def added(shop: BrowserShop, page: Page) -> None:
    page.goto("/keeper/add")


def conflict(shop: BrowserShop, page: Page) -> None:
    clash(shop, page, "Cooking for the Patient Undergrad")
    shop.complaints.clear()  # the browser notes the 409


def sold(shop: BrowserShop, page: Page) -> None:
    shop.buy((4, 3), (1, 1))
    page.goto("/keeper/orders")


def cancelled(shop: BrowserShop, page: Page) -> None:
    order = shop.buy((4, 3), (1, 1))
    page.goto(f"/keeper/orders/{order}")
    page.get_by_label("Cooking").fill("1")
    page.get_by_role("button", name="Cancel these copies").click()
    page.get_by_role("status").wait_for()


BUYERS: dict[str, Way] = {
    "results": results,
    "receipt": receipt,
    "just-bought": just_bought,
    "orders": orders,
}
KEEPERS: dict[str, Way] = {
    "keeper-books": books,
    "keeper-book": book,
    "keeper-new": added,
    "keeper-conflict": conflict,
    "keeper-orders": sold,
    "keeper-order": cancelled,
}


def drawn(shop: BrowserShop, name: str, *, dark: bool) -> Iterator[str]:
    """Yield the page on a desktop and on a phone, each of a new visitor, as `<img>`."""
    for size in (DESKTOP, PHONE):
        shop.restock()
        if name in KEEPERS:
            page = sign_in(shop, size=size, dark=dark)
            KEEPERS[name](shop, page)
        else:
            page = shop.visit(size=size, dark=dark)
            BUYERS[name](shop, page)
        picture = base64.b64encode(page.screenshot()).decode()
        yield f'<img width="{round(SCALE * size[0])}" src="data:image/png;base64,{picture}">'
        shop.close_pages()


def draw(shop: BrowserShop, name: str, place: Path) -> None:
    day, night = ("".join(drawn(shop, name, dark=dark)) for dark in (False, True))
    width = round(SCALE * (DESKTOP[0] + PHONE[0])) + 3 * 12
    sheet = shop.visit("about:blank", size=(width, 1))
    sheet.set_content(SHEET.format(width=width, day=day, night=night))
    sheet.screenshot(path=place / f"{name}.png", full_page=True)
    shop.close_pages()


def main() -> None:
    every = [*BUYERS, *KEEPERS]
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__)
    parser.add_argument("names", nargs="*", default=every, help=f"of {', '.join(every)}")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "img", metavar="DIR")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as place,
        chromium_running() as browser,
        BrowserShop(browser, Path(place)) as shop,
    ):
        for name in options.names:
            draw(shop, name, options.to)
            print(options.to / f"{name}.png")


if __name__ == "__main__":
    main()
