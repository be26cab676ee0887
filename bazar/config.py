"""`cluster.json` as frozen dataclasses. Unknown keys and bad relations are refused, with the place.

Every field but `nodes` has a default, with its bounds beside it. Durations are in seconds.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from bazar import addresses
from bazar.errors import ConfigError
from bazar.http.forwarded import Arrivals, Hosts, Network, Proxies
from bazar.tls import Credentials

NODE_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")

T = TypeVar("T")

SHIPPED = Path(__file__).resolve().parent / "cluster.json"


def bounded(default: Any, low: float, high: float) -> Any:
    """Return a field with this default, whose values must be between `low` and `high`."""
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node: its role, where its peers reach it (`host`), where it listens (`bind`), and what it
    is served or called with (`tls`; None: in the clear)."""

    name: str
    role: str
    port: int = bounded(0, 1, 65535)
    host: str = "127.0.0.1"
    bind: str = ""
    processes: int = bounded(1, 1, 64)  # of a front end: all listen on the same port
    number: int = 0  # 1-based place among the nodes of its role, in the order of the file
    tls: Credentials | None = field(default=None, repr=False, compare=False)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        return addresses.is_loopback(self.host) and addresses.is_loopback(self.bind)


@dataclass(frozen=True, slots=True)
class CacheConfig:
    entries: int = bounded(100, 1, 10_000_000)
    ttl_s: float = bounded(20.0, 0.001, 86_400)


@dataclass(frozen=True, slots=True)
class ReplicationConfig:
    lease_s: float = bounded(1.0, 0.05, 60)
    ack_timeout_s: float = bounded(0.3, 0.01, 60)
    batch_rows: int = bounded(256, 1, 10_000)  # that the operations of one commit touch
    queue_ops: int = bounded(4096, 1, 100_000)  # that wait for a commit
    log_entries: int = bounded(100_000, 100, 10_000_000)  # kept for replicas that return


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Where the groups keep their state: in SQLite files of the data directory, or in a database of
    PostgreSQL that nodes on several machines reach. `servers` are those of one database, `dsn` is
    how to reach the database of each role."""

    kind: str = "sqlite"
    servers: tuple[str, ...] = ()
    dsn: Mapping[str, str] = field(default_factory=dict)
    primary_lease_s: float = bounded(3.0, 0.05, 60)
    pause_s: float = bounded(1.0, 0, 60)  # for which a machine may stand still unnoticed
    may_lose_commits: bool = False
    cluster_id: str = ""  # by which databases know this shop; empty: made of its token


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """How calls to a replicated service are retried."""

    read_attempt_s: float = bounded(1.0, 0.01, 60)
    read_deadline_s: float = bounded(4.0, 0.01, 120)
    write_attempt_s: float = bounded(2.0, 0.01, 60)
    write_deadline_s: float = bounded(8.0, 0.01, 120)
    backoff_s: float = bounded(0.1, 0.001, 60)  # a failing replica is passed over, at first
    backoff_max_s: float = bounded(2.0, 0.001, 60)  # and at most


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    hang_s: float = bounded(3.0, 0.1, 600)  # a node that does not answer for so long is killed


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Files in PEM, relative to cluster.json. Each machine has its own behind these names."""

    ca: str  # whose certificates all machines of the shop trust
    cert: str  # of this machine, with what is between it and the CA
    key: str


@dataclass(frozen=True, slots=True)
class PurchaseConfig:
    require_key: bool = False  # refuse a purchase without an Idempotency-Key


def _default_caches() -> Mapping[str, CacheConfig]:
    return {
        "local": CacheConfig(10, 300.0),
        "default": CacheConfig(100, 20.0),
        "pages": CacheConfig(500, 300.0),
    }


@dataclass(frozen=True, slots=True)
class Config:
    """The whole cluster."""

    data_dir: Path
    nodes: Mapping[str, NodeConfig]
    caches: Mapping[str, CacheConfig] = field(default_factory=_default_caches)
    replication: ReplicationConfig = field(default_factory=ReplicationConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    purchase: PurchaseConfig = field(default_factory=PurchaseConfig)
    public_url: str = ""
    """The origin under which browsers reach the front ends; empty: where those listen."""
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    insecure: bool = False
    """Whether nodes may be reached from other machines without encryption."""
    path: Path | None = None

    def group(self, role: str) -> tuple[NodeConfig, ...]:
        """Return the nodes of one role, in the order of the file."""
        return tuple(node for node in self.nodes.values() if node.role == role)

    def arrivals(self, node: NodeConfig) -> Arrivals:
        """Return which requests `node` takes: for its own names, from the trusted proxies."""
        names = [node.host, node.bind, *self.hosts]
        if self.public_url:
            names.append(addresses.host_of(self.public_url))
        everywhere = node.bind in ("0.0.0.0", "::")
        return Arrivals(Hosts(names, any_address=everywhere), Proxies(self.trusted_proxies))

    def find(
        self, role: str, port: int | None, among: Collection[NodeConfig] | None = None
    ) -> NodeConfig:
        """Return the node of this role on this port, or the role's first; `among` are those to look
        at. On several machines nodes may have the same port: of these, one that is here. Raises
        ConfigError."""
        found = [
            node
            for node in (self.nodes.values() if among is None else among)
            if node.role == role and port in (None, node.port)
        ]
        if found:
            return min(found, key=lambda node: len(found) > 1 and not addresses.is_own(node.host))
        known = ", ".join(f"{node.role} {node.port} ({name})" for name, node in self.nodes.items())
        asked = role if port is None else f"{role} {port}"
        raise ConfigError(f"no node for role {asked} in {self.path}; known: {known}")


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
        *("purchase", "public_url", "hosts", "trusted_proxies", "tls", "insecure"),
    }
    top = _object(plain, "the file", known)
    data_dir = top.get("data_dir", "data")
    if not isinstance(data_dir, str) or not _is_path(data_dir):
        raise ConfigError("data_dir: must be a path")
    caches = {**_default_caches()}
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
        _nodes(top.get("nodes"), roles, tls),
        caches,
        replication,
        _engine(top.get("engine", {}), roles),
        pool,
        supervisor,
        _load(PurchaseConfig, top.get("purchase", {}), "purchase"),
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


def _nodes(plain: Any, roles: Collection[str], tls: Credentials | None) -> dict[str, NodeConfig]:
    nodes: dict[str, NodeConfig] = {}
    numbers: dict[str, int] = {}
    taken: dict[tuple[str, int], str] = {}
    for name, value in _object(plain, "nodes").items():
        place = f"nodes.{name}"
        if not NODE_NAME.fullmatch(name):
            raise ConfigError(f"{place}: a name is lower-case letters, digits and '-'")
        if name in roles:
            raise ConfigError(f"{place}: a node can't have the name of a role")
        known = _object(value, place, {"role", "port", "host", "bind", "processes"})
        node = _load(NodeConfig, {**known, "name": name}, place)
        if node.role not in roles:
            raise ConfigError(f"{place}.role: {node.role!r} is none of {', '.join(roles)}")
        if node.processes > 1 and node.role != "frontend":
            raise ConfigError(f"{place}.processes: only a front end may have several")
        number = numbers[node.role] = numbers.get(node.role, 0) + 1
        node = dataclasses.replace(node, bind=node.bind or node.host, number=number, tls=tls)
        addresses.refuse_unreachable(node.host, f"{place}.host")
        addresses.refuse_unreachable(node.bind, f"{place}.bind")
        other = taken.setdefault((node.host, node.port), name)
        if other != name:
            raise ConfigError(f"{place}.port: {node.port} is {other}'s already")
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
