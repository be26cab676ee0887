"""What one seed draws about its world: how slow, how lossy, how large it is, and which faults it
has.

Each seed turns on only some of the faults ("swarm testing", Groce et al., 2012): a world with every
fault at once is often too broken to reach the interesting states. Of several values the first is
the least remarkable.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from bazar.replication.timing import Timing
from tests.simulation.focus import FOCUSES
from tests.world.tape import Tape

if TYPE_CHECKING:
    from tests.simulation.shopworld import Node

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
    "slow_process": 1.0,
    "damage": 1.0,
    "wipe": 0.7,
    "outage": 0.4,
    "steal": 0.4,
    "forget": 0.4,
}
FOCUSED = 0.3  # of the seeds


class Profile:
    """The constants of one seed, and its delays. A `core` world has only replicas of one group."""

    write_attempt_s = 0.8

    def __init__(self, tapes: dict[str, Tape], focus: str = "", *, core: bool = False) -> None:
        draw = tapes["profile"]
        choice = draw.choice
        self._network, self._disk, self._clients = (
            tapes["network"],
            tapes["disk"],
            tapes["clients"],
        )
        self.draw = draw
        self.calm = False
        self.calm_since = inf
        self.faults = {
            name: weight for name, weight in FAULTS.items() if draw.random() < 0.55
        } or dict(FAULTS)
        self.fault_every_s = choice((0.8, 0.4, 0.2))
        self.catalogs = choice((2, 2, 2, 3, 3, 1))
        self.caches = choice((1, 1, 1, 2))
        self.orders = choice((2, 0, 2, 0, 2))
        self.hangs = draw.chance(0.1)
        self.hangs_leading = 0.35
        self.hangs_reading = False  # and not before another asks for its log
        self.silent = draw.chance(0.1)
        self.late_start = draw.chance(0.2)
        self.supervised = draw.chance(0.3)
        self.books = choice((1, 2, 3))
        self.stock = choice((30, 6, 2))
        self.log_entries = choice((1000, 1000, 2, 0))
        self.logs_differ = draw.chance(0.2)
        self.page_entries = choice((100, 3, 1))
        self.batch_rows = choice((8, 3, 1))
        self.chunk_rows = choice((50, 5, 2))
        self.sales = choice((100, 4, 1))
        self.window = choice((65_536, 65_536, 2_000))
        self.splits = choice((0.0, 0.05))
        self.loss = choice((0.0, 0.0, 0.02))
        self.late_s = choice((0.1, 1.0, 3.0))
        self.spikes = choice((0.0, 0.01, 0.05))
        self.spike_s = choice((0.1, 0.6, 1.5))
        self.network_s = choice((0.004, 0.02, 0.05))
        self.disk_s = choice((0.004, 0.02, 0.08))
        self.think_s = choice((0.15, 0.05, 0.02, 0.6))
        self.leases_s: tuple[float, ...] = (0.5, 1.0, 1.6) if draw.chance(0.35) else (1.0,)
        self.step_s = choice((0.0002, 0.0002, 0.002, 0.01))
        self.syscalls = choice((0.0, 0.0005, 0.002))
        self.linger_s = choice((0.02, 0.3))
        self.down_s: tuple[float, ...] = (0.05, 0.3, 1.5)
        self.read_s = choice((0.002, 0.002, 0.1))
        self.most_tries = 6
        self.stalls_s: tuple[float, ...] = (0.5, 2.0)
        self.waits = 0.3  # attempts a client waits for an answer, at the least
        self.lost_transactions: tuple[int, ...] = (1, 2, 3)
        self.scattered = 0.1
        self.aims: dict[str, tuple[str, float]] = {}
        self.attempt_s = choice((1.5, 0.4))
        self.busy = draw.chance(0.1)
        self.encore = draw.chance(0.5)
        self.shelf_entries = choice((10, 3, 1))
        self.ttl_s = choice((5.0, 0.2))
        self.repeats = 0.1
        self.restocks = 0.0
        self.cancels = 0.0
        self.retires = 0.0  # of all updates
        self.undos = 0.0  # of these
        self.undo_s = 1.0
        self.walls_apart_s = 0.0  # by which the time of day of a node may be wrong, either way
        self.wall_tick_s = 0.0  # for which the time of day stands still
        self.samples = 0
        self.hear_s = 0.0  # from the read of rows to the step that has them
        self.eager = False
        self.readers = 3
        self.all_items = False
        self.finds = False  # in every order, what is in stock; and prices change
        self.moves = False
        self.long_keys = draw.chance(0.3)
        self.wall_rate = choice((1.0, 1.0, 5_000.0))
        """Wall-clock seconds per second of the world, so that a limit of a day is met, too."""

        self.focus = focus or (choice(tuple(FOCUSES)) if draw.chance(FOCUSED) else "")
        self.busy = self.busy and not self.focus
        for name, values in FOCUSES.get(self.focus, {}).items():
            if not hasattr(self, name):
                raise LookupError(f"focus {self.focus}: a profile has no {name!r}")
            setattr(self, name, choice(values))
        if not self.focus and draw.chance(0.2):
            self.faults = {**self.faults, "put_back": 1.0, "rewind": 0.5}
        self.damages = not self.faults.keys().isdisjoint(("damage", "power_cut", "rewind"))
        if self.hangs:
            self.wall_rate = 1.0  # waiting for the disk, a key could become older than a day
        if core:
            self.caches = self.orders = 0
        if self.busy:
            # A replica can't catch up with a log that is compacted faster than a snapshot travels.
            self.log_entries, self.chunk_rows, self.batch_rows = 1000, 50, 8
            self.window = 65_536
            self.logs_differ = False

    def timing_of(self, name: str) -> Timing:
        return Timing(lease_s=self.draw.choice(self.leases_s), ack_timeout_s=0.3)

    def log_kept(self) -> int:
        """Return how many committed entries a node's log keeps."""
        return self.draw.choice((1000, 0)) if self.logs_differ else self.log_entries

    def clock_rate(self) -> float:
        # Two clocks differ by less than 1 % (L1).
        return 1.0 + self.draw.choice((-0.0049, 0.0049))

    def delay(self) -> float:
        """Return how long one message travels."""
        random = self._network.random
        delay_s = 0.0005 + self.network_s * random() ** 3
        if self.spikes and not self.calm and random() >= 1.0 - self.spikes:
            delay_s += self.spike_s * random()
        return delay_s

    def report_delay(self) -> float:
        """Return the time from the end of an fsync to the step that learns of it: readers may see
        it before."""
        return 0.003 * self._disk.random()

    def disk_delay(self, slow: bool) -> float:
        delay_s = 0.001 + self.disk_s * self._disk.random() ** 3
        if slow and not self.calm:
            delay_s += self._disk.random() * 0.8
        return delay_s

    def read_delay(self) -> float:
        """Return the time from the permission to read until the rows are read."""
        return (0.002 if self.calm else self.read_s) * self._disk.random()

    def page_size(self) -> int:
        """Return how many entries one page of the log has; with too few a follower never catches
        up."""
        return max(self.page_entries, 200) if self.calm else self.page_entries

    def chunk_size(self) -> int:
        """Return how many rows one chunk of a snapshot has."""
        return max(self.chunk_rows, 50) if self.calm else self.chunk_rows

    def loses(self, node: Node) -> bool:
        """Return whether one request or answer between a client and a node is lost."""
        lost = self.loss > 0 and self._clients.chance(self.loss)
        return not self.calm and (node.host.isolated or lost)
