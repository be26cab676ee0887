"""The servers of one database, each opened by itself: libpq's own choice among several can't ask
*another* one, and takes a first one that is frozen again and again."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import conninfo

from bazar.errors import ConfigError
from storage.postgresql.connection import Connection, one_line
from storage.postgresql.session import Broken, Refused, Statement

# Whoever is gone is noticed within six seconds at both ends: a server whose client's machine has
# died keeps that one's locks until then.
IDLE_S, INTERVAL_S, PROBES = 3, 1, 3
GONE_MS = 1000 * (IDLE_S + INTERVAL_S * PROBES)
CLIENT = {
    "keepalives_idle": str(IDLE_S),
    "keepalives_interval": str(INTERVAL_S),
    "keepalives_count": str(PROBES),
    "tcp_user_timeout": str(GONE_MS),
    "fallback_application_name": "bazar",
}
# What a session sets for itself. A `statement_timeout` would cancel a COMMIT's wait for a standby.
SESSION = {
    "tcp_keepalives_idle": str(IDLE_S),
    "tcp_keepalives_interval": str(INTERVAL_S),
    "tcp_keepalives_count": str(PROBES),
    "tcp_user_timeout": str(GONE_MS),
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
}
# Nothing is set behind a pooler: another process answers than the one that was named when the
# connection was made, and it would keep what is set for whoever has it next.
SET = (
    "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)"
    " WHERE current_setting(name, true) IS NOT NULL AND pg_backend_pid() = $3"
)
IS_SET = "SELECT current_setting('statement_timeout')"
NOT_IN_DSN = ("host", "hostaddr", "port", "target_session_attrs", "load_balance_hosts")


class PostgreSQLServers:
    """`names` are the servers' addresses, `host:port`; `dsn` says all else, as libpq has it: URI or
    keywords, a service, TLS. A password may stand in it, or in `~/.pgpass`."""

    def __init__(self, names: Sequence[str], dsn: str) -> None:
        self.names = names
        self._addresses = {name: _address(name) for name in names}
        self._settings = {**CLIENT, **_parsed(dsn)}

    async def connect(self, server: str, timeout_s: float) -> Connection:
        """Return a session of this server, outside any transaction. Raises Broken with the reason
        where there is none to be had in time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                session = Connection(server, await self._connection(*self._addresses[server]))
                try:
                    await self._settle(session, timeout_s)
                except BaseException:
                    session.abort()
                    raise
                return session
        except TimeoutError:
            raise Broken(f"{server}: no session within {timeout_s:g} s") from None
        except (OSError, psycopg.Error, Refused) as error:
            raise Broken(f"{server}: {one_line(error)}") from None

    async def _connection(self, host: str, port: str) -> psycopg.AsyncConnection[Any]:
        """Connect to this host and port, whatever a service or the environment says of others."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        settings = {
            **self._settings,
            **{"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)},
            **{"port": port, "target_session_attrs": "any", "load_balance_hosts": "disable"},
            "client_encoding": "UTF8",
        }
        return await psycopg.AsyncConnection.connect(conninfo.make_conninfo("", **settings))

    async def _settle(self, session: Connection, timeout_s: float) -> None:
        """Set what a session sets for itself, or see that a pooler's sessions have it."""
        settings = (list(SESSION), list(SESSION.values()), session.pid)
        reply = await session.run(Statement(SET, settings), timeout_s=timeout_s)
        if reply.results[0].rows:
            session.prepares = True
        else:
            reply = await session.run(Statement(IS_SET), timeout_s=timeout_s)
            [[limit]] = reply.results[0].rows
            if limit != "0":
                raise Broken(
                    f"{session.server}: sessions of this pooler have statement_timeout = {limit}:"
                    " it would cancel a COMMIT that waits for a standby; set it to 0 for the role"
                )


def _address(server: str) -> tuple[str, str]:
    """Return host and port of `host:port`; an IPv6 address stands in brackets."""
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"servers: {server!r} must be host:port")
    return host.removeprefix("[").removesuffix("]"), port


def _parsed(dsn: str) -> dict[str, Any]:
    """Return what a connection string says. An error shows nothing of it: it may hold a password
    anywhere."""
    try:
        parsed = dict(conninfo.conninfo_to_dict(dsn))
    except psycopg.Error as error:
        reason = re.sub(r'"[^"]*"', '"…"', one_line(error))
        raise ConfigError(f"dsn: no connection string as libpq knows them: {reason}") from None
    for name in NOT_IN_DSN:
        if name in parsed:
            raise ConfigError(f"dsn: names {name}, but each of the servers is asked by itself")
    return parsed
