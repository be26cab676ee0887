"""What a cluster is: the settings of `cluster.json` as frozen dataclasses.

Every field but `nodes` has a default, with its bounds beside it. Durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bazar import addresses
from bazar.certificate import Certificate
from bazar.errors import ConfigError
from bazar.http.forwarded import Arrivals, Hosts, Network, Proxies
from bazar.tls import Credentials

MAX_UNDO_S = 86_400


def bounded(default: Any, low: float, high: float) -> Any:
    """Return a field with this default, whose values must be between `low` and `high`."""
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class HTTPSConfig:
    """Files in PEM, relative to cluster.json, and where a front end shows them to customers."""

    cert: str  # with what is between it and a CA that browsers know
    key: str
    port: int = bounded(443, 1, 65535)
    bind: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """Another port of a front end, for customers: with a certificate of its own."""

    port: int
    bind: str
    cert: Path
    key: Path
    place: str

    def certificate(self) -> Certificate:
        """Read the files: who opens the door does, and nobody else needs them. Raises
        ConfigError."""
        return Certificate(self.cert, self.key, self.place)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node: its role, where its peers reach it (`host`), where it listens (`bind`), what it is
    served or called with (`tls`; None: in the clear), where its figures are for everybody, and
    another port of a front end (`https`)."""

    name: str
    role: str
    port: int = bounded(0, 1, 65535)
    host: str = "127.0.0.1"
    bind: str = ""
    processes: int = bounded(1, 1, 64)  # of a front end: all listen on the same port
    metrics_port: int = bounded(0, 0, 65535)  # 0: its figures are on its own port, for the token
    metrics_bind: str = "127.0.0.1"
    number: int = 0  # 1-based place among the nodes of its role, in the order of the file
    tls: Credentials | None = field(default=None, repr=False, compare=False)
    https: Door | None = None

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
class RateLimitConfig:
    """How often one client may ask a front end; 0 a second: as often as it likes."""

    requests_per_s: float = bounded(0.0, 0, 1e6)
    requests_burst: int = bounded(50, 1, 1_000_000)
    purchases_per_s: float = bounded(0.0, 0, 1e6)
    purchases_burst: int = bounded(5, 1, 1_000_000)


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Files in PEM, relative to cluster.json. Each machine has its own behind these names."""

    ca: str  # whose certificates all machines of the shop trust
    cert: str  # of this machine, with what is between it and the CA
    key: str


@dataclass(frozen=True, slots=True)
class PurchaseConfig:
    require_key: bool = False  # refuse a purchase without an Idempotency-Key
    undo_s: float = bounded(600.0, 0, MAX_UNDO_S)  # for which buyers can undo theirs, by the pages


def default_caches() -> Mapping[str, CacheConfig]:
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
    caches: Mapping[str, CacheConfig] = field(default_factory=default_caches)
    replication: ReplicationConfig = field(default_factory=ReplicationConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    purchase: PurchaseConfig = field(default_factory=PurchaseConfig)
    rate_limit: RateLimitConfig = field(default_factory=RateLimitConfig)
    public_url: str = ""
    """The origin under which browsers reach the front ends; empty: where those listen."""
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    insecure: bool = False
    """Whether nodes may be reached from other machines without encryption."""
    path: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether nobody on another machine reaches a node."""
        return all(node.is_local for node in self.nodes.values())

    def group(self, role: str) -> tuple[NodeConfig, ...]:
        """Return the nodes of one role, in the order of the file."""
        return tuple(node for node in self.nodes.values() if node.role == role)

    def arrivals(self, node: NodeConfig) -> Arrivals:
        """Return which requests `node` takes: for its own names, from the trusted proxies."""
        binds = [node.bind, *([node.https.bind] if node.https else [])]
        names = [node.host, *binds, *self.hosts]
        if self.public_url:
            names.append(addresses.host_of(self.public_url))
        everywhere = not {"0.0.0.0", "::"}.isdisjoint(binds)
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
