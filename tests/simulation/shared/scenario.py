"""One seed's run of a shop over a database."""

from __future__ import annotations

from collections.abc import Container, Mapping

from bazar.replication.shared.hold import Tempo
from storage.postgresql.engine import id_of_cluster
from storage.postgresql.link import RUN_S
from tests.simulation.invariants import Truth, items
from tests.simulation.node import FrontEndProcess, NodeProcess
from tests.simulation.requests import Read, Write
from tests.simulation.scenario import RESUME_S, Scenario
from tests.simulation.shared.losses import LossyFaults
from tests.simulation.shared.model import SimulatedModel, answer_plainly
from tests.simulation.shared.node import SharedProcess
from tests.simulation.shared.truth import SharedTruth, shared
from tests.simulation.shared.world import FAILOVERS, OFTEN, DatabaseNode, SharedGroup, SharedWorld
from tests.simulation.shop import TOPICS
from tests.simulation.shopworld import Group, Node
from tests.simulation.trace import Trace
from tests.world.database import Database
from tests.world.database.server import Server
from tests.world.database.versions import Commit
from tests.world.world import Violation

KEEPALIVE_S = 3.0
FAULTY_S = 12.0
HEARD_S = 3.0  # in which a new primary is found by its subscribers
DEAF_S = 20.0
CALM_STATEMENT_S = 0.02


class SharedScenario(Scenario):
    """The shop of one seed. Its clients and checks are those of any shop."""

    world: SharedWorld
    faulty_s = FAULTY_S
    begin_s, ask_s = 8.0, KEEPALIVE_S  # a server that is gone is noticed by then

    def make_world(
        self,
        seed: int,
        trace: Trace | None,
        focus: str,
        core: bool,
        silent: Mapping[str, Container[int]] | None,
    ) -> SharedWorld:
        self.databases: list[Database] = []
        return SharedWorld(seed, trace, focus, core=core, silent=silent)

    def make_truth(self, books: int, stock: int, sales: Truth | None = None) -> Truth:
        return SharedTruth(books, stock, sales)

    def _group(self, name: str, size: int, truth: Truth) -> Group:
        world = self.world
        group = truth.group = SharedGroup(world, name, truth)
        if not self.databases or world.profile.databases > 1:
            self.databases.append(self._database(len(self.databases)))
        group.database = self.databases[-1]
        model = SimulatedModel(world, name, truth)
        model.create(group.database, id_of_cluster("token"))
        group.schema = model.schema
        self._watch(group.database, shared(truth))
        for number in range(1, size + 1):
            node = DatabaseNode(world, f"{name}-{number}", name, number, None)
            node.database, node.group = group.database, group
            group.replicas.append(node)
        world.groups.append(group)
        return group

    def _watch(self, database: Database, truth: SharedTruth) -> None:
        others = database.seen

        def seen(server: Server, commit: Commit) -> None:
            others(server, commit)
            self.world.guard(truth.shown, server, commit.changes)

        database.seen = seen

    def _database(self, number: int) -> Database:
        profile = self.world.profile
        names = [f"db{number}-{index}" for index in range(1, profile.servers + 1)]
        synchronous = [] if profile.may_lose_commits else names[1:2]
        database = Database(self.world, names, synchronous, f"database {number}")
        pace = database.pace
        pace.statement_s, pace.flush_s = profile.query_s, profile.flush_s
        pace.apply_s, pace.keepalive_s, pace.torn = profile.apply_s, KEEPALIVE_S, profile.torn
        pace.message, pace.between = profile.delay, profile.between
        answer_plainly(database, synchronous)
        return database

    def _start(self, node: Node) -> None:
        self.world.say(node.name, "starts")
        process: NodeProcess
        if isinstance(node, DatabaseNode):
            process = SharedProcess(self.world, node)
        else:
            process = FrontEndProcess(self.world, node)
        self.processes.append(process)

    def make_faults(self) -> LossyFaults:
        return LossyFaults(self.world, self.clients, self.databases)

    def _must_resume(self) -> float:
        """Check I6: writes resume, and each group has a primary, once its database is there and the
        last hold is over."""
        world, profile = self.world, self.world.profile
        tempo = Tempo(profile.primary_lease_s, profile.pause_s)
        update = {"op": "update", "key": "resumed", "book": 1, "fields": {"topic": TOPICS[0]}}
        write = Write(self.clients, update, None, patient=True)
        deadline = world.now + 2 * tempo.over_s + 4 * KEEPALIVE_S + RESUME_S
        while not write.settled or any(group.holder is None for group in world.groups):
            if world.now >= deadline:
                raise Violation("I6: writes have not resumed")
            world.run(min(world.now + 0.1, deadline))
        if profile.deaf and self.catalog.caches and len(self.catalog.replicas) > 1:
            self._must_hand_over()
        # A server that has died unheard is given up only when it has not answered for so long.
        unheard_s = 0.0 if profile.faults.keys().isdisjoint(FAILOVERS) else RUN_S
        return max(world.now, profile.calm_since + unheard_s) + 2 * tempo.over_s

    def _must_hand_over(self) -> None:
        """Check P7: a primary that reaches the database, and nobody else, does not stay."""
        world, catalog = self.world, self.catalog
        world.run(world.now + HEARD_S)
        holder = catalog.holder
        if holder is None:
            return
        world.say(holder.name, "reaches nobody but the database")
        holder.node.host.isolated = True
        for stream in list(holder.streams):
            stream.vanish((0.0, 0.0))
        deadline = world.now + DEAF_S
        while catalog.holder in (holder, None):
            if world.now >= deadline:
                raise Violation(f"P7: {holder.name} stays, whom nobody hears")
            world.run(world.now + 0.1)
        holder.node.host.isolated = False

    def _all_must_answer(self) -> None:
        """Check I6, once whoever asks has met the connections that hang."""
        for node in self.catalog.nodes:
            for item in items(self.world.profile.books):
                Read(self.clients, node, item, None, patient=True)
        self.world.run(self.world.now + KEEPALIVE_S)
        super()._all_must_answer()

    def _must_sell_at_once(self) -> None:
        for database in self.databases:
            database.pace.statement_s = min(database.pace.statement_s, CALM_STATEMENT_S)
            database.pace.between = min(database.pace.between, OFTEN)
        super()._must_sell_at_once()

    def _replicas_must_be_whole(self) -> None:
        """Check I6: every node follows, or leads."""
        for group in self.world.groups:
            for node in group.replicas:
                process = node.process
                if not isinstance(process, SharedProcess) or process.replica is None:
                    raise Violation(f"I6: {node.name} does not get open")
                if process.leads:
                    continue
                subscriber = process.replica.subscriber
                if not subscriber.lease_valid(process.time()):
                    raise Violation(f"I6: {node.name} has no lease")
                if subscriber.touched(None):
                    raise Violation(f"I6: {node.name} still waits for a commit")
