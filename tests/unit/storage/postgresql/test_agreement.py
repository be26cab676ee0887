"""Both engines, asked the same: they answer the same, and hold the same rows."""

from __future__ import annotations

import asyncio
import random
import tempfile
import unittest
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bazar.errors import BazarError
from bazar.http.response import entity_tag, render
from bazar.replication.store import Outcome
from storage import paging
from storage.catalog import KEYS_KEPT_MS, CatalogReader
from storage.history import Position
from storage.orders import OrderReader, Orders
from storage.postgresql.catalog import CatalogRows, PostgreSQLCatalogReader
from storage.postgresql.model import Model
from storage.postgresql.orders import OrderRows, PostgreSQLOrderReader
from storage.postgresql.session import Statement
from storage.searches import SORTS, Found, Search
from storage.sqlite import catalog as sqlite_catalog
from storage.sqlite import orders as sqlite_orders
from storage.sqlite.model import Model as SQLiteModel
from storage.sqlite.replicated_store import ReplicatedStore
from tests.unit.storage.contract.cases import BEGIN_MS, CatalogCase
from tests.unit.storage.contract.catalog import Sold, some_operation
from tests.unit.storage.operations import create, sell, update
from tests.unit.storage.postgresql.database import TIMEOUT_S, Group, connect
from tests.unit.storage.sqlite.test_catalog import batch
from tests.unit.storage.test_orders import sale

T = TypeVar("T")

REFUSALS = {
    *("Conflict", "ForeignHistory", "KeyReused", "NotBuyer", "NotFound", "OutOfStock"),
    *("PreconditionFailed", "PriceChanged", "Retired", "TooLate"),
}

# Letters of scripts that are folded, joined, cut into pairs or left alone, and signs between them.
ALPHABET = "aAbBéßñøŁæiİı12'’-.+#&/ !∞·猫計算한국กขひらがカナнђёΣςאַبَहिन्दीగ"
WORDS = st.text(ALPHABET, min_size=1, max_size=8)
LONG = st.builds(lambda word, n: (word * n)[:40], st.text("abé", min_size=1), st.integers(20, 40))
FEW = ("cook", "Cooking", "e-mail", "email", "J. R. R.", "C++", "猫犬猫", "犬猫", "o'cook", "été")
TEXTS = st.lists(st.one_of(st.sampled_from(FEW), WORDS, LONG), min_size=1, max_size=4).map(" ".join)
EDITIONS = ("9780306406157", "9780140328721")
ISBNS = st.sampled_from((None, *EDITIONS))
TYPED_ISBNS = st.sampled_from(("0-306-40615-2", "9780140328721", "978"))
OFFERS = tuple({"cost": n % 3, "count": n % 2} for n in range(5))
BOOKS = st.lists(st.tuples(TEXTS, st.one_of(st.none(), TEXTS), ISBNS), min_size=1, max_size=20)


class Engines:
    """One group in both engines, a catalog's or the orders'."""

    def __init__(self, store: ReplicatedStore, group: Group, *readers: Any) -> None:
        self.store = store
        self.group = group
        self.readers = readers

    @classmethod
    async def open(
        cls,
        *,
        path: Path,
        conninfo: str,
        models: tuple[SQLiteModel, Model],
        readers: tuple[Callable[[Any], Any], Callable[[Any], Any]],
    ) -> Engines:
        store = await ReplicatedStore.open(path, models[0], 1000)
        group = await Group.make(await connect(conninfo), models[1])
        return cls(store, group, readers[0](store.database), readers[1](group))

    async def close(self) -> None:
        await self.store.close()
        await self.group.session.close()

    async def batch(self, *operations: Any) -> list[Outcome]:
        """One batch in each: it comes to the same."""
        expected = await batch(self.store, *operations)
        got = await self.group.batch(*operations)
        for one, other in zip(expected, got, strict=True):
            assert one.change == other.change, (one, other)
            assert repr(one.answer) == repr(other.answer), (one, other)
        return got

    async def ask(self, read: Callable[[Any], Awaitable[T]]) -> T | None:
        """One read in each: it comes to the same, an error too."""
        expected, got = [await _outcome(read(reader)) for reader in self.readers]
        assert repr(expected) == repr(got), f"{expected} in SQLite, {got} in PostgreSQL"
        return None if isinstance(got, BazarError) else got

    async def compare_rows(self) -> int:
        """Compare all rows, and return how many there are."""
        seen = 0
        for table, key in self.store.model.tables.items():
            rows = await self.store.database.read(f"SELECT * FROM {table} ORDER BY {key}")
            expected, got = [dict(row) for row in rows], await self.group.rows(table)
            assert expected == got, table
            seen += len(got)
        return seen

    async def clear(self) -> None:
        """Delete all books and topics."""
        for table in ("books", "topics", "answers"):
            await self.store.database.writer.execute(f"DELETE FROM {table}")
            await self.group.session.run(
                Statement(f"DELETE FROM bazar_catalog.{table}"), timeout_s=TIMEOUT_S
            )


