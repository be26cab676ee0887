"""The keeper's orders in a browser: finding one, cancelling it, and taking tables along."""

from __future__ import annotations

import csv
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.shop import DESKTOP, PHONE, BrowserShop
from tests.browser.test_keeper import SCRIPTS, sign_in


def rows(page: Page, link: str = "All of these for a spreadsheet") -> list[dict[str, str]]:
    """The table that a link of the page brings."""
    with page.expect_download() as begun:
        page.get_by_role("link", name=link).click()
    with Path(begun.value.path()).open(encoding="utf-8-sig", newline="") as file:
        return [*csv.DictReader(file)]


@SCRIPTS
def test_an_order_is_found_by_its_day_and_cancelled(shop: BrowserShop, scripts: bool) -> None:
    order = shop.buy((4, 3), (5, 1))
    day = shop.order(order)["sold_at"][:10]
    page = sign_in(shop, scripts=scripts)
    page.get_by_role("link", name="Orders").click()
    page.get_by_label("From").fill("2020-01-01")
    page.get_by_label("To, inclusive").fill("2020-01-01")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("There are none.")).to_be_visible()
    expect(page.get_by_label("From")).to_have_value("2020-01-01")
    page.get_by_label("From").fill(day)
    page.get_by_label("To, inclusive").fill(day)
    page.get_by_label("Title, book’s number or order").fill(order)
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name=f"Order {order}").click()

    page.get_by_label("Cooking").fill("1")
    page.get_by_role("button", name="Cancel these copies").dblclick()
    expect(page.get_by_role("status")).to_be_focused()
    expect(page.get_by_role("row", name="To be refunded $0.20")).to_be_visible()
    assert shop.order(order)["cancelled"] == [{"book": 4, "quantity": 1}]
    expect(page.get_by_label("Cooking")).to_have_value("1")

    page.get_by_label("I mean it").check()
    page.get_by_role("button", name="Cancel all of it").dblclick()
    expect(page.get_by_text("All of it is cancelled.")).to_be_visible()
    assert shop.order(order)["refund"] == shop.order(order)["cost"]
    assert shop.book(4)["count"] == 7

    page.get_by_role("link", name="All orders").click()
    page.get_by_label("Cancelled").select_option("In part, or all")
    page.get_by_role("button", name="Show").click()
    table = [row for row in rows(page) if row["order_id"] == order]
    assert [(row["book"], row["cancelled"]) for row in table] == [("4", "3"), ("5", "1")]


def test_by_keyboard_alone_and_only_if_it_is_meant(shop: BrowserShop) -> None:
    order = shop.buy((4, 1))
    page = sign_in(shop, f"/keeper/orders/{order}", size=PHONE)
    meant, button = page.get_by_label("I mean it"), page.get_by_role("button", name="Cancel all")
    for one in (meant, button):
        for _ in range(12):
            page.keyboard.press("Tab")
            if one.evaluate("it => it === document.activeElement"):
                break
        assert one.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
    page.keyboard.press("Enter")  # the browser says what is missing
    expect(meant).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All of it is cancelled.")).to_be_visible()
    assert shop.book(4)["count"] == 7


@SCRIPTS
def test_books_as_a_table(shop: BrowserShop, scripts: bool) -> None:
    page = sign_in(shop, scripts=scripts)
    assert [row["id"] for row in rows(page)][:7] == [str(number) for number in range(1, 8)]
    page.goto("/keeper/books?q=cook")
    assert [row["title"] for row in rows(page)] == ["Cooking for the Impatient Undergrad"]


def test_on_a_phone_each_sum_says_what_it_is(shop: BrowserShop) -> None:
    order = shop.buy((4, 3))
    page = sign_in(shop, f"/keeper/orders/{order}", size=PHONE)
    table = page.get_by_role("table")
    expect(table).to_have_css("border-top-width", "0px")
    page.get_by_label("I mean it").check()
    page.get_by_role("button", name="Cancel all of it").click()
    expect(page.get_by_text("All of it is cancelled.")).to_be_visible()
    page.goto(f"/keeper/orders?q={order}")
    cells = page.get_by_role("row", name=order).get_by_role("cell").all()
    labels = [cell.evaluate("it => getComputedStyle(it, '::before').content") for cell in cells]
    assert labels[-2:] == ['"total "', '"refund "'], labels
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    expect(page.get_by_role("columnheader", name="Refund")).to_be_visible()
