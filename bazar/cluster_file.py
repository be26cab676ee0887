"""`cluster.json`, read strictly: unknown keys and bad relations are refused, with the place."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from bazar import addresses
from bazar.config import (
    CacheConfig,
    Config,
    Door,
    EngineConfig,
    HTTPSConfig,
    NodeConfig,
    PoolConfig,
    PurchaseConfig,
    RateLimitConfig,
    ReplicationConfig,
    SupervisorConfig,
    TLSFiles,
    default_caches,
)
from bazar.errors import ConfigError
from bazar.tls import Credentials

NODE_SETTINGS = {
    *("role", "port", "host", "bind", "processes", "metrics_port", "metrics_bind", "https"),
}
NODE_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")

T = TypeVar("T")

SHIPPED = Path(__file__).resolve().parent / "cluster.json"


def default_config() -> Path:
    """Return the file to read if none is named: this checkout's. Where Bazar is installed, that of
    the current directory, or else the one that comes with it."""
    for directory in (SHIPPED.parents[1], Path.cwd()):
        if (directory / SHIPPED.name).exists():
            return directory / SHIPPED.name
    return SHIPPED


def load(path: Path, roles: Collection[str]) -> Config:
    """Read `path`. Relative paths in it are relative to its directory, or to the current one if it
    came with Bazar. Raises ConfigError that names the file and the place in it."""
    try:
        # Some editors begin a file with a byte order mark.
        plain = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_no_duplicates)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from error
    try:
        base = Path.cwd() if path == SHIPPED else path.resolve().parent
        return parse(plain, base, roles, path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(plain: Any, base: Path, roles: Collection[str], path: Path | None = None) -> Config:
    """Return a Config from the JSON object; `data_dir` is relative to `base`. Raises
    ConfigError."""
    known = {
        *("data_dir", "nodes", "caches", "replication", "engine", "pool", "supervisor"),
        *("purchase", "rate_limit", "public_url", "hosts", "trusted_proxies", "tls", "insecure"),
    }
    top = _object(plain, "the file", known)
    data_dir = top.get("data_dir", "data")
    if not isinstance(data_dir, str) or not _is_path(data_dir):
        raise ConfigError("data_dir: must be a path")
    caches = {**default_caches()}
    for name, value in _object(top.get("caches", {}), "caches", caches).items():
        caches[name] = _load(CacheConfig, value, f"caches.{name}")
    replication = _load(ReplicationConfig, top.get("replication", {}), "replication")
    if replication.ack_timeout_s >= replication.lease_s:
        raise ConfigError("replication.ack_timeout_s: must be below lease_s")
    pool = _load(PoolConfig, top.get("pool", {}), "pool")
    for low, high in (
        ("read_attempt_s", "read_deadline_s"),
        ("write_attempt_s", "write_deadline_s"),
        ("backoff_s", "backoff_max_s"),
    ):
        if getattr(pool, low) > getattr(pool, high):
            raise ConfigError(f"pool.{low}: must not be above {high}")
    supervisor = _load(SupervisorConfig, top.get("supervisor", {}), "supervisor")
    insecure = top.get("insecure", False)
    if not isinstance(insecure, bool):
        raise ConfigError(f"insecure: {insecure!r} is not true or false")
    if insecure and "tls" in top:
        raise ConfigError("insecure: stands beside tls, which secures all there is")
    tls = _credentials(top["tls"], base) if "tls" in top else None
    return Config(
        base / data_dir,
        _nodes(top.get("nodes"), roles, tls, base),
        caches,
        replication,
        _engine(top.get("engine", {}), roles),
        pool,
        supervisor,
        _load(PurchaseConfig, top.get("purchase", {}), "purchase"),
        _load(RateLimitConfig, top.get("rate_limit", {}), "rate_limit"),
        addresses.origin(top.get("public_url", "")),
        tuple(_read_each(top.get("hosts", []), "hosts", addresses.host)),
        tuple(_read_each(top.get("trusted_proxies", []), "trusted_proxies", addresses.network)),
        insecure,
        path,
    )


def _engine(plain: Any, roles: Collection[str]) -> EngineConfig:
    """Return where the state is kept. Raises ConfigError."""
    fields = {one.name for one in dataclasses.fields(EngineConfig)}
    given = dict(_object(plain, "engine", fields))
    servers = tuple(_read_each(given.pop("servers", []), "engine.servers", addresses.server))
    dsn = given.pop("dsn", {})
    if isinstance(dsn, str):
        dsn = dict.fromkeys(roles, dsn)
    for role, text in _object(dsn, "engine.dsn", roles).items():
        if not isinstance(text, str):
            raise ConfigError(f"engine.dsn.{role}: {text!r} is not a text")
    engine = _load(EngineConfig, given, "engine")
    if engine.kind not in ("sqlite", "postgresql"):
        raise ConfigError(f"engine.kind: {engine.kind!r} is neither sqlite nor postgresql")
    if engine.kind == "sqlite" and (servers or dsn or given.keys() - {"kind"}):
        raise ConfigError("engine: there is nothing to say of sqlite but its kind")
    if engine.kind == "postgresql" and not servers:
        raise ConfigError('engine.servers: is missing: ["127.0.0.1:5432"], say')
    return dataclasses.replace(engine, servers=servers, dsn=dsn)


def _credentials(plain: Any, base: Path) -> Credentials:
    files = _load(TLSFiles, plain, "tls")
    for name, path in dataclasses.asdict(files).items():
        if not _is_path(path):
            raise ConfigError(f"tls.{name}: must be a path")
    return Credentials(base / files.ca, base / files.cert, base / files.key)


def _https(plain: Any, node: NodeConfig, place: str, base: Path) -> Door:
    """Return a front end's door for customers. Raises ConfigError."""
    if node.role != "frontend":
        raise ConfigError(f"{place}: only a front end has customers")
    read = _load(HTTPSConfig, plain, place)
    bind = read.bind or node.bind
    addresses.refuse_unreachable(bind, f"{place}.bind")
    for name, path in (("cert", read.cert), ("key", read.key)):
        if not _is_path(path):
            raise ConfigError(f"{place}.{name}: must be a path")
    return Door(read.port, bind, base / read.cert, base / read.key, place)