async def _outcome(read: Awaitable[T]) -> T | BazarError:
    try:
        return await read
    except BazarError as error:
        return error


class AgreementCase(unittest.TestCase):
    """A loop that is kept from one example to the next, and both engines in it."""

    @pytest.fixture(autouse=True)
    def _new_database(self, postgresql_database: str) -> None:
        self.conninfo = postgresql_database

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "one.db"
        runner = asyncio.Runner()
        self.addCleanup(runner.close)
        self.run_in_loop = runner.run
        self.now_ms = BEGIN_MS

    def catalogs(self) -> Engines:
        return self.open(
            sqlite_catalog.CatalogRows(CatalogCase.decider(), lambda: self.now_ms),
            CatalogRows(CatalogCase.decider(), lambda: self.now_ms),
            sqlite_catalog.SQLiteCatalogReader,
            PostgreSQLCatalogReader,
        )

    def orders(self) -> Engines:
        return self.open(
            sqlite_orders.OrderRows(Orders()),
            OrderRows(Orders()),
            sqlite_orders.SQLiteOrderReader,
            PostgreSQLOrderReader,
        )

    def open(self, one: SQLiteModel, other: Model, *readers: Callable[[Any], Any]) -> Engines:
        engines = self.run_in_loop(
            Engines.open(
                path=self.path,
                conninfo=self.conninfo,
                models=(one, other),
                readers=(readers[0], readers[1]),
            )
        )
        self.addCleanup(lambda: self.run_in_loop(engines.close()))
        return engines


