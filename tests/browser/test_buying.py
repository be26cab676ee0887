"""Finding and buying, as a visitor does it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.shop import BrowserShop

RECEIPT = re.compile(r"/receipt/[0-9a-f]{32}$")


def purchases(page: Page) -> list[str]:
    """Return a list of the purchases that the page asks for from now on."""
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/buy") else None)
    return asked


def number(page: Page) -> str:
    """The order's number on its page."""
    page.wait_for_url(RECEIPT)
    given = page.locator("[data-order]").get_attribute("data-order")
    assert given
    return given


def test_a_first_time_visitor_finds_a_book_and_buys_it(shop: BrowserShop) -> None:
    page = shop.visit("/")
    page.get_by_label("Words of a title or an author").fill("impatient COOK")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Cooking for the Impatient Undergrad").click()
    expect(page.get_by_text("7 in stock")).to_be_visible()
    page.get_by_role("button", name="Buy now").click()
    order = number(page)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    page.reload()
    assert number(page) == order
    assert shop.book(4)["count"] == 6


def test_topics_and_pages(shop: BrowserShop) -> None:
    page = shop.visit("/")
    page.get_by_role("navigation", name="Topics").get_by_text("Undergraduate School").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Books about Undergraduate School")
    expect(page.locator(".books li")).to_have_count(5)


def test_a_double_click_is_one_order(shop: BrowserShop) -> None:
    before = shop.orders()
    page = shop.visit("/books/4")
    page.get_by_role("button", name="Buy now").dblclick()
    number(page)
    assert (shop.book(4)["count"], shop.orders()) == (6, before + 1)


