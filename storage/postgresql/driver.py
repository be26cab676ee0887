"""psycopg, where it is installed and can be relied upon: nobody else needs it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bazar.config import Config
from bazar.errors import ConfigError
from storage.postgresql.session import Servers

OLDEST = (3, 3, 9)  # those before may wait for ever at a connection that is half open
INSTALL = "pip install 'bazar[postgresql]'"


def open_servers(names: Sequence[str], dsn: str) -> Servers:
    """Return the servers `host:port` of one database; `dsn` says all else, as libpq has it. Raises
    ConfigError with what is wrong in them, or with psycopg."""
    try:
        import psycopg
        from psycopg import pq
    except ImportError as error:
        raise ConfigError(f"PostgreSQL needs psycopg: {INSTALL} ({error})") from error
    version = tuple(int(part) for part in re.findall(r"\d+", psycopg.__version__))
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigError(f"psycopg {psycopg.__version__} is older than {oldest}: {INSTALL}")
    if pq.__impl__ == "python":
        raise ConfigError(f"psycopg runs without its C part, which pipelines need: {INSTALL}")
    from storage.postgresql.servers import PostgreSQLServers

    return PostgreSQLServers(names, dsn)


def servers_of(config: Config, role: str) -> Servers:
    """Return the servers of a role's database. Raises ConfigError."""
    return open_servers(config.engine.servers, config.engine.dsn.get(role, ""))
