"""Whole shops that read at real standbys: one that shows too little, and one that shows too much
(L6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.client import Answer, HTTPClient
from tests.cluster.cluster import Row
from tests.http.shop import TOKEN, Shop
from tests.patience import PATIENCE_S, until
from tests.postgresql.installations import Installation
from tests.postgresql.servers import Place, Server

CATALOG = ("catalog-1", "catalog-2")
READERS = (*CATALOG, "frontend-1")
# Longer than a step here takes. Where that is not so nodes answer 503, which tests allow for.
LEASE_S, PRIMARY_LEASE_S = 15.0, 21.0
BOOK, OTHER = 1, 2
OTHERS = 5  # reads of the other one, while those of the first must wait
STOCK, NEW = 50, 77  # copies, which a book has after an update
NOW = "SELECT clock_timestamp()"
READING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bazar' AND query_start > %s"
COPIES = "SELECT count FROM bazar_catalog.books WHERE id = %s"


@pytest.fixture
def place(installation: Installation) -> Iterator[Place]:
    with Place(installation) as made:
        yield made


@asynccontextmanager
async def opened(directory: Path, *servers: Server) -> AsyncIterator[Shop]:
    """A shop whose nodes read at the first of these servers, if that shows enough."""
    [password] = {server.place.password for server in servers}
    engine = {
        "kind": "postgresql",
        "servers": [server.address for server in servers],
        "dsn": f"user=postgres dbname=postgres password={password}",
        **{"primary_lease_s": PRIMARY_LEASE_S, "pause_s": 0.0},
    }
    replication = {"lease_s": LEASE_S, "ack_timeout_s": 5.0}
    shop = Shop(directory / "shop", {"engine": engine, "replication": replication})
    await shop.start()
    try:
        yield shop
    finally:
        await shop.stop()


async def ask(shop: Shop, node: str, path: str, body: Any = None) -> Answer:
    """Read, or write where there is a `body`."""
    async with HTTPClient(shop.node(node).port, TOKEN) as client:
        return await (client.get(path) if body is None else client.put(path, body))


def begin(shop: Shop, node: str, path: str, body: Any = None) -> asyncio.Task[Answer]:
    return asyncio.create_task(ask(shop, node, path, body))


async def insist(shop: Shop, node: str, path: str, body: Any = None) -> Any:
    """Ask until it is answered: meanwhile leases may have ended, or nobody leads."""
    async with asyncio.timeout(PATIENCE_S):
        while (answer := await ask(shop, node, path, body)).status != 200:
            assert answer.status in (503, 504), answer
    return answer.json


async def copies(shop: Shop, node: str, book: int = BOOK) -> int:
    found = await insist(shop, node, f"/info/{book}")
    return int(found["count"])


async def overtaken(
    shop: Shop, ahead: Server
) -> tuple[asyncio.Task[Answer], list[asyncio.Task[Answer]]]:
    """Begin an update that the primary server can't confirm, and reads once a standby shows it.
    Return both when the reads have had the time to be wrong: meanwhile others are answered."""
    update = begin(shop, "catalog-1", f"/update/{BOOK}", {"count": NEW})
    await until(lambda: ahead.ask(COPIES, BOOK) == [(NEW,)], f"{ahead.name} shows the update")
    reads = [begin(shop, node, f"/info/{BOOK}") for node in CATALOG]
    for _ in range(OTHERS):
        for node in CATALOG:
            # Nothing that is pending touches another book: the same server shows it at once.
            assert (await ask(shop, node, f"/info/{OTHER}")).status == 200, node
    reads.append(begin(shop, "frontend-1", f"/info/{BOOK}"))
    assert shown(reads) == set()
    return update, reads


def shown(reads: Sequence[asyncio.Task[Answer]]) -> set[int]:
    """Return the copies that the reads which are over have shown; others were refused."""
    answers = [read.result() for read in reads if read.done()]
    assert {answer.status for answer in answers} <= {200, 503, 504}, answers
    return {answer.json["count"] for answer in answers if answer.status == 200}


# --- a standby that is behind ---------------------------------------------------------------------


async def test_no_read_is_old_where_a_standby_applies_late(place: Place, tmp_path: Path) -> None:
    """It has on its disk what was acknowledged, and shows it in an hour."""
    one = place.primary("one")
    two = place.standby("two", one, synchronous=True)
    async with opened(tmp_path, two, one) as shop:
        await insist(shop, "catalog-1", f"/update/{OTHER}", {"count": STOCK})
        await until(lambda: two.ask(COPIES, OTHER) == [(STOCK,)], "the standby shows the stock")
        [(before,)] = two.ask(COPIES, BOOK)
        two.settings["recovery_min_apply_delay"] = "1h"
        two.restart()

        [(began,)], sessions = two.ask(NOW), set[Row]()
        for number in range(3):
            await insist(shop, "catalog-1", f"/update/{BOOK}", {"count": NEW + number})
            for node in READERS:
                assert await copies(shop, node) == NEW + number, node
            bought = await insist(shop, "frontend-1", f"/purchase/{OTHER}", {})
            for node in ("order-1", "order-2", "frontend-1"):
                order = await insist(shop, node, f"/orders/{bought['order_id']}")
                assert order["order_id"] == bought["order_id"], node
            # To ask in vain, and another server then, costs no connection.
            before_it, sessions = sessions, {*two.ask(READING, began)}
            assert before_it <= sessions and sessions, number
        assert two.ask(COPIES, BOOK) == [(before,)]

        # Now only the standby answers, and who asks it waits until it shows enough. The other book
        # was sold, and not looked at, so nobody has it in memory.
        one.freeze()
        [(frozen,)] = two.ask(NOW)
        reads = [begin(shop, node, f"/info/{OTHER}") for node in CATALOG]
        await until(lambda: len(two.ask(READING, frozen)) > 1, "both have asked the standby")
        assert shown(reads) == set()
        two.configure(recovery_min_apply_delay="0")
        await asyncio.gather(*reads)
        assert shown(reads) == {STOCK - 3}
        one.thaw()


# --- a standby that is ahead of what the primary server has confirmed -----------------------------


async def test_what_no_primary_has_confirmed_waits_until_one_has(
    place: Place, tmp_path: Path
) -> None:
    one = place.primary("one")
    two = place.standby("two", one, synchronous=True)
    three = place.standby("three", one)
    async with opened(tmp_path, three, one, two) as shop:
        two.freeze()
        update, reads = await overtaken(shop, three)
        two.thaw()
        await asyncio.gather(*reads)
        assert shown(reads) <= {NEW}
        assert (await update).status in (200, 504)
        for node in READERS:
            assert await copies(shop, node) == NEW, node


async def test_what_a_failover_undoes_was_shown_by_nobody(place: Place, tmp_path: Path) -> None:
    """Of two synchronous standbys one has applied a commit that the other never gets."""
    one = place.primary("one")
    two, three = place.standby("two", one), place.standby("three", one)
    one.configure(synchronous_standby_names="FIRST 2 (two, three)")
    async with opened(tmp_path, three, one, two) as shop:
        before = await copies(shop, "catalog-2")
        two.stop()
        update, reads = await overtaken(shop, three)
        one.kill()
        two.start()
        two.promote()
        catalog = [shop.catalog(number).replica for number in (1, 2)]
        ended = max(replica.core.epoch for replica in catalog)

        def led_anew() -> bool:
            shop.pass_time(0.1)
            return any(node.primary is not None and node.core.epoch > ended for node in catalog)

        await until(led_anew, "a node leads over the standby that was promoted")
        assert (await update).status == 504  # it may have been written: who knows
        for node in READERS:
            assert await copies(shop, node) == before, node

        # The one that was ahead still shows it. What it shows is of an epoch that has ended.
        assert three.ask(COPIES, BOOK) == [(NEW,)]
        await insist(shop, "catalog-2", f"/update/{BOOK}", {"count": NEW + 1})
        for node in READERS:
            assert await copies(shop, node) == NEW + 1, node
        await asyncio.gather(*reads)
        assert shown(reads) <= {before, NEW + 1}
