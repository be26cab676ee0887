"""The cluster's page, while things happen to the cluster."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.shop import DESKTOP, PHONE, BrowserShop, accessibility


def state(page: Page, node: str) -> str:
    return page.locator(f'[data-node="{node}"] [data-state]').inner_text()


def live(page: Page) -> None:
    expect(page.locator("#connection")).to_contain_text("Live")
    expect(page.locator("#topology g.lead:not(.waits)")).to_have_count(2)
    expect(page.locator("#topology g.late, #topology g.dead")).to_have_count(0)


def test_a_killed_primary_and_its_return_are_seen(shop: BrowserShop) -> None:
    page = shop.visit("/cluster")
    live(page)
    primary = shop.run(shop.cluster.primary("catalog"))
    other = shop.run(shop.cluster.follower("catalog"))
    # Paused it stays dead for as long as it takes to look.
    shop.run(shop.cluster.pause(primary))
    box = page.locator("#topology g.dead")
    expect(box).to_contain_text(primary)
    expect(box).to_contain_text("does not answer")
    events = page.get_by_role("log")
    expect(events).to_contain_text(f"{primary} does not answer")
    shop.run(shop.cluster.kill(primary))
    expect(events).to_contain_text(f"{other} is primary now")
    expect(events).to_contain_text(f"{other} has waited long enough: writes go on")
    expect(events).to_contain_text(f"{primary} was started anew")
    live(page)
    assert state(page, primary) == f"follows {other}"


def test_a_killed_follower_comes_back(shop: BrowserShop) -> None:
    page = shop.visit("/cluster")
    live(page)
    follower = shop.run(shop.cluster.follower("order"))
    shop.run(shop.cluster.kill(follower))
    expect(page.get_by_role("log")).to_contain_text(follower)
    live(page)


def test_the_way_of_a_request(shop: BrowserShop) -> None:
    page = shop.visit("/cluster")
    live(page)
    result, steps = page.locator("#result"), page.locator("#steps")
    page.get_by_role("button", name="Read it").click()
    expect(result).to_contain_text("miss")
    page.get_by_role("button", name="Read it").click()
    expect(result).to_contain_text("hit")
    expect(steps.locator("li")).to_have_count(1)
    page.get_by_role("button", name="Buy one copy").click()
    expect(result).to_contain_text("6 left")
    for rule in ("S1", "R1", "R2", "R3", "S2", "S3"):
        expect(steps).to_contain_text(rule)
    expect(page.locator("#topology .hop").last).to_be_visible()
    steps.get_by_role("link", name="R3").first.click()
    expect(page.locator("#rule-R3")).to_be_in_viewport()
    expect(page.locator("#rule-R3")).to_contain_text("linearization point")
    expect(page.get_by_role("log")).to_contain_text("dropped by a write")
    page.get_by_label("Book").fill("99")
    page.get_by_role("button", name="Buy one copy").click()
    expect(result).to_contain_text("Refused (404)")
    shop.complaints.clear()  # the browser notes the 404


def test_disturbing_wants_the_token(shop: BrowserShop) -> None:
    page = shop.visit("/cluster")
    live(page)
    follower = shop.run(shop.cluster.follower("catalog"))
    pause = page.get_by_role("button", name=f"Pause {follower}")
    pause.click()
    expect(page.locator("#disturbed")).to_have_text("Give the cluster token first.")
    page.get_by_label("Cluster token").fill("wrong")
    pause.click()
    expect(page.locator("#disturbed")).to_contain_text("Refused")
    page.get_by_label("Cluster token").fill(shop.cluster.token)
    pause.click()
    expect(page.locator("#topology g.dead")).to_contain_text(follower)
    page.get_by_role("button", name=f"Return {follower}").click()
    expect(page.get_by_role("log")).to_contain_text(f"{follower} answers again")
    live(page)
    shop.complaints.clear()  # the browser notes the 403


def test_a_link_is_cut_and_mended_by_keyboard(shop: BrowserShop) -> None:
    page = shop.visit("/cluster")
    live(page)
    primary = shop.run(shop.cluster.primary("catalog"))
    follower = shop.run(shop.cluster.follower("catalog"))
    page.get_by_label("Cluster token").fill(shop.cluster.token)
    keys = page.keyboard
    page.get_by_label("Between one node").focus()
    keys.type(primary)
    keys.press("Tab")
    keys.type(follower)
    for _ in range(3):  # past the delay to the button
        keys.press("Tab")
    expect(page.get_by_role("button", name="Cut")).to_be_focused()
    keys.press("Enter")
    link = " – ".join(sorted((primary, follower)))
    expect(page.locator("#disturbed")).to_have_text(f"The link {primary} – {follower} is cut.")
    expect(page.locator("#impaired")).to_contain_text(f"{link}: cut, for")
    expect(page.locator("#topology .link.cut")).to_have_count(1)
    events = page.get_by_role("log")
    expect(events).to_contain_text(f"the link {link} is cut")
    expect(events).to_contain_text(f"{follower} has lost its lease")
    page.get_by_role("button", name="Buy one copy").click()  # it waits for that lease
    expect(page.locator("#result")).to_contain_text("6 left")
    expect(events).to_contain_text(f"{follower} is out of the in-sync set")
    for size in (PHONE, DESKTOP):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        assert not accessibility(page)
        wide = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (size, wide)

    mend = page.get_by_role("button", name=f"Mend the link {link}")
    mend.focus()
    left = page.locator("#impaired").inner_text()
    expect(page.locator("#impaired")).not_to_have_text(left)  # as a second has passed
    expect(mend).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#impaired li")).to_have_count(0)
    expect(page.get_by_label("Between one node")).to_be_focused()
    expect(events).to_contain_text(f"the link {link} is mended")
    live(page)


def test_a_link_is_slow_by_as_much_as_was_typed(shop: BrowserShop) -> None:
    page = shop.visit("/cluster")
    live(page)
    page.get_by_label("Between one node").select_option("order-1")
    page.get_by_label("and another").select_option("order-2")
    page.get_by_label("by so many milliseconds").fill("7")
    page.get_by_label("by so many milliseconds").press("Enter")  # no more than that
    expect(page.locator("#disturbed")).to_have_text("Give the cluster token first.")
    page.get_by_label("Cluster token").fill(shop.cluster.token)
    page.get_by_label("by so many milliseconds").press("Enter")
    expect(page.locator("#impaired")).to_contain_text("order-1 – order-2: slow by 7 ms each way")
    expect(page.locator("#topology .link.slow")).to_have_count(1)
    page.get_by_role("button", name="Mend", exact=True).click()
    expect(page.locator("#impaired li")).to_have_count(0)
    page.get_by_label("and another").select_option("order-1")
    page.get_by_role("button", name="Cut").click()
    expect(page.locator("#disturbed")).to_contain_text("Refused: between: order-1 twice")
    shop.complaints.clear()  # the browser notes the 400


def test_many_pages_of_one_browser_leave_it_its_connections(shop: BrowserShop) -> None:
    first = shop.visit("/cluster")
    pages = [first, *(first.context.new_page() for _ in range(7))]
    for page in pages[1:]:
        page.goto("/cluster")
        live(page)
    for path in ("/", "/books/4", "/basket"):
        pages[0].goto(path)  # which has its events from another's stream no more
        expect(pages[0].get_by_role("main")).to_be_visible()
    pages[1].close()
    follower = shop.run(shop.cluster.follower("order"))
    shop.run(shop.cluster.kill(follower))
    for page in pages[2:]:
        expect(page.get_by_role("log")).to_contain_text(follower)
        live(page)
    pages[0].goto("/cluster")
    live(pages[0])
    expect(pages[0].get_by_role("log")).to_contain_text(follower)  # what happened before it came


def test_a_browser_without_shared_workers_has_a_stream_a_page(shop: BrowserShop) -> None:
    page = shop.visit("/")
    page.context.add_init_script("delete window.SharedWorker")
    page.goto("/cluster")
    live(page)
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { value: true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    follower = shop.run(shop.cluster.follower("order"))
    shop.run(shop.cluster.kill(follower))
    page.evaluate("""() => {
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    live(page)


def test_manners(shop: BrowserShop) -> None:
    for size, dark in ((DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)):
        page = shop.visit("/cluster", size, dark=dark)
        live(page)
        page.get_by_role("button", name="Read it").click()
        expect(page.locator("#steps li").first).to_be_visible()
        assert not accessibility(page), (size, dark)
        wide = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (size, wide)
        page.context.close()
