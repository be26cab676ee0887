"""One group's rows in a real database: written by batches as a primary does, and read."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bazar.replication.messages import GENESIS, Entry, chained, tail_mark
from bazar.replication.store import Outcome
from storage.history import number_of
from storage.postgresql import group_snapshot, learning, link, moving, reading, schema, store
from storage.postgresql.model import Model
from storage.postgresql.schema import migrate
from storage.postgresql.servers import PostgreSQLServers
from storage.postgresql.session import Row, Session, Statement
from storage.postgresql.transaction import BEGIN, COMMIT, ROLLBACK, check_committed
from tests.patience import PATIENCE_S

TIMEOUT_S = 60.0
CLUSTER = "cluster-1"
PATIENT = (  # what is given up sooner otherwise
    *((link, "CONNECT_S"), (link, "RUN_S"), (link, "LOCK_S")),
    *((store, "BEGIN_S"), (moving, "LOCK_S")),
    *((schema, "CHECK_S"), (learning, "CHECK_S"), (group_snapshot, "CONFIRM_S")),
    *((reading, "CONNECT_S"), (reading, "READ_S")),
)
SNAPSHOT = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")


def parts_of(conninfo: str) -> tuple[str, str]:
    """The server of the database that is described so, and the rest of that, as `dsn`."""
    parts: dict[str, Any] = dict(conninfo_to_dict(conninfo))
    server = f"{parts.pop('host')}:{parts.pop('port')}"
    return server, make_conninfo(**parts)


def servers_of(conninfo: str) -> PostgreSQLServers:
    """The one server of the database that is described so."""
    server, dsn = parts_of(conninfo)
    return PostgreSQLServers([server], dsn)


async def connect(conninfo: str) -> Session:
    """A session of the database that is described so."""
    servers = servers_of(conninfo)
    return await servers.connect(servers.names[0], TIMEOUT_S)


class DatabaseCase(unittest.IsolatedAsyncioTestCase):
    """`self.session` is of a new, empty database."""

    @pytest.fixture(autouse=True)
    def _new_database(self, postgresql_database: str) -> None:
        self._conninfo = postgresql_database

    async def asyncSetUp(self) -> None:
        # How fast the machine is must not show.
        for module, name in PATIENT:
            self.enterContext(mock.patch.object(module, name, PATIENCE_S))
        self.session = await self.connect()

    async def connect(self) -> Session:
        session = await connect(self._conninfo)
        self.addAsyncCleanup(session.close)
        return session

    async def ask(self, sql: str, *params: Any) -> tuple[Row, ...]:
        """The rows of one statement in a transaction of its own."""
        reply = await self.session.run(Statement(sql, params), timeout_s=TIMEOUT_S)
        return reply.results[0].rows

    async def version(self) -> int:
        """The version of the catalog's tables."""
        [(version,)] = await self.ask("SELECT value FROM bazar_catalog.meta WHERE name = 'version'")
        return int(version)

    async def other_sessions(self) -> int:
        """How many sessions this database has but ours."""
        [(count,)] = await self.ask(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(count)

    async def until_others(self, count: int = 0) -> None:
        """Return once it has as many."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.other_sessions() != count:
                pass


class Group:
    """A group's rows, as its primary works on them; and a `Snapshots` of what is committed."""

    def __init__(self, session: Session, model: Model) -> None:
        self.session = session
        self.model = model
        self.last = GENESIS

    @classmethod
    async def make(cls, session: Session, model: Model) -> Group:
        await migrate(session, model, CLUSTER)
        return cls(session, model)

    async def execute(self, operations: Sequence[Any], epoch: int = 0) -> list[Outcome]:
        """Decide operations in a transaction that is open then."""
        mark = Statement(f"SELECT number FROM {self.model.schema}.mark FOR NO KEY UPDATE")
        loads = self.model.loads(operations)
        reply = await self.session.run(*BEGIN, mark, *loads, timeout_s=TIMEOUT_S)
        [(number,)], *rows = [result.rows for result in reply.results[len(BEGIN) :]]
        assert number == self.last.seq
        return self.model.execute(operations, rows, number_of(epoch, number + 1))

    async def rollback(self) -> None:
        await self.session.run(ROLLBACK, timeout_s=TIMEOUT_S)

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Write what entries leave into the open transaction, and commit it."""
        self.last = tail_mark(self.last, entries)
        number = Statement(f"UPDATE {self.model.schema}.mark SET number = $1", (self.last.seq,))
        writes = self.model.writes(entries)
        reply = await self.session.run(*writes, number, COMMIT, timeout_s=TIMEOUT_S)
        check_committed(reply)

    async def batch(self, *operations: Any) -> list[Outcome]:
        """One batch, executed and committed."""
        outcomes = await self.execute(operations)
        changes = [one.change for one in outcomes if one.change is not None]
        if changes:
            await self.commit(chained(self.last, 1, changes))
        else:
            await self.rollback()
        return outcomes

    async def read(
        self, tags: frozenset[str] | None, *statements: Statement
    ) -> Sequence[Sequence[Row]]:
        reply = await self.session.run(SNAPSHOT, *statements, COMMIT, timeout_s=TIMEOUT_S)
        return [result.rows for result in reply.results[1:-1]]

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """A table, in the order of its primary key."""
        key = self.model.tables[table]
        sql = f"SELECT to_json(t) FROM {self.model.schema}.{table} t ORDER BY {key}"
        [rows] = await self.read(None, Statement(sql))
        return [row for (row,) in rows]
