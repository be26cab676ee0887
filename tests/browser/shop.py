"""A cluster and a browser that visits it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from storage.samples import SAMPLES
from tests.cluster.cluster import Cluster

T = TypeVar("T")
PATIENCE_S = 60.0
SETTINGS = {
    "replication": {"lease_s": 3.0, "ack_timeout_s": 1.0},  # one ends only where a node has died
    "pool": {},  # a buyer is to hear that nobody is there, and to ask again
}
DESKTOP, PHONE, NARROW = (1280, 860), (390, 844), (320, 640)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class BrowserShop:
    """Its pages fail the test if the browser complains of anything: a script's error, something
    that the Content-Security-Policy forbids, a file that is not there."""

    def __init__(self, browser: Browser, directory: Path, *arguments: str) -> None:
        """Its supervisor is started with these `arguments`."""
        self._browser = browser
        self._arguments = arguments
        # Playwright runs an event loop in this thread.
        self._elsewhere = ThreadPoolExecutor(1)
        self.cluster = Cluster(directory, settings=SETTINGS)
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.session: list[Any] = []  # the cookies of a keeper who has signed in

    def __enter__(self) -> BrowserShop:
        self.run(self.cluster.start_supervised(*self._arguments))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close_pages()
        self.run(self.cluster.terminate_all())
        self.run(self.cluster.__aexit__(kind, error, trace))
        self._elsewhere.shutdown()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """A coroutine of the cluster's."""
        return self._elsewhere.submit(asyncio.run, work).result()

    # --- the shop --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.cluster.ports['frontend-1']}"

    @property
    def token(self) -> str:
        return self.cluster.token

    def update(self, book: int, **fields: Any) -> None:
        self.run(self.cluster.update(book, **fields))

    def restock(self) -> None:
        for number, sample in SAMPLES.items():
            self.update(number, **asdict(sample), author=None, isbn=None, retired=False)

    def book(self, number: int) -> Any:
        with urllib.request.urlopen(f"{self.url}/info/{number}") as answer:
            return json.load(answer)

    def buy(self, *lines: tuple[int, int]) -> str:
        """An order of books, each with so many copies."""
        body = {"lines": [{"book": book, "quantity": copies} for book, copies in lines]}
        bought = self.run(self.cluster.post("frontend-1", "/purchase", body))
        assert bought.status == 200, bought.json
        order_id: str = bought.json["order_id"]
        return order_id

    def order(self, order_id: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/orders/{order_id}") as answer:
            return json.load(answer)

    def orders(self) -> int:
        count: int = self.run(self._orders())
        return count

    async def _orders(self) -> int:
        async with self.cluster.client("order-1", with_token=True) as client:
            return len((await client.get("/orders?limit=500")).json)

    # --- its visitors ----------------------------------------------------------------------------

    def visit(
        self,
        path: str = "/",
        size: tuple[int, int] = DESKTOP,
        *,
        scripts: bool = True,
        dark: bool = False,
        cookies: Sequence[Any] = (),
    ) -> Page:
        """A new visitor's page; `cookies` are what the browser has kept."""
        context = self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            base_url=self.url,
        )
        context.set_default_timeout(1000 * PATIENCE_S)
        context.add_cookies(cookies)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(path)
        return page

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def close_pages(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        complaints, self.complaints = self.complaints, []
        assert not complaints, complaints


def accessibility(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, against WCAG 2.2 A and AA."""
    # Not all else that it has looked at: on a long page that is most of its work.
    results = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    return [
        f"{found['id']}: {node['html'][:150]}: {node.get('failureSummary', '')}"
        for found in results.response["violations"]
        for node in found["nodes"]
    ]