def test_an_answer_that_is_lost_is_asked_for_again(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    lost: list[str] = []

    def lose(route: Route) -> None:
        [key] = parse_qs(route.request.post_data)["key"]
        if not lost:
            route.fetch()  # it arrives, and is done
            lost.append(key)
            route.abort("connectionreset")
        else:
            lost.append(key)
            route.continue_()

    page.route("**/buy", lose)
    page.get_by_role("button", name="Buy now").click()
    number(page)
    assert lost == [lost[0]] * 2
    assert shop.book(4)["count"] == 6
    shop.complaints.clear()  # the browser's, of the lost connection


def test_a_press_after_a_lost_connection_and_a_reload_is_the_same_order(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    page.route("**/buy", lambda route: (route.fetch(), route.abort())[-1])
    page.get_by_role("button", name="Buy now").click()
    expect(page.locator("[data-told]")).to_contain_text("Asking again")
    page.goto("about:blank")  # so that it asks no more
    page.unroute_all(behavior="wait")
    page.context.clear_cookies(name="bought")  # it was lost with the answer
    page.goto("/books/4")
    page.get_by_role("button", name="Buy now").click()
    number(page)
    assert shop.book(4)["count"] == 6
    shop.complaints.clear()


def test_the_back_button_buys_nothing(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    page.get_by_role("button", name="Buy now").click()
    order = number(page)
    page.go_back()
    expect(page.get_by_text("6 in stock")).to_be_visible()
    expect(page.locator("[data-told]")).to_be_empty()
    expect(page.get_by_role("heading", name="You just bought this")).to_be_focused()
    expect(page.get_by_role("button", name="Buy now")).to_be_hidden()
    page.get_by_role("link", name="See your order").click()
    assert number(page) == order
    page.go_back()
    asked = purchases(page)
    page.get_by_role("button", name="Buy it once more").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Buy now")).to_be_visible()
    page.keyboard.press("Enter")  # once more: it meets nothing that buys
    expect(page.get_by_role("heading", name="You just bought this")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Copies")).to_be_focused()
    page.get_by_role("button", name="Buy now").click()
    page.wait_for_url(RECEIPT)
    assert number(page) != order
    assert len(asked) == 1
    assert shop.book(4)["count"] == 5


def test_without_scripts(shop: BrowserShop) -> None:
    page = shop.visit("/", scripts=False)
    page.get_by_label("Words of a title or an author").fill("cook")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Cooking for the Impatient Undergrad").click()
    page.get_by_label("Copies").fill("2")
    page.get_by_role("button", name="Buy now").click()
    page.get_by_role("button", name="Buy for $0.40").dblclick()
    order = number(page)
    page.reload()
    assert number(page) == order
    page.go_back()
    expect(page.get_by_role("heading", name="You just bought this")).to_be_visible()
    expect(page.get_by_role("button", name="Buy for")).to_have_count(0)
    page.get_by_role("link", name="See your order").click()
    assert number(page) == order
    assert shop.book(4)["count"] == 5
    page.goto("/books/4")  # which is the same for all
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("status")).to_contain_text("You just bought this: see your order")
    page.get_by_role("button", name="Buy for $0.20").click()
    page.wait_for_url(RECEIPT)
    assert number(page) != order


def test_sold_out_before_the_press(shop: BrowserShop) -> None:
    page = shop.visit("/books/3")
    shop.update(3, count=0)
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("heading", name="Out of stock")).to_be_visible()
    expect(page.get_by_text("Nothing was bought")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Undergraduate School").click()
    page.get_by_role("link", name="Xen and the Art").click()
    expect(page.get_by_text("All copies are sold")).to_be_visible()
    expect(page.get_by_role("button", name="Buy now")).to_have_count(0)


def test_retired_before_the_press(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    shop.update(4, retired=True)
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("heading", name="No longer sold")).to_be_visible()
    expect(page.get_by_text("Nothing was bought")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Undergraduate School").click()
    expect(page.get_by_role("link", name="Xen and the Art")).to_be_visible()
    expect(page.get_by_role("link", name="Cooking for the Impatient")).to_have_count(0)
    page.goto("/books/4")
    expect(page.get_by_role("heading", name="Cooking for the Impatient")).to_be_visible()
    expect(page.get_by_text("taken this book out of its range")).to_be_visible()
    expect(page.get_by_role("button", name="Buy now")).to_have_count(0)
    shop.complaints.clear()  # the browser notes the 409


def test_a_changed_price_is_asked_about(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    shop.update(4, cost=25)
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("status")).to_contain_text("it was $0.20, and is $0.25 now")
    assert shop.book(4)["count"] == 7
    page.get_by_role("button", name="Buy for $0.25").click()
    number(page)
    assert shop.book(4)["count"] == 6


def test_a_basket_with_and_without_scripts(shop: BrowserShop) -> None:
    for scripts in (True, False):
        page = shop.visit("/books/4", scripts=scripts)
        page.get_by_label("Copies").fill("2")
        page.get_by_role("button", name="Add to basket").click()
        page.goto("/books/5")
        page.get_by_role("button", name="Add to basket").click()
        page.get_by_label("Copies of How to finish").fill("3")
        page.get_by_role("button", name="Update copies").click()
        expect(page.get_by_role("button", name="Buy all for $36.40")).to_be_visible()
        if scripts:
            page.goto("/")
            expect(page.locator("[data-basket-count]")).to_have_text("5")
            page.goto("/basket")
        page.get_by_role("button", name="Buy all").dblclick()
        number(page)
        expect(page.locator("tfoot")).to_contain_text("$36.40")
        page.go_back()
        expect(page.get_by_text("It is empty")).to_be_visible()
        expect(page.get_by_text("You just bought what was in it")).to_be_visible()
    assert (shop.book(4)["count"], shop.book(5)["count"]) == (3, 4)


def test_enter_in_the_basket_changes_copies_and_removes_nothing(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    page.get_by_role("button", name="Add to basket").click()
    page.get_by_label("Copies of Cooking").fill("3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Buy all for $0.60")).to_be_visible()
    page.get_by_role("button", name="Remove Cooking").click()
    expect(page.get_by_text("It is empty")).to_be_visible()


def test_nobody_to_take_the_order_for_a_moment(shop: BrowserShop) -> None:
    page = shop.visit("/books/4")
    shop.run(shop.cluster.kill("order-1", "order-2"))
    page.get_by_role("button", name="Buy now").click()
    number(page)
    assert shop.book(4)["count"] == 6
    shop.complaints.clear()  # of a 503 or two
    shop.run(shop.cluster.ready())


@pytest.mark.parametrize("width", [320, 360, 390, 412, 440])
def test_a_second_tap_buys_nothing_on_any_phone(shop: BrowserShop, width: int) -> None:
    page = shop.visit("/books/4", (width, 800))
    page.get_by_role("button", name="Buy now").click()
    number(page)
    page.go_back()
    asked = purchases(page)
    page.get_by_role("button", name="Buy it once more").dblclick()
    page.get_by_role("button", name="Buy now").click()
    number(page)
    assert len(asked) == 1
    assert shop.book(4)["count"] == 5


def test_a_browser_that_lets_pages_keep_nothing_is_asked(shop: BrowserShop) -> None:
    page = shop.visit("/")
    page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('denied'); }})"
    )
    page.goto("/books/4")
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("heading", name="Buy this?")).to_be_focused()
    page.get_by_role("button", name="Buy for").click()
    number(page)
    assert shop.book(4)["count"] == 6
