"""A caller of a node, that says exactly what it is told to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bazar.rpc.client import CALLS_PATH
from bazar.rpc.frames import FrameConnection, dial
from tests.http.shop import TOKEN, ShopTestCase
from tests.patience import PATIENCE_S, until


class CallsTestCase(ShopTestCase):
    async def connect(self, got: list[Any], path: str = CALLS_PATH) -> FrameConnection:
        connection = await dial(self.shop.node("catalog-1"), path, TOKEN, PATIENCE_S)
        connection.on_frame = lambda frame: got.append(json.loads(frame))
        connection.resume()
        return connection

    def exchange(
        self, *frames: bytes, answers: int, path: str = CALLS_PATH
    ) -> tuple[list[Any], bool]:
        """What comes back by call number, and whether the node has hung up."""

        async def talk() -> tuple[list[Any], bool]:
            got: list[Any] = []
            connection = await self.connect(got, path)
            lost = asyncio.Event()
            connection.on_lost = lost.set
            for frame in frames:
                connection.send(frame)
            await until(lambda: len(got) == answers or lost.is_set(), "it has answered")
            connection.close()
            return sorted(got, key=lambda answer: answer["id"]), lost.is_set()

        result: tuple[list[Any], bool] = self.io_loop.run_sync(talk)
        return result

    def call(self, number: int, path: Any, items: Any, **more: Any) -> bytes:
        return json.dumps({"id": number, "path": path, "items": items, **more}).encode()
