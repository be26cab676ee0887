"""The scenario of the count and the key: production code down to the SQLite file."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from bazar import durable
from bazar.replication.effects import Apply
from bazar.replication.messages import ArbiterId, Entry, Member
from bazar.replication.primary import Primary
from bazar.replication.store import Operation, Outcome
from storage.catalog import Catalog
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.replicated_store import ReplicatedStore
from tests.simulation.demo.scenario import Run
from tests.simulation.demo.scenarios import must_be_answered, sell
from tests.simulation.demo.world import FSYNC_S, Stage, staged
from tests.simulation.shopworld import Node, Reply
from tests.world.world import Process, World

LOG_ENTRIES = 1000


def oversell() -> Run:
    """Play R1 and S1. Two buyers want the last copy of book 2. Then alice does not receive the
    answer to her purchase of book 4, and asks again."""
    with (
        staged("alice", "bob", "catalog-1", frontends=0, catalogs=0) as stage,
        till(stage) as (node, path),
    ):
        before = stock_and_sold(path)
        stage.request(0, "alice", node, "write", sell(2, "a1"))
        stage.request(0, "bob", node, "write", sell(2, "b1"))
        stage.at(90, stage.deaf.add, "alice")
        stage.request(100, "alice", node, "write", sell(4, "a2"))
        stage.at(200, stage.deaf.clear)
        again = stage.request(300, "alice", node, "write", sell(4, "a2"))
        stage.play(350)
        after = stock_and_sold(path)
    must_be_answered([again])
    (had2, _), (left2, sold2) = before[2], after[2]
    (had4, _), (left4, sold4) = before[4], after[4]
    if (had2 - left2, had4 - left4) == (sold2, sold4) == (1, 1):
        return Run(
            stage.story.lines(),
            False,
            f"EXACT: within the transaction bob's purchase saw alice's (rule R1), so {sold2} of "
            f"{had2} copy of book 2 was sold; and the key a2 got its first answer again (rule S1): "
            f"alice has bought book 4 once, {left4} of {had4} left",
        )
    return Run(
        stage.story.lines(),
        True,
        f"OVERSOLD: {sold2} copies of book 2 were sold, and there was {had2}; alice, who did not "
        f"hear of her purchase and asked again, has bought {sold4} copies of book 4, and wanted 1",
    )


@contextmanager
def till(stage: Stage) -> Iterator[tuple[Node, Path]]:
    """Yield a catalog primary at work, and the path of its SQLite file, which is a real file."""
    node = Node(stage, "catalog-1", "catalog", 1, None)
    numbers = count(1)
    model = CatalogRows(Catalog(lambda: f"order-{next(numbers)}"), lambda: int(stage.ms))
    with (
        mock.patch.object(durable, "os", os),
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner() as runner,
    ):
        path = Path(directory) / "catalog-1.db"
        store = runner.run(ReplicatedStore.open(path, model, LOG_ENTRIES))
        try:
            node.process = Till(stage, node, store, runner)  # type: ignore[assignment]
            yield node, path
        finally:
            runner.run(store.close())


class Till(Process):
    """A primary without followers over a real store: each batch is one real transaction."""

    def __init__(
        self, world: World, node: Node, store: ReplicatedStore, runner: asyncio.Runner
    ) -> None:
        super().__init__(world, node.name)
        self.store = store
        self.runner = runner
        self.waiting: list[tuple[Operation, Reply]] = []
        me = Member(node.name, store.store_id)
        self.primary, _ = Primary.take_over(
            *(me, None, store.committed, store.pending, self.time(), node.timing),
            known=0,
            epoch_id=node.name,
            restarted=False,
            arbiter=ArbiterId("", ""),
        )
        self.primary.recorded(self.time())
        runner.run(self._batch(store.seed()))

    async def serve(self, method: str, operations: tuple[Operation], reply: Reply) -> None:
        self.waiting += [(operation, reply) for operation in operations]
        if len(self.waiting) == 1:
            self.world.after(FSYNC_S, None, self._execute)

    def _execute(self) -> None:
        waiting, self.waiting = self.waiting, []
        outcomes = self.runner.run(self._batch([operation for operation, _ in waiting]))
        purchases = "1 purchase" if len(waiting) == 1 else f"{len(waiting)} purchases"
        self.world.say(self.name, f"one transaction: {purchases}, {self._committed(outcomes)}")
        self.world.after(FSYNC_S, None, self._answer, waiting, outcomes)

    def _committed(self, outcomes: Sequence[Outcome]) -> str:
        changes = sum(outcome.change is not None for outcome in outcomes)
        return {0: "no change", 1: "1 sale"}.get(changes, f"{changes} sales")

    def _answer(self, waiting: list[tuple[Operation, Reply]], outcomes: list[Outcome]) -> None:
        for (_, reply), outcome in zip(waiting, outcomes, strict=True):
            reply(outcome.answer)

    async def _batch(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Do what the production driver does with a batch (R1-R3)."""
        primary, store = self.primary, self.store
        if not primary.begin(self.time()):
            raise AssertionError(f"{primary} can't begin")

        def extend(outcomes: Sequence[Outcome]) -> tuple[Entry, ...]:
            return primary.extend(one.change for one in outcomes if one.change is not None)

        outcomes, entries = await store.execute(operations, 0, extend)
        if not entries:
            primary.abort(self.time())
            return outcomes
        for effect in primary.propose(entries, self.time()):
            if isinstance(effect, Apply):
                await store.apply(effect.mark)
                primary.stored(effect, self.time())
        return outcomes


def stock_and_sold(path: Path) -> dict[int, tuple[int, int]]:
    """Return for each book how many copies are left, and how many were sold, as the file has it."""
    with closing(sqlite3.connect(path)) as file:
        left: dict[int, int] = dict(file.execute("SELECT id, count FROM books"))
        sold = dict.fromkeys(left, 0)
        for (lines,) in file.execute("SELECT lines FROM sales"):
            for line in _lines(lines):
                sold[line["book"]] += line["quantity"]
    return {book: (left[book], sold[book]) for book in left}


def _lines(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found