def _is_path(text: str) -> bool:
    """Whether a file can have this name."""
    try:
        return b"\0" not in os.fsencode(text) and text != ""
    except UnicodeEncodeError:
        return False


def _read_each(plain: Any, place: str, read: Callable[[str], T]) -> Iterator[T]:
    """Read each text of a list. Raises ConfigError."""
    if not isinstance(plain, list):
        raise ConfigError(f"{place}: must be a list")
    for number, text in enumerate(plain):
        if not isinstance(text, str):
            raise ConfigError(f"{place}[{number}]: {text!r} is not a text")
        try:
            yield read(text)
        except ValueError as error:
            raise ConfigError(f"{place}[{number}]: {text!r}: {error}") from None


def _nodes(
    plain: Any, roles: Collection[str], tls: Credentials | None, base: Path
) -> dict[str, NodeConfig]:
    nodes: dict[str, NodeConfig] = {}
    numbers: dict[str, int] = {}
    taken: dict[tuple[str, int], str] = {}
    for name, value in _object(plain, "nodes").items():
        place = f"nodes.{name}"
        if not NODE_NAME.fullmatch(name):
            raise ConfigError(f"{place}: a name is lower-case letters, digits and '-'")
        if name in roles:
            raise ConfigError(f"{place}: a node can't have the name of a role")
        given = _object(value, place, NODE_SETTINGS)
        https = given.get("https")
        plain_node = {key: one for key, one in given.items() if key != "https"}
        node = _load(NodeConfig, {**plain_node, "name": name}, place)
        if node.role not in roles:
            raise ConfigError(f"{place}.role: {node.role!r} is none of {', '.join(roles)}")
        if node.processes > 1 and node.role != "frontend":
            raise ConfigError(f"{place}.processes: only a front end may have several")
        number = numbers[node.role] = numbers.get(node.role, 0) + 1
        node = dataclasses.replace(node, bind=node.bind or node.host, number=number, tls=tls)
        addresses.refuse_unreachable(node.host, f"{place}.host")
        addresses.refuse_unreachable(node.bind, f"{place}.bind")
        addresses.refuse_unreachable(node.metrics_bind, f"{place}.metrics_bind")
        if https is not None:
            node = dataclasses.replace(node, https=_https(https, node, f"{place}.https", base))
        door = 0 if node.https is None else node.https.port
        ports = {"port": node.port, "metrics_port": node.metrics_port, "https.port": door}
        for setting, port in ports.items():
            if (node.host, port) in taken:
                other = taken[node.host, port]
                raise ConfigError(f"{place}.{setting}: {port} is {other}'s already")
            if port:
                taken[node.host, port] = name
        nodes[name] = node
    if not nodes:
        raise ConfigError("nodes: at least one is needed")
    return nodes


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise ValueError(f"a key is given twice among {', '.join(key for key, _ in pairs)}")
    return plain


def _object(value: Any, place: str, known: Collection[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: must be an object")
    for key in value:
        if known is not None and key not in known:
            raise ConfigError(f"{place}.{key}: unknown; known are {', '.join(sorted(known))}")
    return value


def _load(kind: type[T], value: Any, place: str) -> T:
    """Return a `kind` from a JSON object, each field of its type and within its bounds. Raises
    ConfigError."""
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    types = get_type_hints(kind)
    plain = _object(value, place, fields)
    values: dict[str, Any] = {}
    for name, one in fields.items():
        if name not in plain:
            no_default = dataclasses.MISSING is one.default is one.default_factory
            if no_default or (one.metadata and one.default < one.metadata["low"]):
                raise ConfigError(f"{place}.{name}: is missing")
            continue
        given = plain[name]
        wanted = (int, float) if types[name] is float else (types[name],)
        if not isinstance(given, wanted) or (isinstance(given, bool) and bool not in wanted):
            raise ConfigError(f"{place}.{name}: {given!r} is not {_named(types[name])}")
        if one.metadata and not one.metadata["low"] <= given <= one.metadata["high"]:
            low, high = one.metadata["low"], one.metadata["high"]
            raise ConfigError(f"{place}.{name}: {given} is not between {low} and {high}")
        values[name] = given
    return kind(**values)


def _named(kind: type) -> str:
    return {int: "an integer", float: "a number", str: "a text", bool: "true or false"}[kind]
