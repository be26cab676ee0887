"""A real browser before a real cluster. Skipped, with the reason, where there is no chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.shop import PATIENCE_S, BrowserShop

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)


@contextmanager
def chromium_running() -> Iterator[Browser]:
    expect.set_options(timeout=1000 * PATIENCE_S)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


# No longer than a module: while it lives, its thread has an event loop, and nobody else's test can
# run one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with chromium_running() as browser:
        yield browser


@pytest.fixture(scope="module")
def cluster(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserShop]:
    with BrowserShop(chromium, tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture
def shop(cluster: BrowserShop) -> Iterator[BrowserShop]:
    """The cluster of this file's tests, the samples on the shelves again."""
    cluster.restock()
    yield cluster
    cluster.close_pages()
