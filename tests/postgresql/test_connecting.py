"""How servers are found and asked: the connection string, its secrets, TLS, deadlines."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from bazar.errors import ConfigError
from storage.postgresql.driver import open_servers
from storage.postgresql.servers import GONE_MS, IDLE_S, INTERVAL_S, PROBES, PostgreSQLServers
from storage.postgresql.session import Broken, Statement
from tests.cluster import ports
from tests.patience import PATIENCE_S
from tests.postgresql.installations import WAIT_S, installations
from tests.postgresql.servers import Place, Server
from tests.postgresql.sessions import BEGIN, COMMIT, open_files, run, runs, session

ELSEWHERE = "203.0.113.1"  # an address that is nobody's
SECRET = "s3cr et'w=ort"
SHOWS = "SELECT current_user, current_database(), current_setting('application_name')"


async def shown(server: str, dsn: str) -> tuple[object, ...]:
    """Return user, database and application of a session."""
    found = await PostgreSQLServers([server], dsn).connect(server, PATIENCE_S)
    try:
        return (await run(found, SHOWS)).results[0].rows[0]
    finally:
        await found.close()


async def test_a_connection_string_is_what_libpq_knows(
    postgresql_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, password = postgresql_server.address, postgresql_server.place.password
    ours = ("postgres", "postgres", "bazar")
    assert await shown(address, f"user=postgres password={password}") == ours
    assert await shown(address, f"postgresql://postgres:{password}@/postgres") == ours
    named = f"user=postgres password={password} application_name=shop"
    assert await shown(address, named) == ("postgres", "postgres", "shop")

    passwords = tmp_path / "pgpass"
    passwords.write_text(f"{address}:*:postgres:{password}\n", "utf-8")
    passwords.chmod(0o600)
    assert await shown(address, f"user=postgres dbname=postgres passfile={passwords}") == ours
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert await shown(address, "user=postgres") == ours
    _, port = address.split(":")
    passwords.write_text(f"localhost:{port}:*:postgres:{password}\n", "utf-8")
    assert await shown(f"localhost:{port}", "user=postgres") == ours

    services = tmp_path / "services"
    services.write_text(f"[shop]\nuser=postgres\npassword={password}\nport=1\n", "utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert await shown(address, "service=shop") == ours


async def test_no_service_and_no_environment_leads_to_another_server(
    postgresql_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services"
    place = f"host={ELSEWHERE}\nhostaddr={ELSEWHERE}\nport=1\ntarget_session_attrs=standby\n"
    services.write_text(f"[shop]\n{place}", "utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGHOSTADDR", ELSEWHERE)
    dsn = f"service=shop user=postgres password={postgresql_server.place.password}"
    user, *_ = await shown(postgresql_server.address, dsn)
    assert user == "postgres"


@pytest.mark.parametrize(
    ("names", "dsn", "error"),
    [
        (["db1"], "", "servers: 'db1' must be host:port"),
        (["db1:0"], "", "servers: 'db1:0' must be host:port"),
        (["db1:65536"], "", "servers: 'db1:65536' must be host:port"),
        (["db1:x"], "", "servers: 'db1:x' must be host:port"),
        ([":5432"], "", "servers: ':5432' must be host:port"),
        (["db1:5432"], "host=db2", "dsn: names host, but"),
        (["db1:5432"], "postgresql://db2/shop", "dsn: names host, but"),
        (["db1:5432"], "port=5433", "dsn: names port, but"),
        (["db1:5432"], "target_session_attrs=read-write", "dsn: names target_session_attrs, but"),
        (["db1:5432"], "nonsense=1", "dsn: no connection string .*invalid connection option"),
        (["db1:5432"], "dbname", "dsn: no connection string .*missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(names: list[str], dsn: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        open_servers(names, dsn)


@pytest.mark.parametrize("port", [1, 65535])
def test_any_port_that_there_may_be_is_taken(port: int) -> None:
    assert open_servers([f"db1:{port}"], "").names == [f"db1:{port}"]


@pytest.mark.parametrize(
    "dsn",
    [
        f"password={SECRET}",
        f"pass word='{SECRET}'",
        f"dbname=x pasword={SECRET}",
        f"postgresql://u:{SECRET}@h:x/d",
        f"postgresql://u@/d?pasword={SECRET}",
        f"postgresql://u@/d?password={SECRET}&x",
        f"'{SECRET}",
    ],
)
def test_no_error_shows_what_may_be_a_password(dsn: str) -> None:
    with pytest.raises(ConfigError) as raised:
        open_servers(["db1:5432"], dsn)
    for part in ("s3cr", "w=ort", "ort"):
        assert part not in str(raised.value).replace("support", "")
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


async def test_no_log_shows_a_password(
    postgresql_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    address = postgresql_server.address
    wrong = open_servers([address], "user=postgres password=wr0ng-one")
    with pytest.raises(Broken, match=f'^{address}: .*authentication failed for user "postgres"'):
        await wrong.connect(address, PATIENCE_S)
    async with session(postgresql_server) as one:
        assert postgresql_server.place.password not in repr(one) + repr(wrong)
    for secret in ("wr0ng-one", postgresql_server.place.password):
        assert secret not in caplog.text


async def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    [held] = ports.hold(1)
    with held:
        free = f"{ports.HOST}:{ports.number(held)}"
        with pytest.raises(Broken, match=f"^{free}: .*Connection refused"):
            await open_servers([free], "").connect(free, PATIENCE_S)
    nowhere = "nowhere.invalid:5432"
    with pytest.raises(Broken, match=f"^{nowhere}: "):
        await open_servers([nowhere], "").connect(nowhere, PATIENCE_S)


async def test_one_that_says_nothing_is_given_up_and_leaves_nothing_open() -> None:
    with socket.socket() as silent:
        silent.bind((ports.HOST, 0))
        silent.listen()
        address = f"{ports.HOST}:{silent.getsockname()[1]}"
        before = open_files()
        with pytest.raises(Broken, match=f"^{address}: no session within 0.1 s"):
            await open_servers([address], "").connect(address, 0.1)
        connecting = asyncio.create_task(open_servers([address], "").connect(address, PATIENCE_S))
        taken, _ = await asyncio.to_thread(silent.accept)  # that of before
        taken.close()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        del connecting  # its error holds all that it was about,
        await asyncio.sleep(0)  # as what called us does
        gc.collect()
        assert open_files() == before


async def test_whoever_is_gone_is_noticed_at_both_ends(postgresql_server: Server) -> None:
    async with session(postgresql_server) as one:
        names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout")
        settings = ", ".join(f"current_setting('tcp_{name}')" for name in names)
        reply = await run(one, f"SELECT {settings}")
        ours = (IDLE_S, INTERVAL_S, PROBES, GONE_MS)
        assert reply.results[0].rows == (tuple(map(str, ours)),)
        with socket.socket(fileno=os.dup(one._socket)) as end:
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            found = [end.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in options]
            assert found == [*ours]


async def test_no_timeout_of_the_role_ends_a_session(postgresql_server: Server) -> None:
    password = postgresql_server.place.password
    postgresql_server.ask(f"CREATE ROLE hasty LOGIN PASSWORD '{password}'")
    for timeout in ("statement_timeout", "idle_session_timeout"):
        postgresql_server.ask(f"ALTER ROLE hasty SET {timeout} = '100ms'")
    address = postgresql_server.address
    dsn = f"user=hasty dbname=postgres password={password}"
    one = await open_servers([address], dsn).connect(address, PATIENCE_S)
    await run(one, "SELECT pg_sleep(0.2)")
    reply = await run(one, "SELECT current_setting('idle_session_timeout')")
    assert reply.results[0].rows == (("0",),)
    await one.close()


@pytest.fixture
def secured() -> Iterator[Server]:
    """A server with TLS, its certificate beside its data as `server.crt`."""
    able = [found for found in installations() if found.built("--with-ssl", "--with-openssl")]
    if not able or shutil.which("openssl") is None:
        pytest.skip("needs PostgreSQL with TLS, and openssl: apt-get install postgresql openssl")
    with Place(able[0]) as place:
        certificate, key = place.directory / "server.crt", place.directory / "server.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
            timeout=WAIT_S,
        )
        key.chmod(0o600)
        place.give(key)
        yield place.primary("one", ssl="on", ssl_cert_file=str(certificate), ssl_key_file=str(key))


async def test_tls_is_as_the_connection_string_says(secured: Server) -> None:
    own = secured.place.directory / "server.crt"
    dsn = f"user=postgres password={secured.place.password} sslmode=verify-full"
    named = f"localhost:{secured.port}"
    one = await PostgreSQLServers([named], f"{dsn} sslrootcert={own}").connect(named, PATIENCE_S)
    sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert (await run(one, sql)).results[0].rows == ((True,),)
    large = "x" * 3_000_000
    selects = [Statement("SELECT $1::text", (large,))] * 3
    reply = await run(one, BEGIN, *selects, COMMIT)
    assert [result.rows for result in reply.results[1:-1]] == [((large,),)] * 3
    running = asyncio.create_task(run(one, "SELECT pg_sleep(1000)"))
    await runs(secured, one.pid, "SELECT pg_sleep")
    one.abort()
    with pytest.raises(Broken, match="given up"):
        await running
    for server, more in ((secured.address, f"sslrootcert={own}"), (named, "sslrootcert=system")):
        with pytest.raises(Broken, match="certificate"):
            await PostgreSQLServers([server], f"{dsn} {more}").connect(server, PATIENCE_S)


@pytest.mark.parametrize("version", ["3.3.8", "3.2.10", "2.9"])
def test_an_old_driver_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg, "__version__", version)
    with pytest.raises(ConfigError, match=rf"psycopg {version} is older than 3\.3\.9: pip install"):
        open_servers(["db1:5432"], "")


@pytest.mark.parametrize("version", ["3.3.9", "3.4", "3.10.0.dev1"])
def test_a_newer_driver_is_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg, "__version__", version)
    assert open_servers(["db1:5432"], "").names == ["db1:5432"]


def test_a_driver_without_its_c_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pq, "__impl__", "python")
    with pytest.raises(ConfigError, match="without its C part"):
        open_servers(["db1:5432"], "")


def test_no_driver_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'bazar\[postgresql\]'"):
        open_servers(["db1:5432"], "")
