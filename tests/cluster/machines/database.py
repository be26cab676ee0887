"""PostgreSQL on every machine, one of them primary as Patroni and etcd agree.

Times are as short as they can be: a failover takes about `TTL_S` instead of half a minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.cluster.machines.machine import Service
from tests.cluster.machines.network import address
from tests.postgresql.installations import DEBIAN, Installation, installations

USER = "postgres"  # of PostgreSQL, Patroni and etcd: nodes are another, so that a filter can tell
PORT, PATRONI_PORT, ETCD_PORT, ETCD_PEER_PORT = 5432, 8008, 2379, 2380
NAME = "bazar"
ASK_S = 2.0
CONNECT_S = 10
# Patroni 3.0 takes them as they are; it wants loop_wait + 2 * retry_timeout <= ttl.
TTL_S, LOOP_S, RETRY_S = 12, 1, 5
NEEDED = ("patroni", "etcd", "nft", "ip", "unshare", "nsenter", "setpriv")
INSTALL = "apt-get install --no-install-recommends postgresql patroni etcd-server nftables iproute2"

Rows = list[tuple[Any, ...]]


def impossible() -> str | None:
    """Return why there can be no machines here; None if there can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or not _installed():
        return f"{', '.join([*missing]) or 'postgresql'} is not installed: {INSTALL}"
    return None


def _installed() -> list[Installation]:
    """Return what any user may run, the newest first."""
    return [one for one in installations() if one.bin.is_relative_to(DEBIAN)]


def services(number: int, count: int, directory: Path) -> list[Service]:
    """Return what a machine runs for its database; its files are in `directory`."""
    directory.chmod(0o755)
    for name in ("etcd", "postgresql", "socket"):
        place = directory / name
        place.mkdir(mode=0o700)
        shutil.chown(place, USER, USER)
    config = directory / "patroni.yml"
    config.write_text(json.dumps(_patroni(number, count, directory), indent=1), "utf-8")
    etcd = _etcd(number, count, directory / "etcd")
    patroni = str(shutil.which("patroni"))
    environment = {"HOME": str(directory), "LC_ALL": "C.UTF-8"}
    return [
        Service("etcd", etcd, USER, environment),
        Service("patroni", [patroni, str(config)], USER, environment),
    ]


def _etcd(number: int, count: int, data: Path) -> list[str]:
    here = address(number)
    peers = ",".join(f"m{n}=http://{address(n)}:{ETCD_PEER_PORT}" for n in range(1, count + 1))
    flags = {
        "name": f"m{number}",
        "data-dir": str(data),
        "listen-client-urls": f"http://{here}:{ETCD_PORT}",
        "advertise-client-urls": f"http://{here}:{ETCD_PORT}",
        "listen-peer-urls": f"http://{here}:{ETCD_PEER_PORT}",
        "initial-advertise-peer-urls": f"http://{here}:{ETCD_PEER_PORT}",
        "initial-cluster": peers,
        "initial-cluster-state": "new",
        "enable-v2": "true",
        "pre-vote": "true",
        "logger": "zap",
        "log-level": "warn",
    }
    return [str(shutil.which("etcd")), *(f"--{name}={value}" for name, value in flags.items())]


def _patroni(number: int, count: int, directory: Path) -> dict[str, Any]:
    here, patroni = address(number), f"{address(number)}:{PATRONI_PORT}"
    parameters = {
        "wal_sender_timeout": "5s",
        "wal_receiver_timeout": "5s",
        "wal_retrieve_retry_interval": "500ms",
        "tcp_keepalives_idle": 3,
        "tcp_keepalives_interval": 1,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": 6000,
        "shared_buffers": "16MB",
        "dynamic_shared_memory_type": "mmap",  # its files go with the machine
        "max_connections": 100,
        "wal_keep_size": "256MB",
        "hot_standby_feedback": True,
        "log_line_prefix": "%m [%p] ",
        "log_timezone": "UTC",
    }
    user = {"username": USER, "password": "of the test"}
    return {
        "scope": NAME,
        "name": f"m{number}",
        "restapi": {"listen": patroni, "connect_address": patroni},
        # Its etcd3 keeps a cache by watching, which may stay old for ever after a pause.
        "etcd": {"hosts": [f"{address(n)}:{ETCD_PORT}" for n in range(1, count + 1)]},
        "bootstrap": {
            "dcs": {
                "ttl": TTL_S,
                "loop_wait": LOOP_S,
                "retry_timeout": RETRY_S,
                "synchronous_mode": True,
                "synchronous_mode_strict": True,
                "postgresql": {"use_pg_rewind": True, "parameters": parameters},
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
        },
        "postgresql": {
            "listen": f"{here}:{PORT}",
            "connect_address": f"{here}:{PORT}",
            "data_dir": str(directory / "postgresql" / "data"),
            "bin_dir": str(_installed()[0].bin),
            "pgpass": str(directory / "postgresql" / "pgpass"),
            "authentication": {"superuser": user, "replication": user, "rewind": user},
            "parameters": {"unix_socket_directories": str(directory / "socket")},
            "pg_hba": [
                "local all all trust",
                "host all all 10.83.0.0/24 trust",
                "host replication all 10.83.0.0/24 trust",
            ],
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
    }


# --- asking ---------------------------------------------------------------------------------------


def ask(number: int, sql: str) -> Rows:
    """Return the rows of one statement at a machine's server. Raises psycopg.Error."""
    connected = psycopg.connect(
        host=address(number), port=PORT, user=USER, dbname="postgres", connect_timeout=CONNECT_S
    )
    with connected as connection:
        return connection.execute(sql.encode()).fetchall()


async def members(count: int) -> Sequence[Mapping[str, Any]]:
    """Return what Patroni says of each member, from the first that answers; nothing if none."""
    for number in range(1, count + 1):
        shown = await asyncio.to_thread(_request, number, "cluster")
        if shown:
            found: list[Mapping[str, Any]] = shown["members"]
            return found
    return ()


async def primary(count: int) -> int | None:
    """Return the machine whose server is primary, as far as Patroni knows."""
    for member in await members(count):
        if member["role"] == "leader" and member["state"] == "running":
            return int(member["name"].removeprefix("m"))
    return None


async def is_whole(count: int) -> bool:
    """Return whether one server leads, and all others follow it, one of them in step."""
    shown = await members(count)
    roles = [member["role"] for member in shown if member["state"] in ("running", "streaming")]
    if len({member.get("timeline") for member in shown}) != 1:
        return False
    return sorted(roles) == ["leader", *["replica"] * (count - 2), "sync_standby"]


async def switch_over(leader: int, candidate: int) -> str:
    """Ask Patroni to hand over; return what it says."""
    body = {"leader": f"m{leader}", "candidate": f"m{candidate}"}
    shown = await asyncio.to_thread(_request, leader, "switchover", body, 60.0)
    return str(shown)


def _request(
    number: int, path: str, body: Mapping[str, str] | None = None, timeout_s: float = ASK_S
) -> Any:
    """Return what Patroni answers; None if it does not."""
    url = f"http://{address(number)}:{PATRONI_PORT}/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            text = answer.read().decode()
    except (OSError, urllib.error.HTTPError) as error:
        return None if body is None else repr(error)
    return text if body is not None else json.loads(text)
