"""What catalog and order have in common: how a node comes and goes, and where its writes go."""

from __future__ import annotations

import unittest
from typing import Any

from bazar.errors import BadRequest, ShuttingDown, Unavailable
from bazar.metrics.figures import Figures
from bazar.replication.store import Answer
from bazar.rpc.frames import FrameConnection
from handlers.catalog.service import CatalogService
from handlers.paths import FORWARDED_PATH, KNOCK_PATH
from tests.patience import until
from tests.unit.handlers.parts import Engine, Links, context, turns

UPDATE = {"op": "update", "key": "k", "book": 4, "fields": {"cost": 5}}


class Caller(FrameConnection):
    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._events = events

    def close(self) -> None:
        self._events.append("hangs up")


class ReplicatedTest(unittest.IsolatedAsyncioTestCase):
    def made(self, *, whole: bool = True) -> CatalogService:
        self.engine = Engine(whole=whole)
        self.events = self.engine.events
        self.fatal: list[BaseException] = []
        made = context("catalog-1", fatal=self.fatal.append)
        object.__setattr__(made, "links", Links(self.events))
        return CatalogService(made, engine=self.engine)

    async def started(self) -> CatalogService:
        service = self.made()
        await service.start()
        return service

    async def test_it_takes_part_once_its_log_is_open(self) -> None:
        service = await self.started()
        self.assertEqual(self.events, ["opens", "takes part"])
        assert self.engine.wiring is not None
        self.assertEqual(self.engine.wiring.me.name, "catalog-1")
        self.assertEqual([peer.name for peer in self.engine.wiring.peers], ["catalog-2"])
        self.assertIs(service.replica, self.engine.replica)

    async def test_a_log_that_may_be_damaged_is_checked_before(self) -> None:
        service = self.made(whole=False)
        await service.start()
        await turns()
        self.assertEqual(self.events, ["opens"])
        self.engine.checked.set()
        await until(lambda: "takes part" in self.events, "it takes part")
        self.assertEqual(self.events, ["opens", "is checked", "takes part"])
        self.assertEqual(self.fatal, [])

    async def test_it_leaves_the_group_before_its_log_is_closed(self) -> None:
        service = await self.started()
        self.events.clear()
        service.callers[Caller(self.events)] = None
        await service.stop()
        leaves = ["hangs up", "leaves the group", "is closed", "closes its links"]
        self.assertEqual(self.events, leaves)
        node = service.context.config.nodes["catalog-2"]
        with self.assertRaises(Unavailable):
            await service.client.submit(node, "/read", {}, 60.0)
        self.assertEqual(self.events, leaves)  # it asks nobody any more

    async def test_one_that_is_still_checked_leaves_too(self) -> None:
        service = self.made(whole=False)
        await service.start()
        await service.stop()
        self.engine.checked.set()
        await turns()
        self.assertNotIn("takes part", self.events)

    async def test_it_is_ready_while_it_may_answer_reads(self) -> None:
        service = await self.started()
        service.ready()
        self.engine.replica.reads.closed = True
        with self.assertRaises(Unavailable):
            service.ready()

    async def test_r7_a_write_is_passed_on_once_at_the_most(self) -> None:
        service = await self.started()
        written = self.engine.replica.written
        await service.write_item(UPDATE)
        await service.write_forwarded(UPDATE)
        await service.write(UPDATE)
        self.assertEqual(written, [(UPDATE, True), (UPDATE, False), (UPDATE, True)])
        for write in (service.write_item, service.write_forwarded):
            with self.assertRaises(BadRequest):
                await write({"op": "odd"})
        self.assertEqual(len(written), 3)

    async def test_what_it_passes_on_goes_to_the_primary_and_comes_back(self) -> None:
        service = await self.started()
        asked: list[tuple[str, str, Any]] = []
        leaves = False

        async def submit(node: Any, path: str, item: Any, timeout_s: float) -> Answer:
            asked.append((node.name, path, item))
            if leaves:
                raise ShuttingDown("the primary is about to stop")
            return {"answered": path}

        service.client.submit = submit  # type: ignore[method-assign]
        wiring, other = self.engine.wiring, service.context.config.nodes["catalog-2"]
        assert wiring is not None
        for send, path in ((wiring.forward, FORWARDED_PATH), (wiring.knock, KNOCK_PATH)):
            self.assertEqual(await send(other, UPDATE), {"answered": path})
            self.assertEqual(asked[-1], ("catalog-2", path, UPDATE))
        leaves = True
        with self.assertRaises(Unavailable) as caught:
            await wiring.forward(other, UPDATE)
        self.assertNotIsInstance(caught.exception, ShuttingDown)  # this node does not leave

    async def test_monitoring_is_told_what_it_counts(self) -> None:
        service = await self.started()
        batcher: Any = type("Counted", (), {"calls": 2, "items": 3})
        service.client.batchers["catalog-2", "/read"] = batcher
        figures = Figures({})
        service.measure(figures)
        told = {
            name: [value for _, _, value in figures.families[name].samples]
            for name in (
                *("bazar_group_nodes", "bazar_batches", "bazar_batch_operations"),
                *("bazar_rpc_items", "bazar_disk_duration_seconds"),
            )
        }
        counts = told.pop("bazar_disk_duration_seconds")
        self.assertEqual(list(told.values()), [[2], [3], [5], [3]])
        self.assertEqual(counts[-1], 0)
