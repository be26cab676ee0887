"""What the objects of a node have counted, as figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bazar.http.traffic import CALLS, CUSTOMERS, NODES, Traffic
from bazar.latency_histogram import LatencyHistogram
from bazar.metrics.figures import Figures
from bazar.rpc.client import RPCClient
from bazar.rpc.pool import ReplicaPool

Status = Mapping[str, Any]

CACHE_COUNTERS = {
    "hits": "hits",
    "misses": "misses",
    "passes": "bypasses",
    "evictions": "evictions",
    "invalidations": "invalidations",
}


def tell_traffic(figures: Figures, traffic: Traffic) -> None:
    """Tell of all requests, and of the calls of other nodes."""
    spent: dict[tuple[str, str], LatencyHistogram] = {}
    for whose in (CUSTOMERS, NODES):
        for route, method, status, histogram in traffic.of(whose):
            labels = {"route": route, "method": method}
            figures.counter("bazar_http_requests", histogram.total, **labels, status=str(status))
            _add(spent, (route, method), histogram)
    for (route, method), histogram in spent.items():
        name = "bazar_http_request_duration_seconds"
        figures.histogram(name, histogram, route=route, method=method)
    spent.clear()
    for path, _, status, histogram in traffic.of(CALLS):
        figures.counter("bazar_calls", histogram.total, path=path, status=str(status))
        _add(spent, (path, ""), histogram)
    for (path, _), histogram in spent.items():
        figures.histogram("bazar_call_duration_seconds", histogram, path=path)


def _add(
    spent: dict[tuple[str, str], LatencyHistogram],
    key: tuple[str, str],
    histogram: LatencyHistogram,
) -> None:
    """Add what has one status to what has any."""
    whole = spent.setdefault(key, LatencyHistogram())
    whole.merge(histogram.counts, histogram.sum_ms)


def tell_client(figures: Figures, client: RPCClient) -> None:
    """Tell of the calls that were sent to other nodes."""
    for (peer, path), batcher in client.batchers.items():
        figures.counter("bazar_rpc_calls", batcher.calls, peer=peer, path=path)
        figures.counter("bazar_rpc_items", batcher.items, peer=peer, path=path)


def tell_pool(figures: Figures, group: str, pool: ReplicaPool) -> None:
    for health in pool.replicas:
        name = "bazar_pool_replica_healthy"
        figures.gauge(name, health.healthy, group=group, replica=health.node.name)


def tell_caches(figures: Figures, status: Status) -> None:
    """Tell how the caches of a front end stand, as its status has it."""
    for name, store in status["caches"].items():
        figures.gauge("bazar_cache_entries", store["entries"], store=name)
        figures.gauge("bazar_cache_max_entries", store["of"], store=name)
    for group, source in status["sources"].items():
        for counter, name in CACHE_COUNTERS.items():
            figures.counter(f"bazar_cache_{name}", source[counter], group=group)
        _tell_standing(figures, group, source)
        figures.gauge("bazar_lease_seconds", source["lease_s"], group=group)


def tell_replica(figures: Figures, status: Status, nodes: int) -> None:
    """Tell how a replica stands, as its status has it, in a group of so many nodes."""
    group = status["group"]
    leads = "members" in status
    _tell_standing(figures, group, status)
    figures.gauge("bazar_primary", leads, group=group)
    figures.gauge("bazar_group_nodes", nodes, group=group)
    figures.gauge("bazar_pending_entries", status["pending"], group=group)
    figures.gauge("bazar_write_queue_operations", status.get("queue", 0), group=group)
    if not leads:
        figures.gauge("bazar_lease_seconds", status["lease_s"], group=group)
        return
    figures.gauge("bazar_in_sync_members", len(status["members"]), group=group)
    _tell_feeds(figures, group, status["feeds"])


def _tell_standing(figures: Figures, group: str, standing: Mapping[str, Any]) -> None:
    figures.gauge("bazar_knows_primary", standing["primary"] is not None, group=group)
    figures.gauge("bazar_epoch", standing["epoch"], group=group)
    figures.gauge("bazar_committed_seq", standing["committed"], group=group)


def _tell_feeds(figures: Figures, group: str, feeds: Iterable[Mapping[str, Any]]) -> None:
    """Tell how a primary's subscribers stand. One that comes again is there twice for a moment:
    the newer counts."""
    for name, feed in {feed["node"]: feed for feed in feeds}.items():
        labels = {"group": group, "subscriber": name}
        figures.gauge("bazar_feed_joined", feed["joined"], **labels)
        figures.gauge("bazar_feed_lag_entries", feed["lag"], **labels)
        figures.gauge("bazar_feed_lease_seconds", feed["lease_s"], **labels)


def tell_disk(figures: Figures, group: str, spent: Mapping[str, LatencyHistogram]) -> None:
    """Tell how long writing took, by what was written."""
    for operation, histogram in spent.items():
        labels = {"group": group, "operation": operation}
        figures.histogram("bazar_disk_duration_seconds", histogram, **labels)
