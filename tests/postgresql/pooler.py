"""PgBouncer before a server, in transaction mode: each transaction may have another session."""

from __future__ import annotations

import shutil

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.cluster import ports
from tests.postgresql.directory import wait_for
from tests.postgresql.installations import WAIT_S
from tests.postgresql.servers import Server

SKIPPED = "needs PgBouncer: apt-get install pgbouncer"
SETTINGS = """
[databases]
postgres = host={host} port={server_port} dbname=postgres
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {size}
auth_type = scram-sha-256
auth_file = {users}
"""


class Pooler:
    """Started on entry, before a server, for as many sessions of it; ended on exit."""

    def __init__(self, server: Server, size: int) -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            pytest.skip(SKIPPED)
        self.place = server.place
        [self._held] = ports.hold(1)
        self.address = f"{ports.HOST}:{ports.number(self._held)}"
        self._conninfo = make_conninfo(server.conninfo, port=ports.number(self._held))
        users = self.place.directory / "pooler.users"
        users.write_text(f'"postgres" "{self.place.password}"\n', "utf-8")
        settings = self.place.directory / "pooler.ini"
        settings.write_text(
            SETTINGS.format(
                **{"host": ports.HOST, "server_port": server.port, "size": size, "users": users},
                port=ports.number(self._held),
            ),
            "utf-8",
        )
        for path in (users, settings):
            self.place.give(path)
        self._log = self.place.directory / "pooler.log"
        with self._log.open("wb") as log:
            self._process = self.place.spawn(program, settings, log=log)

    def __enter__(self) -> Pooler:
        wait_for(self._answers, "the pooler answers")
        return self

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            psycopg.connect(self._conninfo).close()
        except psycopg.OperationalError:
            return False
        return True

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait(WAIT_S)
        self._held.close()
