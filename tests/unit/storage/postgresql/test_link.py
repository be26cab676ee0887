"""A session of the server that takes writes, over servers that do as they are told."""

from __future__ import annotations

import unittest
from collections.abc import Sequence

from bazar.errors import Unavailable
from storage.postgresql.link import IN_RECOVERY, LOCK_S, Link
from storage.postgresql.session import Broken, Refused, Reply, Result, Session, Statement
from storage.postgresql.transaction import BEGIN, COMMIT, ROLLBACK, beginning, check_committed

SILENCE_S = 1.5
BEGINNING = beginning(SILENCE_S, LOCK_S)
ONE, TWO = Statement("SELECT 1"), Statement("SELECT 2")


class FakeSession:
    """Answers each statement with itself."""

    def __init__(self, server: str, *, standby: bool) -> None:
        self.server = server
        self.broken = False
        self.standby = standby
        self.ran: list[tuple[Statement, ...]] = []
        self.raises: dict[Statement, Exception] = {}
        self.warnings: tuple[str, ...] = ()
        self.ended: list[str] = []

    async def run(self, *statements: Statement, timeout_s: float) -> Reply:
        if statements == (IN_RECOVERY,):
            self._raise(IN_RECOVERY)
            return Reply((Result("SELECT 1", ((self.standby,),)),))
        self.ran.append(statements)
        for statement in statements:
            self._raise(statement)
        return Reply(tuple(Result(statement.sql) for statement in statements), self.warnings)

    def _raise(self, statement: Statement) -> None:
        error = self.raises.get(statement)
        if error is not None:
            self.broken = isinstance(error, Broken)
            raise error

    def abort(self) -> None:
        self.broken = True
        self.ended.append("aborted")

    async def close(self) -> None:
        self.broken = True
        self.ended.append("closed")


class FakeServers:
    def __init__(self) -> None:
        self.names: Sequence[str] = ("db1", "db2", "db3")
        self.down: set[str] = set()
        self.standbys: set[str] = set()
        self.refusing: set[str] = set()
        self.asked: list[str] = []
        self.sessions: list[FakeSession] = []

    async def connect(self, server: str, timeout_s: float) -> Session:
        self.asked.append(server)
        if server in self.down:
            raise Broken("refused")
        session = FakeSession(server, standby=server in self.standbys)
        if server in self.refusing:
            session.raises[IN_RECOVERY] = Refused("57P03", "starting up")
        self.sessions.append(session)
        return session


