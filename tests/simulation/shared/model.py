"""A group's rows in a simulated database. What operations come to is decided by the product; the
protocol's own rows are read and written by the product's SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bazar.replication.messages import Entry
from bazar.replication.store import Answer, Operation, Outcome
from storage.books import info_key
from storage.history import Position
from storage.orders import Orders, order_key, show_listed
from storage.postgresql.database import SYNCHRONOUS
from storage.postgresql.schema import CLUSTER, DATABASE, FOUND, PROTOCOL, VERSION
from storage.postgresql.session import Row, Session, Statement
from storage.postgresql.snapshots import Snapshots
from storage.searches import Found, Search
from storage.tags import TOPICS
from tests.simulation import shop, undoing
from tests.simulation.invariants import Truth
from tests.simulation.shop import SimulatedCatalog, State
from tests.simulation.shopworld import ShopWorld
from tests.world.database import Database, View, Written


class SimulatedModel:
    """A `Model` whose rows are read at once, and written at once, by two statements of its own."""

    migrations: Sequence[Sequence[str]] = ((),)

    def __init__(self, world: ShopWorld, group: str, truth: Truth) -> None:
        profile = world.profile
        self.schema = f"bazar_{group}"
        self.decisions: SimulatedCatalog | Orders = (
            Orders()
            if truth.sales is not None
            else SimulatedCatalog(
                *(profile.books, profile.stock, self._new_order_id, profile.samples)
            )
        )
        self.tables = self.decisions.tables
        self.rows = Statement(f"{self.schema}: all rows, and the mark's number")
        self._write = f"{self.schema}: write"
        self._world = world
        self._truth = truth

    def _new_order_id(self) -> str:
        self._world.order_ids += 1
        return f"{self._world.order_ids:032x}"

    # --- as the product has it -------------------------------------------------------------------

    def seed(self) -> Sequence[Operation]:
        return self.decisions.seed()

    def loads(self, operations: Sequence[Operation]) -> tuple[Statement, ...]:
        return (self.rows,)

    def execute(
        self, operations: Sequence[Operation], results: Sequence[Sequence[Row]], first: int
    ) -> list[Outcome]:
        [[(state, _)]] = results
        if isinstance(self.decisions, Orders):
            return shop.decide_orders(self.decisions, state, operations, first)
        now_ms = self._world.wall_ms()
        outcomes = shop.decide_catalog(self.decisions, state, operations, first, now_ms)
        for operation, outcome in zip(operations, outcomes, strict=True):
            self._world.guard(self._truth.check_sold, operation, outcome, state)
            self._world.guard(undoing.check_decision, operation, outcome, state, now_ms)
        return outcomes

    async def derive(self, session: Session, epoch_id: str) -> bool:
        return True

    def writes(self, entries: Iterable[Entry]) -> list[Statement]:
        return [Statement(self._write, (tuple(entries),))]

    # --- at the servers --------------------------------------------------------------------------

    def create(self, database: Database, cluster_id: str) -> None:
        """Have the group's tables in a database, as the product makes them."""
        schema = self.schema
        tables = [sql for sql in PROTOCOL if sql.startswith("CREATE TABLE")]
        database.create(*(sql.format(s=schema) for sql in tables))
        beat = {
            "epoch": 0,
            "epoch_id": "",
            "value": "",
            "released": True,
            "holder": None,
            "over_ms": 0,
        }
        known = {VERSION: "1", CLUSTER: cluster_id, DATABASE: "drawn"}
        database.load(
            {
                (f"{schema}.beat", True): {"one": True, **beat},
                (f"{schema}.mark", True): {"one": True, "epoch_id": "", "number": 0},
                **{
                    (f"{schema}.meta", name): {"name": name, "value": value}
                    for name, value in known.items()
                },
            }
        )
        database.register(self.rows.sql, self._rows)
        database.register(self._write, self._written)
        found = FOUND.format(s=schema)
        database.register(found, lambda view, params: ((True, True, "UTF8"),))

    def _rows(self, view: View, params: tuple[Any, ...]) -> Sequence[Row]:
        state = {
            (table, key): row
            for table in self.tables
            for key, row in view.rows(f"{self.schema}.{table}")
        }
        mark = view.get(f"{self.schema}.mark", True)
        assert mark is not None
        return ((state, mark["number"]),)

    def _written(self, view: View, params: tuple[Any, ...]) -> Written:
        [entries] = params
        changes: dict[tuple[str, Any], Any] = {}
        for entry in entries:
            changes[self.entry(entry.seq)] = {"entry": entry}
            state: dict[tuple[str, Any], Any] = {}
            shop.touched(state, {"put": entry.effects.get("put", {})}, self.tables)
            for table, keys in entry.effects.get("delete", {}).items():
                state.update(dict.fromkeys((table, key) for key in keys))
            changes |= {(f"{self.schema}.{table}", key): row for (table, key), row in state.items()}
        return Written(f"INSERT 0 {len(changes)}", changes)

    def entry(self, seq: int) -> tuple[str, int]:
        """Return where a server keeps an entry, for the observer alone."""
        return f"{self.schema}.entries", seq


