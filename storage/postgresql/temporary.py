"""A database of its own, for a shop that is measured and then thrown away."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from psycopg import conninfo

from bazar.config import EngineConfig
from bazar.errors import Unavailable
from storage.postgresql.driver import open_servers
from storage.postgresql.link import Link
from storage.postgresql.session import Broken, Refused, Row, Statement

TIMEOUT_S = 60.0
FORBIDDEN = "42501"  # insufficient_privilege


@dataclass(frozen=True, slots=True)
class Temporary:
    """`dsn` reaches it, `session` is the process id of a session whose title has its `name`, and
    `server` is where it is, `host:port`."""

    name: str
    dsn: str
    server: str
    session: int


@asynccontextmanager
async def temporary(engine: EngineConfig) -> AsyncIterator[Temporary]:
    """Make an empty database beside that of the catalog, and drop it at the end, whoever is
    connected. Raises Unavailable, with what is to be done where that is known."""
    dsn = engine.dsn.get("catalog", "")
    name = f"bazar_bench_{secrets.token_hex(6)}"
    beside = Link(open_servers(engine.servers, dsn), TIMEOUT_S)
    try:
        await _run(beside, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        try:
            made = conninfo.make_conninfo(dsn, dbname=name)
            inside = Link(open_servers(engine.servers, made), TIMEOUT_S)
            try:
                [(session,)] = await _run(inside, "SELECT pg_backend_pid()")
                assert inside.server is not None
                yield Temporary(name, made, inside.server, session)
            finally:
                await inside.close()
        finally:
            await _run(beside, f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await beside.close()


async def _run(link: Link, sql: str) -> tuple[Row, ...]:
    try:
        return (await link.run(Statement(sql), timeout_s=TIMEOUT_S)).results[0].rows
    except Refused as error:
        hint = ": ALTER ROLE … CREATEDB permits it" if error.sqlstate == FORBIDDEN else ""
        raise Unavailable(f"{link.server}: {error}{hint}") from error
    except Broken as error:
        raise Unavailable(str(error)) from error
