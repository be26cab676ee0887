"""The scenario of the token: the real application, on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient

from tests.http.shop import TOKEN, Shop
from tests.simulation.demo.scenario import Run
from tests.simulation.demo.world import Story

BOOK = 4


class Numbered(Story):
    """A story with steps instead of times: the duration of a real request does not belong to the
    scenario."""

    unit = "step"


class Visit:
    """Requests to a shop, one after the other, and their drawing."""

    def __init__(self, shop: Shop, client: AsyncHTTPClient) -> None:
        self.shop = shop
        self.client = client
        self.story = Numbered(["mallory", "reader", "operator", "frontend-1", "catalog-1"])
        self.steps = 0

    async def ask(
        self, who: str, node: str, method: str, path: str, body: Any = None, token: str = ""
    ) -> tuple[int, Any]:
        self.steps += 1
        words = f"{method} {path}" + ("" if body is None else f" {json.dumps(body)}")
        self._draw(who, words + (" with the token" if token else ""), node)
        response = await self.client.fetch(
            self.shop.url(node, path),
            method=method,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
            if token
            else {"Content-Type": "application/json"},
            body=None if body is None else json.dumps(body),
            raise_error=False,
        )
        found = json.loads(response.body)
        self._draw(node, f"{response.code} {told(found)}", who)
        return response.code, found

    def _draw(self, who: str, words: str, to: str) -> None:
        self.story.add(self.steps / 1000, who, words, to, self.steps / 1000)


def told(found: Any) -> str:
    """Return what matters of an answer."""
    for name in ("error", "message"):
        if name in found:
            return str(found[name])
    return f"book {found['id']} costs {found['cost']}" if "cost" in found else ""


def open_door() -> Run:
    """Play the token: a client without it changes a price."""
    return asyncio.run(_open_door())


async def _open_door() -> Run:
    client = AsyncHTTPClient(force_instance=True)
    with tempfile.TemporaryDirectory() as directory:
        shop = Shop(Path(directory) / "shop")
        await shop.start()
        try:
            return await _visit(Visit(shop, client))
        finally:
            client.close()
            shop.write_logs()
            await shop.stop()


async def _visit(visit: Visit) -> Run:
    info, update, drop = f"/info/{BOOK}", f"/update/{BOOK}", f"/invalidateCache/{BOOK}"
    _, before = await visit.ask("reader", "frontend-1", "GET", info)
    dropped, _ = await visit.ask("mallory", "frontend-1", "GET", drop)
    updated, _ = await visit.ask("mallory", "catalog-1", "PUT", update, {"cost": 1})
    _, after = await visit.ask("reader", "frontend-1", "GET", info)
    healthy, _ = await visit.ask("operator", "catalog-1", "GET", "/healthz")
    seen, _ = await visit.ask("operator", "catalog-1", "GET", "/status", token=TOKEN)
    changed, new = await visit.ask(
        "operator", "catalog-1", "PUT", update, {"cost": 25}, token=TOKEN
    )
    if (healthy, seen, changed, new["cost"]) != (200, 200, 200, 25):
        raise AssertionError("the scenario has failed: the operator is not let in")
    lines = visit.story.lines()
    if updated == 200 or dropped == 200 or after["cost"] != before["cost"]:
        return Run(
            lines,
            True,
            f"OPEN: mallory, who knows no token, emptied a cache ({dropped}) and changed the price "
            f"of book {BOOK} from {before['cost']} cents to {after['cost']} ({updated})",
        )
    return Run(
        lines,
        False,
        f"SHUT: without the cluster token an internal path answers {updated}; book {BOOK} still "
        f"costs {after['cost']} cents. Who runs the shop sees how it is, and can change it",
    )
