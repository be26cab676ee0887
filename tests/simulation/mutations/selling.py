"""Mutations of how the shop sells and shows: keys, orders, calls, the pool, the caches' way in."""

from __future__ import annotations

from bazar.cache import Cache
from bazar.replication.write_queue import WriteQueue
from bazar.rpc.batcher import Batcher
from bazar.rpc.client import Peer, RPCClient
from bazar.rpc.pool import ReplicaPool
from handlers import calls
from handlers.catalog.service import CatalogService
from handlers.frontend.questions import Question
from handlers.frontend.upstream import Source
from handlers.orders.service import OrderService
from storage import orders, working_set
from storage.catalog import Catalog
from storage.searches import Search
from storage.working_set import WorkingSet
from tests.simulation.mutations.mutation import mutation, shop

KEYS = (
    mutation(
        "a write is executed anew for a known key",
        "S1",
        (Catalog, "_answer", "if key in work.done:", "if False:"),
    ),
    mutation(
        "another request under the same key gets the first answer",
        "S1",
        (Catalog, "_answer", "if first != request:", "if False:"),
        focus="repeating",
    ),
    mutation(
        "requests are compared by their first 60 characters",
        "S1",
        (Catalog, "_answer", "if first != request:", "if first[:60] != request[:60]:"),
        focus="repeating",
        near=7,
    ),
    mutation(
        "keys are shortened",
        "S1",
        (Catalog, "_answer", 'key = operation["key"]', 'key = operation["key"][:199]'),
        (Catalog, "wanted", 'operation["key"] for', 'operation["key"][:199] for'),
        (Catalog, "_sell", '"key": operation["key"]', '"key": operation["key"][:199]'),
        focus="keys",
    ),
    mutation(
        "keys are folded",
        "S1",
        (Catalog, "_answer", 'key = operation["key"]', 'key = operation["key"].lower()'),
        (Catalog, "wanted", 'operation["key"] for', 'operation["key"].lower() for'),
        (Catalog, "_sell", '"key": operation["key"]', '"key": operation["key"].lower()'),
        focus="keys",
    ),
    mutation(
        "keys are forgotten after 86 seconds",
        "S1",
        (Catalog, "kept_since", "now_ms - KEYS_KEPT_MS", "now_ms - KEYS_KEPT_MS // 1000"),
        focus="keys",
        near=1,
    ),
    mutation(
        "more is sold than there is",
        "S1",
        (Catalog, "_sell", "if left < 0:", "if False:"),
        near=1,
    ),
    mutation(
        "the price that the buyer saw is not looked at",
        "S1",
        (Catalog, "_sell", 'if seen != book["cost"]:', "if False:"),
        near=3,
    ),
)

SAMPLES = (
    mutation(
        "samples are taken away although something was sold",
        "S7",
        (Catalog, "_remove_samples", "if removed and work.first_sale is not None:", "if False:"),
        focus="clearing",
    ),
    mutation(
        "what is sold in the same batch is not seen",
        "S7",
        (Catalog, "_sell", 'work.first_sale = work.first_sale or sale["order_id"]', "pass"),
        focus="clearing",
        near=11,
    ),
    mutation(
        "a sample's number is given to another book",
        "S7",
        (
            Catalog,
            "_create",
            "work.next_book = max(work.next_book, max(self.samples, default=0) + 1)",
            "pass",
        ),
        focus="clearing",
        near=1,
    ),
    mutation(
        "a book that is taken away is not dropped",
        "C5",
        (WorkingSet, "delete_book", "self.tags |= touched(book, None)", "pass"),
        focus="clearing",
        near=9,
    ),
)

ORDERING = (
    shop(
        "a purchase is answered before its order is there",
        "S3",
        (OrderService, "purchase", "await self._ordered(sale, deadline - clock())", "pass"),
    ),
    shop(
        "an order is read without the wait",
        "S3",
        (
            OrderService,
            "_order",
            "await self.replica.reads.barrier(frozenset({order_key(order_id)}))",
            "pass",
        ),
        focus="ordering",
        near=16,
    ),
    shop(
        "a commit of an order is seen late",
        "S3",
        (
            OrderService,
            "committed",
            "self.cursor = cursor or self.cursor",
            "pass",
        ),
        focus="ordering",
    ),
    shop(
        "who waits for an order is not woken",
        "S3",
        (OrderService, "committed", "self._wake()", "pass"),
        focus="ordering",
        near=1,
    ),
    shop(
        "a snapshot leaves the cursor where it was",
        "S3",
        (OrderService, "installed", "self.cursor = cursor", "pass"),
        focus="ordering",
        near=4,
    ),
    shop(
        "sales are told without a lease",
        "S2",
        (CatalogService, "sales", "await self.replica.reads.caught_up(position.seq)", "pass"),
        focus="ordering",
        near=1,
    ),
    shop(
        "the cursor is not kept",
        "S2",
        (orders, "_cursor_row", '"seq": cursor.number', '"seq": cursor.number - 1'),
        focus="ordering",
    ),
    shop(
        "sold, and called unavailable",
        "R5",
        (OrderService, "_ordered", "raise Indeterminate(", "raise Unavailable("),
        focus="ordering",
        near=117,
    ),
)