class LinkCase(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.servers = FakeServers()
        self.link = Link(self.servers, SILENCE_S)

    async def connected(self) -> FakeSession:
        """The session that statements are run in now."""
        session = await self.link.session()
        assert isinstance(session, FakeSession)
        return session

    async def asks(self) -> list[str]:
        """Which servers it asks for the next session."""
        self.servers.asked.clear()
        await self.link.session()
        return self.servers.asked


class FindingTest(LinkCase):
    async def test_the_first_that_takes_writes_is_kept(self) -> None:
        self.servers.down, self.servers.standbys = {"db1"}, {"db2"}
        self.assertIsNone(self.link.server)
        self.assertEqual(self.link.number, 0)
        session = await self.connected()
        self.assertEqual(self.servers.asked, ["db1", "db2", "db3"])
        self.assertEqual((session.server, self.link.server, self.link.number), ("db3", "db3", 1))
        self.assertEqual([one.ended for one in self.servers.sessions], [["closed"], []])
        self.assertIs(await self.connected(), session)
        self.assertEqual(self.link.number, 1)

    async def test_p3_each_session_has_a_number_of_its_own(self) -> None:
        for number in (1, 2, 3):
            session = await self.connected()
            self.assertEqual(self.link.number, number)
            session.broken = True
            self.assertIsNone(self.link.server)

    async def test_the_one_that_took_writes_is_asked_first(self) -> None:
        self.servers.standbys = {"db1"}
        session = await self.connected()
        session.broken = True
        self.assertEqual(await self.asks(), ["db2"])

    async def test_one_that_gave_no_answer_is_asked_last(self) -> None:
        """It may have been deposed, and wait for its standby for ever."""
        session = await self.connected()
        session.raises[ONE] = Broken("no answer")
        with self.assertRaises(Broken):
            await self.link.run(ONE)
        self.servers.down = {"db2", "db3"}
        self.assertEqual(await self.asks(), ["db2", "db3", "db1"])

    async def test_where_none_takes_writes_each_says_why(self) -> None:
        self.servers.down, self.servers.standbys = {"db1"}, {"db2"}
        self.servers.refusing = {"db3"}
        with self.assertRaisesRegex(
            Unavailable,
            "no database server takes writes: db1: refused; db2: is a standby; "
            r"db3: starting up \(57P03\)",
        ):
            await self.link.session()
        self.assertEqual([one.ended for one in self.servers.sessions], [["closed"], ["aborted"]])
        self.assertIsNone(self.link.server)

    async def test_one_beside_another_goes_to_the_same_server(self) -> None:
        """Others may take writes, too, and have been deposed."""
        beside = Link(self.servers, SILENCE_S, beside=self.link)
        self.servers.standbys = {"db1"}
        await self.link.session()
        self.servers.standbys = set()
        self.assertEqual((await beside.session()).server, "db2")
        self.servers.down = {"db2"}
        beside.disconnect()
        self.servers.asked.clear()
        with self.assertRaisesRegex(Unavailable, "takes writes: db2: refused$"):
            await beside.session()
        self.assertEqual(self.servers.asked, ["db2"])
        self.link.disconnect()
        self.assertEqual((await beside.session()).server, "db3")


class RunningTest(LinkCase):
    async def test_a_transaction_goes_on_in_its_session_until_it_is_over(self) -> None:
        [result] = await self.link.begin(ONE)
        self.assertEqual(result.tag, ONE.sql)
        session = await self.connected()
        await self.link.go_on(TWO)
        reply = await self.link.go_on(ONE, COMMIT)
        self.assertEqual([result.tag for result in reply.results], [ONE.sql, COMMIT.sql])
        self.assertEqual(session.ran, [(*BEGINNING, ONE), (TWO,), (ONE, COMMIT)])
        with self.assertRaisesRegex(Broken, "the session of this transaction is gone"):
            await self.link.go_on(TWO)
        await self.link.begin(ONE)
        await self.link.go_on(ROLLBACK)
        with self.assertRaises(Broken):
            await self.link.go_on(TWO)

    async def test_p5_a_transaction_does_not_go_on_in_another_session(self) -> None:
        """There its COMMIT would be reported as done."""
        with self.assertRaises(Broken):
            await self.link.go_on(ONE)
        await self.link.begin(ONE)
        (await self.connected()).broken = True
        other = await self.connected()
        with self.assertRaises(Broken):
            await self.link.go_on(TWO, COMMIT)
        self.assertEqual(other.ran, [])

    async def test_one_round_trip_returns_what_its_statements_came_to(self) -> None:
        results = await self.link.whole(ONE, TWO)
        self.assertEqual([result.tag for result in results], [ONE.sql, TWO.sql])
        self.assertEqual((await self.connected()).ran, [(*BEGINNING, ONE, TWO, COMMIT)])

    async def test_p5_one_round_trip_is_in_doubt_where_anything_was_said_beside(self) -> None:
        (await self.connected()).warnings = ("WARNING: canceling wait",)
        with self.assertRaisesRegex(Broken, "a commit is in doubt: COMMIT; WARNING: canceling"):
            await self.link.whole(ONE)

    async def test_what_is_refused_is_rolled_back_and_its_session_goes_on(self) -> None:
        session = await self.connected()
        session.raises[TWO] = Refused("22012", "division by zero")
        await self.link.begin(ONE)
        with self.assertRaisesRegex(Refused, r"division by zero \(22012\)"):
            await self.link.go_on(TWO)
        self.assertEqual(session.ran[-1], (ROLLBACK,))
        with self.assertRaises(Broken):
            await self.link.go_on(ONE)  # that one is over
        await self.link.run(ONE)
        self.assertEqual((await self.connected(), session.ended), (session, []))

    async def test_a_session_that_cannot_be_rolled_back_is_given_up(self) -> None:
        for error in (Broken("gone"), Refused("25001", "no")):
            session = await self.connected()
            session.raises = {TWO: Refused("22012", "division by zero"), ROLLBACK: error}
            with self.assertRaisesRegex(Refused, "22012"):
                await self.link.run(TWO)
            self.assertEqual(session.ended, ["aborted"])
            self.assertIsNot(await self.connected(), session)

    async def test_only_what_is_open_is_rolled_back(self) -> None:
        await self.link.roll_back()
        session = await self.connected()
        await self.link.roll_back()
        self.assertEqual(session.ran, [])
        await self.link.begin(ONE)
        await self.link.roll_back()
        await self.link.roll_back()
        self.assertEqual(session.ran, [(*BEGINNING, ONE), (ROLLBACK,)])
        await self.link.begin(ONE)
        session.broken = True
        await self.link.roll_back()
        self.assertEqual((len(session.ran), session.ended), (3, []))


class EndingTest(LinkCase):
    async def test_what_is_given_up_is_gone_at_once(self) -> None:
        self.link.disconnect()
        await self.link.begin(ONE)
        session = await self.connected()
        self.link.disconnect()
        self.assertEqual(session.ended, ["aborted"])
        self.assertIsNone(self.link.server)
        with self.assertRaises(Broken):
            await self.link.go_on(TWO)
        self.assertIsNot(await self.connected(), session)

    async def test_closing_ends_a_session_that_is_there_in_order(self) -> None:
        await self.link.close()
        session = await self.connected()
        await self.link.close()
        self.assertEqual(session.ended, ["closed"])
        other = await self.connected()
        other.broken = True
        await self.link.close()
        self.assertEqual(other.ended, [])


class TransactionTest(unittest.TestCase):
    def test_its_server_is_told_in_milliseconds_how_long_it_may_wait(self) -> None:
        self.assertEqual(
            [one.sql for one in beginning(1.5, 2.5)[len(BEGIN) :]],
            [
                "SET LOCAL idle_in_transaction_session_timeout = 1500",
                "SET LOCAL lock_timeout = 2500",
            ],
        )

    def test_p5_only_the_tag_of_the_last_says_that_it_is_committed(self) -> None:
        update, commit, rollback = Result("UPDATE 1"), Result("COMMIT"), Result("ROLLBACK")
        check_committed(Reply((update, commit)))
        for reply, said in (
            (Reply((update, rollback)), "ROLLBACK"),
            (Reply((commit, update)), "UPDATE 1"),
            (Reply((update, commit), ("WARNING: hear", "WARNING: more")), "COMMIT; .*more"),
        ):
            with self.assertRaisesRegex(Broken, f"a commit is in doubt: {said}$"):
                check_committed(reply)
