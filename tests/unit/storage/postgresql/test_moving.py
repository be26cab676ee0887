"""A place in a real database for a shop that is moved: who is kept out, and what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

from bazar.errors import ConfigError, Conflict, NotFound, Unavailable
from bazar.replication.shared.hold import Tempo
from storage.engines import TABLES
from storage.moving import ARRIVED, ARRIVING, GONE, Note, Standing, move
from storage.postgresql import moving
from storage.postgresql.moving import PostgreSQLPlace
from storage.postgresql.schema import migrate
from storage.postgresql.session import Servers, Statement
from storage.postgresql.shop import COLUMNS, models_of
from tests.invented import EPOCH, NUMBER, ROWS, Invented
from tests.patience import PATIENCE_S
from tests.unit.storage.postgresql.database import CLUSTER, DatabaseCase, servers_of
from tests.unit.storage.postgresql.watched import WatchedServers

MODELS = models_of()
PLACES = {role: (model, COLUMNS[role]) for role, model in MODELS.items()}
SOON = Tempo(primary_lease_s=0.05, pause_s=0.0)
HOURS = Tempo(primary_lease_s=3600.0, pause_s=0.0)
NOTE = Note("move-1", ARRIVING, "elsewhere")
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname LIKE 'bazar_%' ORDER BY indexdef"
UNANALYZED = (
    "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND reltuples < 0"
    " AND relnamespace = $1::text::regnamespace AND relname = ANY($2::text[])"
)
DROPPED = (
    "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
    " WHERE mode = 'AccessExclusiveLock' AND granted AND relkind = 'i' AND relname = $1"
)


class PlaceCase(DatabaseCase):
    def place(self, tempo: Tempo = SOON, servers: Servers | None = None) -> PostgreSQLPlace:
        found = servers or servers_of(self._conninfo)
        made = PostgreSQLPlace(dict.fromkeys(PLACES, found), PLACES, CLUSTER, tempo)
        self.addAsyncCleanup(made.close)
        return made

    async def held(self, tempo: Tempo = SOON) -> PostgreSQLPlace:
        place = self.place(tempo)
        await place.hold()
        return place

    async def make(self) -> None:
        """Make the tables of a shop that has never begun."""
        for model in MODELS.values():
            await migrate(self.session, model, CLUSTER)

    async def fill(self, place: PostgreSQLPlace | None = None) -> None:
        """Move a shop here."""
        target = place or await self.held()
        said: list[str] = []
        await move(source=Invented(), target=target, tables=TABLES, new_id="first", say=said.append)
        await target.close()


class KeepingOutTest(PlaceCase):
    async def test_a_place_where_no_node_ever_led_is_held_at_once(self) -> None:
        await self.make()
        await asyncio.wait_for(self.held(HOURS), PATIENCE_S)

    async def test_two_moves_do_not_hold_one_place(self) -> None:
        await self.make()
        await self.held()
        with self.assertRaisesRegex(Conflict, "a node takes it over, or another move"):
            await self.held()

    async def test_who_comes_to_lead_before_the_place_is_locked_keeps_the_shop(self) -> None:
        await self.fill()

        async def lead(statements: Sequence[Statement]) -> None:
            if any("bazar_order.beat FOR UPDATE" in each.sql for each in statements):
                await self.ask("UPDATE bazar_order.beat SET value = 'somebody'")

        place = self.place(servers=WatchedServers(servers_of(self._conninfo), lead))
        with self.assertRaisesRegex(Conflict, "bazar_order: a node has taken it over meanwhile"):
            await place.hold()

    async def test_it_looks_at_the_beat_now_and_then(self) -> None:
        await self.fill()
        looks: list[str] = []
        now = 0.0

        def read() -> float:
            nonlocal now
            now += HOURS.over_s / 1000
            return now

        async def sleep(seconds: float) -> None:
            nonlocal now
            now += seconds

        async def count(statements: Sequence[Statement]) -> None:
            looks.extend(each.sql for each in statements if "bazar_order.beat" in each.sql)

        place = self.place(HOURS, WatchedServers(servers_of(self._conninfo), count))
        with (
            mock.patch.object(moving, "LOOK_S", HOURS.over_s / 10),
            mock.patch.object(moving, "clock", SimpleNamespace(now=read)),
            mock.patch.object(
                moving, "asyncio", SimpleNamespace(sleep=sleep, gather=asyncio.gather)
            ),
        ):
            await place.hold()
        self.assertGreater(len(looks), 2)
        self.assertLess(len(looks), 15)

    async def test_nothing_goes_on_once_one_group_cannot_be_held(self) -> None:
        await self.fill()
        await self.ask("UPDATE bazar_catalog.meta SET value = '0' WHERE name = 'version'")
        await self.ask("UPDATE bazar_catalog.beat SET epoch = 0")
        with self.assertRaisesRegex(ConfigError, "bazar_catalog: has version 0"):
            await self.held(Tempo(primary_lease_s=3 * moving.LOOK_S, pause_s=0.0))
        self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})

    async def test_without_its_session_nothing_is_done(self) -> None:
        """It alone keeps nodes out."""
        await self.fill()
        uses: tuple[Callable[[PostgreSQLPlace], Awaitable[Any]], ...] = (
            lambda place: place.standing("order"),
            lambda place: place.leave(Note("move-2", GONE, "elsewhere")),
        )
        for use in uses:
            place = await self.held()
            await self.ask(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state = 'idle in transaction'"
            )
            with self.assertRaises(Unavailable):
                await use(place)
            await place.close()
        notes = (await self.held()).notes
        self.assertEqual([note and note.state for note in notes.values()], [ARRIVED, ARRIVED])

    async def test_it_leaves_no_session_behind(self) -> None:
        place = await self.held()
        await place.expect(PLACES, NOTE)
        self.assertEqual(await self.other_sessions(), 4)
        await place.close()
        await self.until_others()


class LeavingTest(PlaceCase):
    async def test_it_has_come_as_far_as_the_highest_epoch_that_anything_knows_of(self) -> None:
        await self.fill()
        self.assertEqual(await (await self.held()).standing("order"), Standing(EPOCH, NUMBER))

    async def test_a_shop_that_has_never_begun_is_not_found(self) -> None:
        await self.make()
        with self.assertRaisesRegex(NotFound, "has no shop in bazar_order"):
            await (await self.held()).standing("order")

    async def test_its_note_says_where_it_went_or_that_it_stays(self) -> None:
        await self.fill()
        gone = Note("move-2", GONE, "elsewhere")
        for note in (gone, None):
            place = await self.held()
            await place.leave(note)
            await place.close()
            place = await self.held()
            self.assertEqual(place.notes, dict.fromkeys(PLACES, note))
            await place.close()


class ArrivingTest(PlaceCase):
    async def test_nodes_are_refused_until_it_has_arrived(self) -> None:
        place = await self.held()
        await place.expect(PLACES, NOTE)
        for model in MODELS.values():
            with self.assertRaisesRegex(ConfigError, "on its way here, from elsewhere"):
                await migrate(self.session, model, CLUSTER)
        await place.close()
        place = await self.held()
        self.assertEqual(place.notes, dict.fromkeys(PLACES, NOTE))
        await self.fill(place)
        await self.make()

    async def test_it_is_as_one_that_was_always_here(self) -> None:
        """With all indexes, which were not there while the rows came; and the server knows about
        how many rows there are."""
        await self.make()
        indexes = await self.ask(INDEXES)
        place = await self.held()
        await place.expect(PLACES, NOTE)
        for index in ("words_by_keys", "orders_by_time"):
            self.assertEqual(await self.ask(DROPPED, index), ((1,),))
        await place.close()
        await self.fill()
        self.assertEqual(await self.ask(INDEXES), indexes)
        for role, (model, _) in PLACES.items():
            tables = [*model.tables]
            self.assertEqual(await self.ask(UNANALYZED, model.schema, tables), ((0,),), role)
            history = ROWS[role]["history"]
            mark = await self.ask(f"SELECT epoch_id, number FROM {model.schema}.mark")
            self.assertEqual(mark, ((history[-1]["id"], NUMBER),))

    async def test_a_shop_from_before_epochs_had_ids_arrives_too(self) -> None:
        place = await self.held()
        await place.expect(["order"], NOTE)
        await place.finish({"order": Standing(EPOCH, NUMBER)}, NOTE)
        self.assertEqual(await self.ask("SELECT epoch_id FROM bazar_order.mark"), (("",),))

    async def test_what_the_server_refuses_is_told_as_it_says(self) -> None:
        place = await self.held()
        await place.expect(PLACES, NOTE)
        without_price = {**ROWS["catalog"]["books"][0], "cost": None}
        with self.assertRaisesRegex(Unavailable, "23502"):
            await place.put("catalog", "books", [without_price])

    async def test_where_a_node_has_led_no_shop_arrives(self) -> None:
        """It may have begun one since."""
        await self.make()
        await self.ask("UPDATE bazar_order.beat SET epoch = 1")
        place = await self.held()
        with self.assertRaisesRegex(Conflict, "has a shop in bazar_order already"):
            await place.expect(PLACES, NOTE)
        for model in MODELS.values():  # nothing was written anywhere
            await migrate(self.session, model, CLUSTER)

    async def test_where_another_shop_has_arrived_meanwhile_none_does(self) -> None:
        place = await self.held()
        await self.fill()
        with self.assertRaisesRegex(Conflict, "has a shop in bazar_catalog already"):
            await place.expect(PLACES, NOTE)

    async def test_a_shop_is_never_finished_on_top_of_another(self) -> None:
        await self.fill()
        place = await self.held()
        with self.assertRaisesRegex(Conflict, "a node has taken it over meanwhile"):
            await place.finish({"order": Standing(EPOCH + 1, NUMBER + 1)}, NOTE)
        await place.close()
        self.assertEqual(await (await self.held()).standing("order"), Standing(EPOCH, NUMBER))