async def walk(engines: Engines, wanted: Search) -> int:
    """Read all pages of what is found to the end, and back; return how many books there were."""
    seen = 0
    search: Search | None = wanted
    while search is not None:
        page = await engines.ask(partial(_search, search))
        assert page is not None
        seen += len(page.books)
        search = None if page.after is None else replace(wanted, after=page.after)
    while page is not None and page.before is not None:
        page = await engines.ask(partial(_search, replace(wanted, before=page.before)))
    if not wanted.looks:
        await engines.ask(partial(_search, replace(wanted, skip=seen // 2)))
    return seen


async def _search(wanted: Search, reader: CatalogReader) -> Found:
    return await reader.search(wanted)


class SearchTest(AgreementCase):
    async def have(self, engines: Engines, books: list[Any]) -> None:
        """Have these books alone, of a few topics and prices, some in stock."""
        await engines.clear()
        rows = [
            {"title": title, "author": author, "isbn": isbn, "topic": topic, **offer}
            for (title, author, isbn), topic, offer in zip(
                books, cycle(("T", "t", "To", "S")), cycle(OFFERS), strict=False
            )
        ]
        await engines.batch({"op": "create", "key": "k", "books": rows})

    async def look(self, engines: Engines, books: list[Any], typed: list[str]) -> list[int]:
        """Have these books alone, and return how many are found by each query."""
        await self.have(engines, books)
        return [await walk(engines, Search(3, q=q)) for q in typed]

    def test_every_search_finds_the_same_in_the_same_order(self) -> None:
        engines = self.catalogs()
        seen = []

        @settings(max_examples=60)
        @given(BOOKS, st.data())
        def search_for(books: list[Any], data: st.DataObject) -> None:
            typed = data.draw(st.lists(queries(books), min_size=1, max_size=4), label="typed")
            seen.extend(self.run_in_loop(self.look(engines, books, typed)))

        search_for()
        self.assertGreater(sum(seen), 0)

    def test_pages_are_the_same_wherever_ranks_end(self) -> None:
        engines = self.catalogs()
        chance = random.Random(5)
        for _ in range(3):
            books = [
                (" ".join(chance.choices(FEW, k=3)), chance.choice((*FEW, None)), None)
                for _ in range(40)
            ]
            for most in (1, 3, 10, 30):
                typed = [chance.choice(FEW)[: chance.randint(1, 4)] for _ in range(3)]
                with mock.patch.dict(vars(paging), RANKED=most, COUNTED=most):
                    found = self.run_in_loop(self.look(engines, books, typed))
                self.assertGreater(max(found), 4)

    def test_orders_and_filters_are_the_same_wherever_a_page_ends(self) -> None:
        engines = self.catalogs()
        chance = random.Random(6)
        books = [
            (" ".join(chance.choices(FEW, k=3)), chance.choice((*FEW, None)), None)
            for _ in range(40)
        ]
        self.run_in_loop(self.have(engines, books))
        found = []
        for looked, sort, in_stock in product((3, 10, 1000), (None, *SORTS), (False, True)):
            bounds = {"LOOKED": looked, "COUNTED": min(looked, 20), "RANKED": min(looked, 20)}
            q = chance.choice(FEW)[: chance.randint(1, 4)]
            part: dict[str, Any] = {"limit": 7, "sort": sort, "in_stock": in_stock}
            with mock.patch.dict(vars(paging), bounds):
                search = Search(q=q, topic=chance.choice((None, "T")), **part)
                found.append(self.run_in_loop(walk(engines, search)))
                if sort != "fit":
                    search = Search(topic=chance.choice(("", "t", "s", "x")), **part)
                    found.append(self.run_in_loop(walk(engines, search)))
        self.assertGreater(max(found), 20)


@st.composite
def queries(draw: st.DrawFn, books: list[Any]) -> str:
    """Part of a title or an author, or anything."""
    texts = [text for title, author, _ in books for text in (title, author) if text]
    text = draw(st.one_of(st.sampled_from(texts), TEXTS, TYPED_ISBNS))
    begin = draw(st.integers(0, len(text) - 1))
    cut = text[begin : draw(st.integers(begin + 1, len(text)))]
    typed: str = draw(st.sampled_from((text, cut, *text.split(), *(w[:2] for w in text.split()))))
    return typed


def some_read(chance: random.Random) -> Callable[[CatalogReader], Awaitable[Any]]:
    """One of all reads of a catalog, at any place."""
    low = chance.randint(0, 10)
    part: dict[str, Any] = chance.choice(
        (
            {"skip": chance.randint(0, 9)},
            {"after": str(chance.randint(0, 30))},
            {"before": str(chance.randint(0, 30))},
            {"before": f"{low}-2-{chance.randint(0, 9)}"},
            {"after": f"{low}-{chance.randint(0, 30)}", "sort": chance.choice(("price", "-price"))},
            {"before": f"{chance.choice('at')}-{low}", "sort": "title", "in_stock": True},
            {"after": str(low), "sort": "newest", "in_stock": chance.random() < 0.5},
            {"sort": chance.choice(("title", "price")), "in_stock": chance.random() < 0.5},
        )
    )
    part["limit"] = chance.randint(1, 5)
    topic, q = (
        chance.choice(("", "c", "SS", "d", "ß", "%", "_")),
        chance.choice(("t", "té", "a", "x")),
    )
    number = chance.choice((0, 1, 3, 20, 60, 1 << 40, (1 << 40) + 30, 1 << 62))
    position = Position(number, chance.choice((None, "e0", "e1")))
    some: tuple[Callable[[CatalogReader], Awaitable[Any]], ...] = (
        lambda reader: reader.info([chance_book, 0, 10**18 - 1, 3]),
        lambda reader: reader.search(Search(topic=topic, **part)),
        lambda reader: reader.search(Search(q=q, **part)),
        lambda reader: reader.search(Search(q=q, topic=topic or "c", **part)),
        lambda reader: reader.topics(),
        lambda reader: reader.changes(position, 5),
        lambda reader: reader.newest(number, 5),
    )
    chance_book = chance.randint(1, 30)
    return chance.choice(some)


def rarer_operation(chance: random.Random, book: dict[str, Any]) -> dict[str, Any]:
    """One with conditions, prices, editions or a cursor; `book` is one that there is."""
    key = f"r{chance.randrange(60)}" if chance.random() < 0.3 else f"r{chance.random()}"
    tag = entity_tag(render(book))
    kinds = ("if_match", "if_none_match", "count_add", "isbn", "cost", "cursor", "new")
    match chance.choice(kinds):
        case "if_match" | "if_none_match" as name:
            tags = chance.choice(([tag], ["*"], ['"other"'], [f"W/{tag}"], ['"other"', tag]))
            return {**update(key, book["id"], cost=chance.randint(5, 6)), name: tags}
        case "count_add":
            return update(key, book["id"], count_add=chance.choice((1, -1, -9, 10**12)))
        case "isbn":
            return update(key, book["id"], isbn=chance.choice((None, *EDITIONS)))
        case "cost":
            lines = [{"book": book["id"], "quantity": 1, "cost": chance.choice((1, 5, 6))}]
            return {**sell(key), "lines": lines}
        case "cursor":
            cursor = Position(chance.choice((0, 1, 5, 10**6)), chance.choice((None, "e0", "e1")))
            return {**sell(key, (book["id"], 1)), "cursor": cursor.plain}
    made: dict[str, Any] = create(key, *((title, None, "c") for title in "té"))
    for one in made["books"]:
        one["isbn"] = chance.choice((None, *EDITIONS))
        one["retired"] = chance.random() < 0.2
    return made


class OperationsTest(AgreementCase):
    def test_catalogs(self) -> None:
        engines = self.catalogs()
        chance = random.Random(3)
        sold: list[Sold] = []

        async def work() -> int:
            await engines.batch(*engines.store.seed())
            await engines.batch({"op": "begin", "epoch": 0, "id": "e0"})
            for _ in range(150):
                known = await engines.ask(lambda reader: reader.info(range(1, 30)))
                assert known
                batch = [some_operation(chance, sold) for _ in range(chance.randint(1, 4))]
                book = chance.choice(list(known.values()))
                batch += [rarer_operation(chance, book) for _ in range(chance.randint(0, 2))]
                for one, outcome in zip(batch, await engines.batch(*batch), strict=True):
                    answer = outcome.answer
                    seen[type(answer).__name__] += 1
                    if one["op"] == "sell" and isinstance(answer, dict):
                        sold.append((one["key"], answer["order_id"], one["lines"][0]["book"]))
                self.now_ms += chance.choice((1, KEYS_KEPT_MS // 20))
                for _ in range(3):
                    await engines.ask(some_read(chance))
            return await engines.compare_rows()

        seen: Counter[str] = Counter()
        self.assertGreater(self.run_in_loop(work()), 100)
        self.assertLessEqual(REFUSALS | {"dict"}, set(seen))

    def test_orders(self) -> None:
        engines = self.orders()
        chance = random.Random(4)

        async def work() -> int:
            cursor = Position()
            begin = {"op": "begin", "epoch": 0, "id": "e0"}
            await engines.batch(begin)
            for _ in range(100):
                after = chance.choice((cursor, cursor, Position(5, "e")))
                seqs = sorted(chance.sample(range(1, 400), chance.randint(1, 4)))
                if chance.random() < 0.1:
                    to = Position(chance.randint(1, 400), "e")
                    adopt = {"op": "adopt", "to": to.plain, "behind": chance.randint(1, 400)}
                    await engines.batch({**adopt, "after": after.plain})
                else:
                    sales = [sale(seq) for seq in seqs]
                    project = {"op": "project", "after": after.plain, "changes": sales, "id": "e"}
                    await engines.batch(project)
                cursor = await engines.ask(_cursor) or cursor
                for read in order_reads(chance):
                    await engines.ask(read)
            return await engines.compare_rows()

        self.assertGreater(self.run_in_loop(work()), 100)


async def _cursor(reader: OrderReader) -> Position:
    return await reader.cursor()


def order_reads(chance: random.Random) -> Iterator[Callable[[OrderReader], Awaitable[Any]]]:
    """All reads of orders, of any of them."""
    number, limit = chance.randint(0, 400), chance.randint(1, 5)
    order_ids = [f"o{chance.randint(1, 400)}" for _ in range(limit)]
    yield lambda reader: reader.order(order_ids[0])
    yield lambda reader: reader.count(number)
    yield lambda reader: reader.changed(number, limit)
    before = sale(1)["sold_at"], number
    yield lambda reader: reader.sold(before[0], before, limit)
    yield lambda reader: reader.sold(0, before, limit, beginning=order_ids[0][:2])
    yield lambda reader: reader.sold(0, before, limit, cancelled=True)

    async def numbers(reader: OrderReader) -> list[tuple[str, int]]:
        return sorted((await reader.numbers(order_ids)).items())

    async def known(reader: OrderReader) -> list[tuple[str, Any]]:
        return sorted((await reader.known(order_ids)).items())

    yield numbers
    yield known
