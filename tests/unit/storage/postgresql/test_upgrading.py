"""Acts of a primary on its tables: what they leave where there is nothing to do, and in doubt."""

from __future__ import annotations

from bazar.errors import ConfigError, FatalError
from storage.catalog import Catalog
from storage.moving import GONE, Note
from storage.orders import Orders
from storage.postgresql import books, learning, schema
from storage.postgresql.orders import OrderRows
from storage.postgresql.session import Broken, Reply, Session, Statement
from storage.postgresql.state_tables import as_json, upsert
from storage.postgresql.transaction import COMMIT
from storage.searches import Search
from tests.unit.storage.postgresql.database import CLUSTER, TIMEOUT_S, DatabaseCase
from tests.unit.storage.postgresql.test_catalog import CatalogTest
from tests.unit.storage.postgresql.test_schema import CATALOG, NewerRows

META = "SELECT name, value, xmin::text FROM bazar_catalog.meta ORDER BY name"
OTHER_WORDS = "UPDATE bazar_catalog.meta SET value = 'another' WHERE name = 'words'"
MARK = "SELECT 1 FROM bazar_catalog.mark FOR UPDATE NOWAIT"


class Doubtful:
    """A session whose commits are warned of, as where a wait for a standby was cancelled."""

    def __init__(self, session: Session) -> None:
        self.server = session.server
        self.broken = False
        self.abort, self.close = session.abort, session.close
        self._session = session

    async def run(self, *statements: Statement, timeout_s: float) -> Reply:
        reply = await self._session.run(*statements, timeout_s=timeout_s)
        warned = ("WARNING: canceling wait",) if statements[-1] == COMMIT else ()
        return Reply(reply.results, warned)


class ActsTest(CatalogTest):
    async def mark_is_free(self) -> None:
        """Fail where a transaction that has locked the mark is still open."""
        other = await self.connect()
        await other.run(Statement(MARK), timeout_s=TIMEOUT_S)

    async def test_where_nothing_is_missing_nothing_is_written(self) -> None:
        """A COMMIT would wait for a standby; and the next batch waits for the mark."""
        before = await self.ask(META)
        await schema.upgrade(self.session, CATALOG, "")
        await self.mark_is_free()
        self.assertTrue(await learning.learn(self.session, ""))
        await self.mark_is_free()
        self.assertEqual(await self.ask(META), before)

    async def test_whoever_leads_no_more_leaves_the_mark_alone(self) -> None:
        with self.assertRaises(FatalError):
            await schema.upgrade(self.session, NewerRows(Catalog()), "e7")
        await self.mark_is_free()
        await self.ask(OTHER_WORDS)
        with self.assertRaises(FatalError):
            await learning.learn(self.session, "e7")
        await self.mark_is_free()

    async def test_p5_what_is_not_confirmed_is_in_doubt(self) -> None:
        session = Doubtful(self.session)
        with self.assertRaisesRegex(Broken, "canceling wait"):
            await schema.upgrade(session, NewerRows(Catalog()), "")
        await self.ask(OTHER_WORDS)
        with self.assertRaisesRegex(Broken, "canceling wait"):
            await learning.learn(session, "")

    async def test_lists_by_number_need_no_index_of_words(self) -> None:
        await self.ask(OTHER_WORDS)
        for topic, sort in (("", None), ("ed s", None), ("", "newest")):
            found = await self.reader.search(Search(100, topic=topic, sort=sort))
            self.assertEqual(len(found.books), found.count.books)
            self.assertGreater(len(found.books), 1)

    async def test_an_image_of_a_row_does_not_wait_for_those_that_refer_to_it(self) -> None:
        """As it would if its key were written, too."""
        other = await self.connect()
        refer = "SELECT 1 FROM bazar_catalog.books WHERE id = 4 FOR KEY SHARE"
        await other.run(Statement("BEGIN"), Statement(refer), timeout_s=TIMEOUT_S)
        row = (await self.rows("books"))[3]
        self.assertEqual(row["id"], 4)
        put = upsert("bazar_catalog.books", "id", books.COLUMNS["books"])
        await self.ask("SET lock_timeout = '1ms'")
        await self.ask(put, as_json([row]))


class MakingTest(DatabaseCase):
    async def test_p5_tables_whose_making_is_not_confirmed_are_in_doubt(self) -> None:
        with self.assertRaisesRegex(Broken, "canceling wait"):
            await schema.migrate(Doubtful(self.session), CATALOG, CLUSTER)

    async def test_the_tables_of_a_shop_that_was_moved_away_are_refused(self) -> None:
        model = OrderRows(Orders())
        await schema.migrate(self.session, model, CLUSTER)
        note = Note("move-1", GONE, "another place").text
        await self.ask("INSERT INTO bazar_order.meta (name, value) VALUES ('moved', $1)", note)
        with self.assertRaisesRegex(ConfigError, "bazar_order: this shop was moved to another pl"):
            await schema.migrate(self.session, model, CLUSTER)

    async def test_orders_have_nothing_that_is_derived_from_them(self) -> None:
        self.assertTrue(await OrderRows(Orders()).derive(self.session, ""))