CALLING = (
    mutation(
        "a call whose connection broke is called not sent",
        "R5",
        (Peer, "_lost", "resolve(answer, Indeterminate(", "resolve(answer, Unavailable("),
        focus="calls",
    ),
    mutation(
        "a batch that was sent is called not sent",
        "R5",
        (Batcher, "_is_late", "= Indeterminate(", "= Unavailable("),
        focus="laggards",
    ),
    shop(
        "the last attempt speaks for those before it",
        "R5",
        (ReplicaPool, "call", "if unknown is not None:", "if False:"),
        focus="pool",
        near=48,
    ),
    shop(
        "a caller does not say until when it waits",
        "R9",
        (calls, "answer_all", "deadlines.current.set(deadline)", "pass"),
        focus="belated",
        near=41,
    ),
    shop(
        "a call is passed on without its deadline",
        "R9",
        (
            RPCClient,
            "submit",
            "deadlines.of(timeout_s, self._clock())",
            "self._clock() + timeout_s",
        ),
        focus="belated",
        near=41,
    ),
    shop(
        "what comes, or waits, too late for a batch is begun",
        "R9",
        (WriteQueue, "waits", "if now >= one.until", "if False"),
        focus="belated",
        near=9,
    ),
)

SHOWING = (
    shop(
        "a front end ignores that its lease is over",
        "C4",
        (Source, "_carry_out", "self.cache.reset()", "pass"),
        focus="caching",
    ),
    shop(
        "a front end ignores invalidations",
        "C2",
        (Source, "_carry_out", "self.cache.drop(tags)", "pass"),
    ),
    shop(
        "searches are known by their books alone",
        "C5",
        (Search, "tags", "{SEARCHES, *prices", "{*prices"),
        focus="caching",
        near=39,
    ),
    shop(
        "a search in the order of prices is not known by them",
        "C5",
        (Search, "tags", "{PRICES} if self.order.by is By.COST else set()", "set()"),
        focus="finding",
        near=21,
    ),
    shop(
        "a price that changes drops only what shows the book",
        "C5",
        (working_set, "touched", "tags.add(PRICES)", "pass"),
        focus="finding",
        near=21,
    ),
    shop(
        "a search of what is in stock is not known by that",
        "C5",
        (Search, "tags", "{IN_STOCK} if self.in_stock else set()", "set()"),
        focus="finding",
        near=5,
    ),
    shop(
        "a book that is sold out, or comes back, drops only what shows it",
        "C5",
        (working_set, "touched", "tags.add(IN_STOCK)", "pass"),
        focus="finding",
        near=5,
    ),
    shop(
        "a book that comes back drops only what shows it",
        "C5",
        (
            working_set,
            "touched",
            '(after["count"] > 0) != (before["count"] > 0)',
            'not after["count"]',
        ),
        focus="finding",
        near=5,
    ),
    shop(
        "searches are not known by their books",
        "C5",
        (Question, "_shown", '*(info_key(one["id"]) for one in answer["books"])', ""),
        near=74,
    ),
    mutation(
        "a book is read as if nothing touched it",
        "L2",
        (
            CatalogService,
            "_book",
            "await self.replica.reads.barrier(frozenset({tag}))",
            "await self.replica.reads.barrier(frozenset())",
        ),
        focus="reading",
        near=2,
    ),
    mutation(
        "several books are read as if nothing touched them",
        "L2",
        (CatalogService, "read", "frozenset(map(info_key, books))", "frozenset()"),
        focus="reading",
    ),
    shop(
        "several orders are read as if nothing touched them",
        "L2",
        (OrderService, "read", "frozenset(map(order_key, order_ids))", "frozenset()"),
        focus="reading",
        near=38,
    ),
    mutation(
        "books are searched as if nothing touched them",
        "L2",
        (
            CatalogService,
            "read",
            "await self.replica.reads.barrier(None)",
            "await self.replica.reads.barrier(frozenset())",
        ),
        focus="reading",
    ),
    mutation(
        "topics are read as if nothing touched them",
        "L2",
        (CatalogService, "read", "frozenset({TOPICS})", "frozenset()"),
        focus="reading",
        near=47,
    ),
    shop(
        "an invalidation detaches only the fetch of its own key",
        "C2",
        (
            Cache,
            "drop",
            "not touched.isdisjoint(flight.tags)",
            "flight.key in touched",
        ),
        focus="fetching",
        near=72,
    ),
)
