"""What one seed draws about its world: how slow, how lossy, how many, which faults.

Each seed turns on some of the faults only ("swarm testing", Groce et al., 2012): a world with every
fault at once is often too broken to reach the interesting states.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from bazar.replication.timing import Timing
from tests.simulation.focus import FOCUSES

if TYPE_CHECKING:
    from tests.simulation.world import Node

FAULTS = {
    "crash": 3.0,
    "crash_twice": 0.7,
    "pause": 3.0,
    "lose": 2.0,
    "stall": 2.0,
    "isolate": 1.0,
    "terminate": 1.5,
    "slow_disk": 1.5,
    "full_disk": 0.7,
    "damage": 1.0,
    "wipe": 0.7,
}


FOCUSED = 0.3  # of the seeds


class Profile:
    """The constants of one seed, and its delays."""

    def __init__(self, rng: Random, focus: str = "") -> None:
        self.rng = rng
        self.random = rng.random
        self.calm = False
        self.faults = {
            name: weight for name, weight in FAULTS.items() if rng.random() < 0.55
        } or dict(FAULTS)
        self.fault_every_s = rng.choice((0.2, 0.4, 0.8))
        self.catalogs = rng.choice((2, 2, 2, 3, 3, 1))
        self.caches = rng.choice((0, 1, 1, 2))
        self.orders = rng.choice((0, 0, 0, 2))
        self.hangs = rng.random() < 0.1
        self.late_start = rng.random() < 0.2
        self.books = rng.choice((1, 2, 3))
        self.stock = rng.choice((2, 6, 30))
        self.log_entries = rng.choice((0, 2, 1000, 1000))
        self.logs_differ = rng.random() < 0.2
        self.page_entries = rng.choice((1, 3, 100))
        self.batch_size = rng.choice((1, 3, 8))
        self.chunk_rows = rng.choice((2, 5, 50))
        self.encodes = rng.random() < 0.05
        self.loss = rng.choice((0.0, 0.0, 0.02))
        self.late_s = rng.choice((0.1, 1.0, 3.0))
        self.spikes = rng.choice((0.0, 0.01, 0.05))
        self.spike_s = rng.choice((0.1, 0.6, 1.5))
        self.network_s = rng.choice((0.004, 0.02, 0.05))
        self.disk_s = rng.choice((0.004, 0.02, 0.08))
        self.think_s = rng.choice((0.02, 0.05, 0.15, 0.6))
        self.leases_s: tuple[float, ...] = (0.5, 1.0, 1.6) if rng.random() < 0.35 else (1.0,)
        self.tick_s = rng.choice((0.03, 0.1, 0.1))
        self.linger_s = rng.choice((0.02, 0.3))
        self.down_s: tuple[float, ...] = (0.05, 0.3, 1.5)
        self.read_s = rng.choice((0.002, 0.002, 0.1))
        self.most_tries = 6
        self.lost_transactions: tuple[int, ...] = (1, 2, 3)
        self.scattered = 0.1
        self.aims: dict[str, tuple[str, float]] = {}
        self.fetch_timeout_s = rng.choice((0.4, 1.5))
        self.busy = rng.random() < 0.1
        self.encore = rng.random() < 0.5
        self.lags = rng.random() < 0.3
        self.shelf_entries = rng.choice((1, 3, 10))
        self.ttl_s = rng.choice((0.2, 5.0))

        self.focus = focus or (rng.choice(tuple(FOCUSES)) if rng.random() < FOCUSED else "")
        self.busy = self.busy and not self.focus
        for name, values in FOCUSES.get(self.focus, {}).items():
            setattr(self, name, rng.choice(values))
        if self.busy:
            # Nobody catches up with a log that is compacted faster than a snapshot travels.
            self.log_entries, self.chunk_rows, self.batch_size = 1000, 50, 8
            self.logs_differ = False

    def timing_of(self, name: str) -> Timing:
        return Timing(lease_s=self.rng.choice(self.leases_s), ack_timeout_s=0.3)

    def log_kept(self) -> int:
        """How many committed entries a node's log keeps."""
        return self.rng.choice((0, 1000)) if self.logs_differ else self.log_entries

    def clock_rate(self) -> float:
        # Two clocks differ by less than 1 % (L1).
        return 1.0 + self.rng.choice((-0.0049, 0.0049))

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def delay(self) -> float:
        """How long one message travels."""
        delay_s = 0.0005 + self.network_s * self.random() ** 3
        if self.spikes and not self.calm and self.random() < self.spikes:
            delay_s += self.spike_s * self.random()
        return delay_s

    def report_delay(self) -> float:
        """From the end of an fsync to the step that hears of it: readers may see it before."""
        return 0.003 * self.random()

    def disk_delay(self, slow: bool) -> float:
        delay_s = 0.001 + self.disk_s * self.random() ** 3
        if slow and not self.calm:
            delay_s += self.random() * 0.8
        return delay_s

    def read_delay(self) -> float:
        """From the leave to read until the rows are read."""
        return (0.002 if self.calm else self.read_s) * self.random()

    def lag(self) -> float:
        """Between an answer's arrival and the step that stores it."""
        if self.lags and not self.calm and self.random() < 0.25:
            return 2.0 * self.random()
        return 0.003 * self.random()

    def page_size(self) -> int:
        """Entries in one page of the log; too few, and a follower never catches up."""
        return max(self.page_entries, 200) if self.calm else self.page_entries

    def chunk_size(self) -> int:
        """Rows in one chunk of a snapshot."""
        return max(self.chunk_rows, 50) if self.calm else self.chunk_rows

    def loses(self, node: Node) -> bool:
        """Whether one request or answer between a client and a node is lost."""
        return not self.calm and (node.isolated or (self.loss > 0 and self.random() < self.loss))
