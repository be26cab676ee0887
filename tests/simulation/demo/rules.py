"""The rules that the scenarios switch off: those of the simulation's mutations, and some more that
the simulation does not test."""

from __future__ import annotations

from bazar.cache import Cache
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.primary import Primary
from bazar.rpc.pool import ReplicaPool
from handlers.base import Handler
from storage.catalog import Catalog
from storage.working_set import WorkingSet
from tests.simulation.mutations import ALL, Mutation
from tests.simulation.mutations.mutation import mutation


def known(name: str) -> Mutation:
    """Return a mutation that the simulation has to find, too."""
    [found] = [one for one in ALL if one.name == name]
    return found


SEARCHES_FORGOTTEN = mutation(
    "a cached search is not known by the books it shows",
    "C5",
    (Cache, "complete", "for tag in tags:", "for tag in flight.tags or ():"),
    (Cache, "removed", "in item.tags:", "in self._shown_by.keys() & item.tags:"),
)
CACHES_UNAWAITED = mutation(
    "a cache is told, and not waited for",
    "R3",
    (
        Primary,
        "_try_commit",
        "run not in heard",
        "run not in heard and not any(f.is_cache and f.hello.run == run for f in joined)",
    ),
)
MAJORITY = mutation(
    "a write counts once more than half of the replicas have it",
    "R3",
    (
        Primary,
        "_try_commit",
        "if any(",
        "if 2 * (1 + len(acked)) <= len(self.membership.members) and any(",
    ),
)
NO_ARBITER = mutation(
    "whoever likes is primary",
    "T1",
    (
        FileArbiter,
        "try_acquire",
        "fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
    ),
    (FileArbiter, "_exchange", "if self._known != found:", "if False:"),
)
EACH_BY_ITSELF = mutation(
    "an operation does not see those before it",
    "R1",
    (WorkingSet, "write_book", 'self.books[book["id"]] = book', "pass"),
)
KEYS_FORGOTTEN = mutation(
    "a sale does not keep its key",
    "S1",
    (Catalog, "_sell", '"key": operation["key"],', '"key": self._new_order_id(),'),
)
NOBODY_ELSE = mutation(
    "who failed stays in the cycle, and nobody else is asked",
    "pool",
    (ReplicaPool, "call", "self._failed(health, error)", "raise"),
)
OPEN_DOOR = mutation(
    "no path wants the token",
    "door",
    (Handler, "prepare", "if self.access == INTERNAL:", "if False:"),
)
