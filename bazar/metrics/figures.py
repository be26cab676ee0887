"""The figures of one process, in the form that Prometheus has for them: families of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bazar.latency_histogram import LatencyHistogram

Sample = tuple[str, Mapping[str, str], float]
"""A name, labels, and the value."""

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

HELP = {
    "bazar_build_info": "Always 1; says which version runs, and in which role.",
    "bazar_processes": "How many processes of this node have answered this scrape.",
    "bazar_processes_configured": "How many there are to be.",
    "bazar_http_requests": "Requests that were answered.",
    "bazar_http_request_duration_seconds": "How long this node took for a request.",
    "bazar_calls": "Calls of other nodes that were answered.",
    "bazar_call_duration_seconds": "How long this node took for a call.",
    "bazar_rpc_calls": "Calls that were sent to another node.",
    "bazar_rpc_items": "What these calls have asked for: so many for each call travel together.",
    "bazar_pool_replica_healthy": "Whether calls go to this replica as usual.",
    "bazar_cache_hits": "Reads that were answered from the cache.",
    "bazar_cache_misses": "Reads that had to ask a replica, and may be stored.",
    "bazar_cache_bypasses": "Reads that passed by the cache: no lease, or a write under way.",
    "bazar_cache_evictions": "Answers that made room for others.",
    "bazar_cache_invalidations": "Answers that were dropped because of a write.",
    "bazar_cache_entries": "Answers that are kept.",
    "bazar_cache_max_entries": "Answers that may be kept.",
    "bazar_purchases": "Purchases that this front end has passed on, and that were made.",
    "bazar_lease_seconds": "For how long reads may still be answered without being told anew.",
    "bazar_epoch": "The primaryship that this node knows of.",
    "bazar_committed_seq": "The last entry of the log that is committed here.",
    "bazar_pending_entries": "Entries that are not committed yet.",
    "bazar_primary": "Whether this node leads the group.",
    "bazar_knows_primary": "Whether this node leads, or follows one that does.",
    "bazar_in_sync_members": "Replicas that have all that is acknowledged, as the primary says.",
    "bazar_group_nodes": "Replicas that the group is to have.",
    "bazar_feed_joined": "Whether this subscriber of the primary is told of every entry.",
    "bazar_feed_lag_entries": "How many entries it is behind the primary.",
    "bazar_feed_lease_seconds": "Until when it may answer reads, as the primary knows.",
    "bazar_write_queue_operations": "Writes that wait for the next batch.",
    "bazar_batches": "Batches that were taken from the queue.",
    "bazar_batch_operations": "Writes in these batches.",
    "bazar_disk_duration_seconds": "How long log and state took to be written, fsync included.",
    "bazar_foreign_history": "Whether no sale becomes an order, as the catalog was put back.",
}

_SHOWN = frozenset(
    round(step * 10.0**decade, 4) for decade in range(-2, 5) for step in (1.0, 2.0, 5.0)
)


@dataclass(slots=True)
class Family:
    """The samples of one name."""

    kind: str
    help: str
    samples: list[Sample] = field(default_factory=list)


class Figures:
    """What is told of one process, whose own `labels` each sample has."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self.families: dict[str, Family] = {}

    def counter(self, name: str, value: float, **labels: str) -> None:
        """Tell of something that only grows; `name` is without `_total`."""
        self.add(name, COUNTER, HELP[name], [(f"{name}_total", labels, value)])

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.add(name, GAUGE, HELP[name], [(name, labels, value)])

    def histogram(self, name: str, histogram: LatencyHistogram, **labels: str) -> None:
        """Tell how long something took, in seconds: of the buckets those that end at 1, 2 or 5."""
        samples: list[Sample] = []
        seen = 0
        for bound_ms, count in zip(histogram.bounds_ms, histogram.counts, strict=False):
            seen += count
            if bound_ms in _SHOWN:
                ends = {**labels, "le": f"{bound_ms / 1000:g}"}
                samples.append((f"{name}_bucket", ends, seen))
        samples += [
            (f"{name}_bucket", {**labels, "le": "+Inf"}, histogram.total),
            (f"{name}_sum", labels, histogram.sum_ms / 1000),
            (f"{name}_count", labels, histogram.total),
        ]
        self.add(name, HISTOGRAM, HELP[name], samples)

    def add(self, name: str, kind: str, text: str, samples: Iterable[Sample]) -> None:
        """Add samples to a family, under the labels of this process."""
        family = self.families.setdefault(name, Family(kind, text))
        family.samples += [
            (sample, {**self._labels, **labels}, value) for sample, labels, value in samples
        ]

    # --- between the processes of a node ---------------------------------------------------------

    def plain(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            name: [family.kind, family.help, family.samples]
            for name, family in self.families.items()
        }

    def merge(self, plain: Mapping[str, Sequence[Any]]) -> None:
        """Take over what another process tells, as it is."""
        for name, (kind, text, samples) in plain.items():
            self.families.setdefault(name, Family(kind, text)).samples += map(tuple, samples)