def answer_plainly(database: Database, synchronous: Sequence[str]) -> None:
    """Answer what the product asks of a server itself."""
    database.register(SYNCHRONOUS.sql, lambda view, params: ((", ".join(synchronous),),))
    lock = "SELECT pg_advisory_xact_lock($1::bigint)"
    database.register(lock, lambda view, params: ((None,),))


class SimulatedSharedReader:
    """A `CatalogReader` and `OrderReader` over snapshots, with the tags that the product's have."""

    def __init__(self, model: SimulatedModel, world: ShopWorld, snapshots: Snapshots) -> None:
        self._model = model
        self._world = world
        self._snapshots = snapshots

    async def _read(self, tags: frozenset[str] | None) -> tuple[State, int]:
        [[(state, number)]] = await self._snapshots.read(tags, self._model.rows)
        return state, number

    async def info(self, books: Iterable[int]) -> dict[int, dict[str, Any]]:
        wanted = frozenset(books)
        state, _ = await self._read(frozenset(map(info_key, wanted)))
        found = shop.look(state, {"op": "books", "books": wanted})
        assert found is not None
        return {book["id"]: book for book in found["books"]}

    async def search(self, wanted: Search) -> Found:
        return shop.search((await self._read(None))[0], wanted)

    async def topics(self) -> list[dict[str, Any]]:
        found = shop.look((await self._read(frozenset({TOPICS})))[0], {"op": "topics"})
        assert found is not None
        topics: list[dict[str, Any]] = found["topics"]
        return topics

    async def changes(self, after: Position, limit: int) -> tuple[list[Answer], str | None]:
        state, number = await self._read(None)
        return shop.changes(state, after, number, min(limit, self._world.profile.sales))

    async def newest(self, before: int, limit: int) -> list[dict[str, Any]]:
        state, _ = await self._read(None)
        return shop.newest(state, before, min(limit, self._world.profile.sales))

    async def cursor(self) -> Position:
        return shop.cursor((await self._read(None))[0])

    async def order(self, order_id: str) -> dict[str, Any] | None:
        state, _ = await self._read(frozenset({order_key(order_id)}))
        found = shop.look(state, {"op": "order", "order_id": order_id})
        return None if found is None else found["order"]

    async def known(self, order_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        wanted = list(order_ids)
        state, _ = await self._read(frozenset(map(order_key, wanted)))
        return shop.known(state, wanted)

    async def numbers(self, order_ids: Iterable[str]) -> dict[str, int]:
        wanted = list(order_ids)
        state, _ = await self._read(frozenset(map(order_key, wanted)))
        found = {order_id: state.get(("orders", order_id)) for order_id in wanted}
        return {order_id: row["seq"] for order_id, row in found.items() if row is not None}

    async def count(self, after: int) -> int:
        return len(await self.changed(after, 1 << 62))

    async def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        state, _ = await self._read(None)
        found = [row for row in shop.rows(state, "orders") if shop.last_change(row) > after]
        return [show_listed(row) for row in sorted(found, key=shop.last_change)[:limit]]
