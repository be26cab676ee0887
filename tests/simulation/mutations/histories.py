"""Mutations of how a history that was lost, cut or put back is told from another."""

from __future__ import annotations

from functools import partial

from bazar.replication.batches import Batches
from bazar.replication.primary import Primary
from bazar.replication.reads import Reads
from bazar.replication.replica import Replica
from handlers.orders.adoption import Adoption
from handlers.orders.service import OrderService
from storage import history, orders
from storage.catalog import Catalog
from storage.orders import Orders
from tests.simulation.mutations.mutation import shop

restored = partial(shop, focus="restoring")

HISTORIES = (
    restored(
        "the ids of epochs are not compared",
        "H2",
        (
            history,
            "is_on",
            "if position.id is not None and (own is None or own.id != position.id):",
            "if False:",
        ),
        near=227,
    ),
    restored(
        "the ranges of epochs are not compared",
        "H2",
        (
            history,
            "is_on",
            "return behind < position.seq <= (later.behind if later is not None else last_seq)",
            "return True",
        ),
    ),
    restored(
        "an epoch ends where the log does",
        "H2",
        (history, "is_on", "later.behind if later is not None else last_seq", "last_seq"),
        near=174,
    ),
    restored(
        "an epoch tells nothing of itself",
        "H1",
        (Batches, "_write", "[] if self._begun else [self._begin()]", "[]"),
    ),
    restored(
        "an epoch tells of itself behind its first batch",
        "H1",
        (Batches, "_write", "[*begin, *operations]", "[*operations, *begin]"),
        (Batches, "_write", "outcomes[len(begin) :]", "outcomes[: len(operations)]"),
        near=4,
    ),
    restored(
        "epochs have no id of their own",
        "H1",
        (Replica, "_lead", "epoch_id=self._run", 'epoch_id="the same"'),
        near=227,
    ),
    restored(
        "what is pending counts as cut off",
        "H3",
        (
            Reads,
            "caught_up",
            "if seq <= self.core().last.seq and not await self.wait_applied(seq, self.lease_s):",
            "if False:",
        ),
        focus="following",
        near=18,
    ),
    restored(
        "a primary asks for itself before it is on record",
        "J1",
        (Primary, "_hello", "if ask else []", "if stranger else []"),
        near=9,
    ),
    restored(
        "sold to orders of any history",
        "S4",
        (Catalog, "_answer", 'if "cursor" in operation:', "if False:"),
    ),
    restored(
        "the cursor's id is not kept",
        "S2",
        (orders, "_cursor_row", '"id": cursor.id', '"id": None'),
    ),
    restored(
        "a number stands for an order",
        "S3",
        (
            OrderService,
            "_ordered",
            'if passed and await self._lookups.submit(sale["order_id"], LOOKUP_S):',
            "if passed:",
        ),
        near=202,
    ),
    restored(
        "a sale that is there again is an order again",
        "S5",
        (Orders, "_project", "elif order is not None:", "elif False:"),
        near=97,
    ),
    restored(
        "an order has its sale's number",
        "S5",
        (Orders, "_project", 'max(change["seq"], work.highest + 1)', 'change["seq"]'),
        near=83,
    ),
    restored(
        "the cursor goes to the newest sale, with an order or without",
        "S5",
        (Adoption, "_common", 'if sale["order_id"] in numbers:', "if True:"),
        (
            Adoption,
            "_common",
            'numbers[sale["order_id"]]',
            'numbers.get(sale["order_id"], 0)',
        ),
        near=153,
    ),
)
