"""The simulation's nodes, telling what they do. What they do is the production code's doing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from typing import Any

from bazar.cache import Cache, Flight, Shelf, Tags
from bazar.config import NodeConfig, PoolConfig
from bazar.errors import BazarError, Unavailable
from bazar.pool import Health, ReplicaPool
from bazar.replication.effects import Apply, Install, Persist
from bazar.replication.messages import Entry
from bazar.replication.primary import Phase
from tests.simulation.frontend import FrontEnd
from tests.simulation.node import Replica
from tests.simulation.world import Node, Process, Reply, World

PATIENCE_S = 0.03  # an acknowledgement that takes longer is worth a word


class ShownReplica(Replica):
    """Says what reaches its disk, and whom its primary waits for."""

    _prepared: tuple[int, float] = (0, 0.0)
    _missed: tuple[int, str] = (0, "")

    def tick(self) -> None:
        super().tick()
        primary = self.primary
        if primary is None or primary.phase is not Phase.PREPARED:
            return
        if primary.tail.seq != self._prepared[0]:
            self._prepared = primary.tail.seq, self.now()
        elif self.now() > self._prepared[1] + PATIENCE_S:
            acked = {f.hello.run for f in primary.feeds.values() if f.acked == primary.tail}
            for run, until in primary.leases.items():
                missed = primary.tail.seq, run
                if run not in acked and until > self.now() and missed != self._missed:
                    self._missed = missed
                    name = run.partition("#")[0]
                    self.say(f"{name} is silent: waits for the end of its lease (R3)")

    def _make_durable(self, job: Persist | Apply | Install) -> None:
        super()._make_durable(job)
        match job:
            case Persist(_, entries) if entries:
                self.say(f"entry {entries[-1].seq} is on disk")
            case Apply(mark):
                verb = "applies" if self.primary is None else "commits"
                self.say(f"{verb} entry {mark.seq}")

    def _check_commit(self, entries: tuple[Entry, ...]) -> None:
        """The audience judges."""


class ShownCache(Cache):
    """Says what becomes of each answer."""

    say: Callable[[str], None]

    def find(self, shelf: Shelf, key: str, now: float) -> Any | None:
        found = super().find(shelf, key, now)
        if found is not None:
            self.say("answers from its cache")
        return found

    def board(self, shelf: Shelf, key: str, tags: Tags | None, now: float) -> Flight | None:
        flight = super().board(shelf, key, tags, now)
        if flight is None and not self.guard.lease_valid(now):
            self.say("has no lease: must ask (C3)")
        elif flight is None:
            self.say("an entry is pending: must ask (C3)")
        else:
            self.say("not cached: asks")
        return flight

    def land(self, flight: Flight, value: Any, tags: Tags, now: float) -> bool:
        detached = flight.detached
        stored = super().land(flight, value, tags, now)
        if stored:
            self.say("caches the answer")
        elif detached:
            self.say("caches nothing: the fetch was detached (C2)")
        return stored

    def drop(self, keys: Iterable[str]) -> int:
        before = set(self._flights)
        dropped = super().drop(keys)
        if dropped:
            self.say("drops " + ("a cached answer" if dropped == 1 else f"{dropped} answers"))
        elif before - set(self._flights):
            self.say("detaches a fetch under way")
        return dropped

    def reset(self) -> None:
        if self._shown_by:
            self.say("empties its cache (C4)")
        super().reset()


class ShownFrontEnd(FrontEnd):
    """Asks the replicas through the production pool, and says when its lease is over."""

    def __init__(self, world: World, node: Node) -> None:
        super().__init__(world, node)
        self.cache = ShownCache(self.subscriber, self.now)
        self.cache.say = self.say
        replicas = node.group.replicas
        nodes = [NodeConfig(one.name, "catalog", number=n) for n, one in enumerate(replicas, 1)]
        self.settings = PoolConfig()
        self.pool = ShownPool(nodes, self.settings, self.now)
        self.pool.say = self.say
        self._had_lease = False

    def tick(self) -> None:
        has_lease = self.subscriber.lease_valid(self.now())
        if self._had_lease and not has_lease:
            self.say("its lease is over, its cache shut (C1)")
        self._had_lease = has_lease
        super().tick()

    def _fetch(self, question: tuple[Any, ...], turn: int, tries: int, reply: Reply) -> None:
        replicas = {replica.name: replica for replica in self.node.group.replicas}

        async def attempt(node: NodeConfig) -> Any:
            status, value = await Call(self, replicas[node.name], question)
            if status != 200:
                raise Unavailable(f"{node.name}: {value}")
            return value

        advance(self.pool.call(attempt, self.settings.read_deadline_s), None, reply)


class ShownPool(ReplicaPool):
    """Says whom it sets aside, and whom it uses again."""

    say: Callable[[str], None]

    def _failed(self, health: Health, error: Exception) -> None:
        super()._failed(health, error)
        aside_ms = 1000 * (health.aside_until - self._clock())
        self.say(f"sets {health.node.name} aside for {aside_ms:.0f} ms")

    def _answered(self, health: Health) -> None:
        if not health.healthy:
            self.say(f"uses {health.node.name} again")
        super()._answered(health)


class Call(Awaitable[tuple[int, Any]]):
    """A simulated request, awaited as the pool awaits a real one."""

    def __init__(self, caller: Process, server: Node, question: tuple[Any, ...]) -> None:
        self.caller, self.server, self.question = caller, server, question

    def __await__(self) -> Generator[Call, tuple[int, Any], tuple[int, Any]]:
        return (yield self)


def advance(work: Coroutine[Any, Any, Any], answer: tuple[int, Any] | None, reply: Reply) -> None:
    """Run a coroutine until it waits for its next `Call`, and on from its answer. It may await
    nothing else: simulated time has no event loop."""
    try:
        call: Call = work.send(answer)
    except StopIteration as done:
        reply(200, done.value)
    except BazarError as error:
        reply(error.status, str(error))
    else:
        world, args = call.caller.world, (call.question,)
        then: Reply = lambda status, value: advance(work, (status, value), reply)  # noqa: E731
        world.call(call.caller, call.server, "read", args, then)
