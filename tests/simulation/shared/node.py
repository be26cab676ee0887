"""One run of a node that keeps its state in a database: the product's service, driver, store and
SQL over simulated servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast
from unittest.mock import patch

import storage.postgresql.engine
from bazar.config import EngineConfig
from bazar.replication.messages import Entry, Member
from bazar.replication.part import Wiring
from bazar.replication.shared.candidate import Won
from bazar.replication.shared.primary import SharedPrimary
from bazar.replication.shared.replica import SharedReplica
from bazar.replication.states import Life
from bazar.replication.subscriber import Subscriber
from handlers.catalog.service import CatalogService
from handlers.orders.service import OrderService
from storage.postgresql.engine import PostgreSQLEngine
from tests.simulation.invariants import copies
from tests.simulation.node import NodeProcess, ReplicaProcess
from tests.simulation.shared.model import SimulatedModel, SimulatedSharedReader
from tests.simulation.shared.truth import shared
from tests.simulation.shared.world import DatabaseNode, SharedProfile


class Watched(SharedReplica):
    """The product's driver, observed by the model, which changes nothing."""

    def __init__(self, wiring: Wiring, *args: Any) -> None:
        self.process = cast(SharedProcess, wiring.on_fatal.__self__)  # type: ignore[attr-defined]
        tell = wiring.on_commit

        def on_commit(entries: Sequence[Entry]) -> None:
            process, primary = self.process, self.primary
            if primary is not None:
                process.world.guard(shared(process.truth).confirmed, primary, process.run, entries)
            tell(entries)

        super().__init__(replace(wiring, on_commit=on_commit), *args)

    def _lead(self, won: Won) -> None:
        process, world = self.process, self.process.world
        truth = shared(process.truth)
        world.say(process.name, f"leads in epoch {won.epoch} from {won.mark}")
        process.led_at = world.now
        world.takeovers += 1
        unknown = range(truth.seq + 1, won.mark.seq + 1)
        world.guard(truth.taken_over, won, process, process.entries(unknown))
        super()._lead(won)


class SharedProcess(ReplicaProcess):
    """A run of a catalog or order node."""

    node: DatabaseNode

    def __init__(self, world: Any, node: DatabaseNode) -> None:
        self.me = Member(node.name, "")
        NodeProcess.__init__(self, world, node)
        profile = cast(SharedProfile, world.profile)
        self.model = SimulatedModel(world, node.group.name, self.truth)
        self.servers = node.database.reached_by(self)
        names, first = self.servers.names, profile.asked_first
        self.servers.names = [*names[first:], *names[:first]]
        settings = EngineConfig(
            "postgresql",
            tuple(node.database.servers),
            primary_lease_s=profile.primary_lease_s,
            pause_s=profile.pause_s,
            may_lose_commits=profile.may_lose_commits,
        )
        engine: PostgreSQLEngine[Any] = PostgreSQLEngine(
            *(settings, self.servers, self.model),
            lambda snapshots: SimulatedSharedReader(self.model, world, snapshots),
        )
        kind: Any = CatalogService if node.config.role == "catalog" else OrderService
        self.service = kind(self.context(), engine=engine)

    def entries(self, numbers: range) -> list[Entry]:
        """Return entries as the primary database server has them."""
        assert self.replica is not None
        register: Any = cast(SharedReplica, self.replica)._register
        database = self.node.database
        server = database[register._link.server or database.primary]  # it may have died since
        rows = [server.versions.newest(self.model.entry(seq)) for seq in numbers]
        return [row["entry"] for row in rows if row is not None]

    @property
    def subscribers(self) -> list[Subscriber]:
        replica = self.replica
        leads = replica is not None and replica.primary is not None
        return [] if replica is None or leads else [replica.subscriber]

    def exit(self, why: str) -> None:
        NodeProcess.exit(self, why)

    def leaves_amid_a_batch(self, primary: Any) -> bool:
        """Whether it stops with a batch under way although it could have ended it."""
        return False

    async def purchase(self, item: dict[str, Any]) -> Any:
        """Sell, and answer when the order is there (S3)."""
        service, lives = cast(OrderService, self.service), self.truth.lives
        answer = await service.purchase(item, service.settings.write_deadline_s)
        if lives == self.truth.lives:
            self.world.guard(self.truth.check_order, answer["order_id"], self.name)
        return answer

    async def cancel(self, item: dict[str, Any]) -> Any:
        """Cancel, and answer when the order shows it (S6)."""
        service, lives = cast(OrderService, self.service), self.truth.lives
        answer = await service.cancel(item, service.settings.write_deadline_s)
        if lives == self.truth.lives:
            wanted = copies(answer)
            self.world.guard(self.truth.check_cancelled, answer["order_id"], wanted, self.name)
        return answer

    @property
    def leads(self) -> bool:
        primary = self.primary
        return (
            isinstance(primary, SharedPrimary)
            and primary.life is Life.LEADING
            and self.time() < primary.hold.until
        )


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Have the engine make what is observed."""
    with patch.object(storage.postgresql.engine, "SharedReplica", Watched):
        yield
