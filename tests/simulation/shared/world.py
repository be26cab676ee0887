"""The world of a shop over databases, and what its seeds draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bazar.replication.shared.hold import Tempo
from tests.simulation.profile import Profile
from tests.simulation.shared.focuses import FOCUSES
from tests.simulation.shopworld import Group, Node, ShopWorld
from tests.world.database import Database, Row
from tests.world.tape import Tape

if TYPE_CHECKING:
    from tests.simulation.shared.node import SharedProcess

FAULTS = {
    "crash": 3.0,
    "crash_twice": 1.0,
    "pause": 3.0,
    "stand_still": 1.0,
    "lose": 2.0,
    "stall": 2.0,
    "isolate": 1.5,
    "terminate": 1.5,
    "slow_process": 1.0,
    "cut_off": 3.0,
    "late_replies": 2.0,
    "fade": 1.0,
    "tear": 1.0,
    "restart_server": 1.0,
    "freeze_server": 1.0,
    "fail_over": 1.5,
    "depose": 1.0,
    "lag": 1.0,
    "cancel_waits": 0.5,
    "end_sessions": 0.5,
}
LOSSES = ("lose_commits", "lose_last", "put_back")
FAILOVERS = ("fail_over", "depose", "waver", "strand", *LOSSES)
FOCUSED = 0.3
OFTEN = 0.1  # that others run between two statements of a pipeline


class SharedProfile(Profile):
    """The constants of one seed."""

    def __init__(self, tapes: dict[str, Tape], focus: str, *, core: bool) -> None:
        super().__init__(tapes, "over a database", core=core)
        draw = tapes["databases"]
        choice = draw.choice
        self.faults = {
            name: weight for name, weight in FAULTS.items() if draw.random() < 0.55
        } or dict(FAULTS)
        self.hangs = self.silent = self.busy = False
        self.damages = False
        self.wall_rate = 1.0  # these runs are longer: a key could become older than a day
        self.leases_s = choice(((1.0,), (1.0,), (0.5, 1.0)))
        self.servers = choice((2, 3, 1))
        self.pause_s = choice((0.3, 0.0))
        tempo = Tempo(0.0, self.pause_s)
        self.primary_lease_s = tempo.shortest_s(max(self.leases_s)) * choice((1.1, 1.5))
        self.query_s = choice((0.001, 0.005, 0.02))
        self.apply_s = choice((0.004, 0.05, 0.5))
        self.flush_s = choice((0.004, 0.02))
        self.between = OFTEN
        self.asked_first = 0
        """The place of the server that is asked first; 0 is that of the first primary."""
        self.may_lose_commits = False
        self.torn = choice((0.0, 0.02))
        self.deaf = draw.chance(0.2)
        self.databases = choice((1, 2)) if self.orders else 1
        """Whether catalog and orders have one database or two."""
        self.focus = focus or (choice(tuple(FOCUSES)) if draw.chance(FOCUSED) else "")
        for name, values in FOCUSES.get(self.focus, {}).items():
            if not hasattr(self, name):
                raise LookupError(f"focus {self.focus}: a profile has no {name!r}")
            setattr(self, name, choice(values))
        self.forgets = not self.faults.keys().isdisjoint(LOSSES)
        """Whether a database may lose what it has confirmed."""
        if core:
            self.caches = self.orders = 0


class SharedGroup(Group):
    """A group whose nodes have one database."""

    database: Database
    schema: str

    def newest(self, table: str) -> Row:
        """Return the one row of a table, as the server has it that was made the primary last."""
        row = self.database[self.database.primary].versions.newest((f"{self.schema}.{table}", True))
        assert row is not None
        return row

    @property
    def holder(self) -> SharedProcess | None:
        """Return the process that holds the primaryship."""
        for node in self.replicas:
            process = cast("SharedProcess | None", node.process)
            if process is not None and process.leads:
                return process
        return None


class DatabaseNode(Node):
    """A node that keeps nothing."""

    database: Database


class SharedWorld(ShopWorld):
    """One shop, its network and its database servers."""

    profile: SharedProfile

    def draw(self, tapes: dict[str, Tape], focus: str, core: bool) -> Profile:
        return SharedProfile({**tapes, "databases": self.tape("databases")}, focus, core=core)
