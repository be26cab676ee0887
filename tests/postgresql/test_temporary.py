"""A database for a measurement: it is there meanwhile, and gone afterwards."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from bazar.config import EngineConfig
from bazar.errors import Unavailable
from storage.postgresql.session import Statement
from storage.postgresql.temporary import temporary
from tests.postgresql.servers import Server
from tests.unit.storage.postgresql.database import TIMEOUT_S, connect


def engine_of(conninfo: str) -> EngineConfig:
    parts = conninfo_to_dict(conninfo)
    server = f"{parts.pop('host')}:{parts.pop('port')}"
    dsn = " ".join(f"{name}={value}" for name, value in parts.items())
    return EngineConfig("postgresql", (server,), {"catalog": dsn})


def known(server: Server) -> list[str]:
    """The databases of measurements."""
    found = server.ask("SELECT datname FROM pg_database WHERE datname LIKE 'bazar_bench%%'")
    return [name for (name,) in found]


async def test_it_is_there_meanwhile_and_gone_afterwards_whoever_uses_it(
    postgresql_server: Server,
) -> None:
    engine = engine_of(postgresql_server.conninfo)
    with pytest.raises(ValueError, match="as a measurement that fails"):
        async with temporary(engine) as made:
            assert known(postgresql_server) == [made.name]
            assert made.server == postgresql_server.address
            sql = "SELECT datname FROM pg_stat_activity WHERE pid = %s"
            assert postgresql_server.ask(sql, made.session) == [(made.name,)]
            host, _, port = made.server.rpartition(":")
            session = await connect(f"host={host} port={port} {made.dsn}")
            name = await session.run(Statement("SELECT current_database()"), timeout_s=TIMEOUT_S)
            assert name.results[0].rows == ((made.name,),)
            raise ValueError("as a measurement that fails")
    assert known(postgresql_server) == []
    await session.close()


async def test_a_role_that_may_not_make_one_is_told_how_it_may(postgresql_server: Server) -> None:
    postgresql_server.ask("CREATE ROLE plain LOGIN PASSWORD 'secret'")
    try:
        parts = conninfo_to_dict(postgresql_server.conninfo) | {"user": "plain"}
        parts["password"] = "secret"
        plain = " ".join(f"{name}={value}" for name, value in parts.items())
        with pytest.raises(Unavailable, match=r"\(42501\): ALTER ROLE … CREATEDB permits it$"):
            async with temporary(engine_of(plain)):
                pass
        postgresql_server.ask("ALTER ROLE plain SET default_transaction_read_only = on")
        with pytest.raises(Unavailable, match=r"in a read-only transaction \(25006\)$"):
            async with temporary(engine_of(plain)):
                pass
    finally:
        postgresql_server.ask("DROP ROLE plain")
    assert known(postgresql_server) == []
