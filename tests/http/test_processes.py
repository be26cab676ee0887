"""A front end of several processes, both in this one: each answers for all, where it must."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from tornado.netutil import bind_sockets

from bazar.config import NodeConfig
from bazar.node.server import Context, Server
from bazar.node.workers import private
from handlers import ROLES
from handlers.base import NoRoute
from handlers.frontend.service import FrontEndService
from tests.http.shop import TOKEN, ShopTestCase
from tests.patience import until

DROPPED = "Cache entry for info_1 invalidated."
NOT_FOUND = "No cache entry found for info_1."


class ProcessesTest(ShopTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.io_loop.run_sync(self.start)

    async def start(self) -> None:
        """Two processes in place of the front end, each at its private port."""
        await self.shop.stop_node("frontend-1")
        node = self.shop.node("frontend-1")
        sockets = [bind_sockets(0, "127.0.0.1") for _ in range(2)]
        self.nodes = [
            private(node, number, bound.getsockname()[1])
            for number, [bound] in enumerate(sockets, start=1)
        ]
        self.servers = []
        for me, bound in zip(self.nodes, sockets, strict=True):
            siblings = tuple(one for one in self.nodes if one is not me)
            server = Server(self.service(me, siblings), NoRoute)
            await server.start(bound)
            self.servers.append(server)
        await until(self.is_ready, "both have their leases")

    def service(self, me: NodeConfig, siblings: tuple[NodeConfig, ...]) -> FrontEndService:
        shop = self.shop
        context = Context(shop.config, me, TOKEN, shop.fatal.append, siblings, clock=shop.now)
        service = ROLES["frontend"](context)
        assert isinstance(service, FrontEndService)
        return service

    def is_ready(self) -> bool:
        now = self.shop.now()
        services = [server.service for server in self.servers]
        return all(
            source.subscriber.lease_valid(now)
            for service in services
            if isinstance(service, FrontEndService)
            for source in service.sources
        )

    def tearDown(self) -> None:
        for server in self.servers:
            self.io_loop.run_sync(server.stop)
        super().tearDown()

    def leave(self, number: int) -> None:
        self.io_loop.run_sync(self.servers.pop(number - 1).stop)

    def told(self, number: int, path: str) -> Any:
        """What one process answers, which must be 200."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = self.fetch(self.nodes[number - 1].url + path, headers=headers)
        self.assertEqual(answer.code, 200, answer.body)
        text = answer.body.decode()
        return text if path == "/metrics" else json.loads(text)

    def figures(self, number: int, name: str) -> dict[str, float]:
        """A figure that one process tells, by whose it is."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(self.told(number, "/metrics")):
            for sample in family.samples:
                if sample.name == name:
                    process = sample.labels.get("process", "")
                    found[process] = found.get(process, 0) + sample.value
        return found

    def test_an_operator_drops_an_entry_of_every_process(self) -> None:
        for holders in ((1,), (2,), (1, 2)):
            for number in holders:
                self.told(number, "/info/1")
            self.assertEqual(self.told(1, "/invalidateCache/1")["message"], DROPPED, holders)
            for number in (1, 2):
                answer = self.told(number, "/invalidateCache/1?alone=1")
                self.assertFalse(answer["dropped"], holders)
        self.assertEqual(self.told(1, "/invalidateCache/1")["message"], NOT_FOUND)

    def test_an_entry_is_not_said_to_be_dropped_where_one_does_not_answer(self) -> None:
        self.leave(2)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = self.fetch(self.nodes[0].url + "/invalidateCache/1", headers=headers)
        self.assert_error(answer, 504, "unknown")

    def test_a_link_is_cut_and_mended_in_every_process(self) -> None:
        for do, cut in (("cut", ["catalog-1"]), ("mend", [])):
            answer = self.fetch(
                self.nodes[0].url + "/links/catalog-1",
                method="POST",
                headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
                body=json.dumps({"do": do}),
            )
            self.assertEqual(answer.code, 200, answer.body)
            self.assertEqual([link["to"] for link in json.loads(answer.body)["links"]], cut)
            for number in (1, 2):
                links = self.told(number, "/status?alone=1")["links"]
                self.assertEqual([link["to"] for link in links], cut, (do, number))

    def test_one_status_tells_of_all(self) -> None:
        processes = self.told(2, "/status")["processes"]
        self.assertEqual([one["node"] for one in processes], ["frontend-1.2", "frontend-1.1"])
        self.assertNotIn("processes", self.told(2, "/status?alone=1"))
        self.leave(2)
        processes = self.told(1, "/status")["processes"]
        self.assertEqual([one["node"] for one in processes], ["frontend-1.1"])

    def test_one_scrape_tells_of_all(self) -> None:
        for number in (1, 2, 2):
            self.told(number, "/info/1")
        for number in (1, 2):
            self.assertEqual(self.figures(number, "bazar_cache_misses_total"), {"1": 1, "2": 1})
            self.assertEqual(self.figures(number, "bazar_cache_hits_total"), {"1": 0, "2": 1})
            for name in ("bazar_processes", "bazar_processes_configured"):
                self.assertEqual(self.figures(number, name), {"": 2}, name)
        self.leave(2)
        self.assertEqual(self.figures(1, "bazar_processes"), {"": 1})
        self.assertEqual(self.figures(1, "bazar_processes_configured"), {"": 2})
