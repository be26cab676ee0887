"""The driver of one front end's cache: the production `CacheSubscriber`, `Cache` and `Shelf`."""

from __future__ import annotations

from typing import Any

from bazar.cache import Cache, Flight, Shelf
from bazar.replication.effects import Drop, Effect, Reset
from bazar.replication.subscriber import CacheSubscriber
from tests.simulation.shop import SEARCHES, tag
from tests.simulation.subscribing import SubscribingProcess
from tests.simulation.world import REFUSED, Node, Reply, Violation, World

FETCH_TRIES = 3


class FrontEnd(SubscribingProcess):
    """One run of a front end."""

    subscriber: CacheSubscriber

    def __init__(self, world: World, node: Node) -> None:
        super().__init__(world, node)
        self.subscriber = CacheSubscriber(node.name, self.run, self.timing)
        self.cache = Cache(self.subscriber, self.now)
        self.shelf = Shelf("local", world.profile.shelf_entries, world.profile.ttl_s)
        self.waiting: dict[Flight, list[Reply]] = {}
        self.terminating = False
        self._replica = world.below(3)
        world.after(0.1 * world.random(), self, self.tick)
        self.find_primary()

    def tick(self) -> None:
        tick_s = self.world.profile.tick_s
        self.world.after(tick_s * (1.0 + self.world.random()), self, self.tick)
        self.tick_subscriber()

    def follows(self) -> bool:
        return not self.terminating

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case Drop(keys):
                self.cache.drop(keys)
            case Reset():
                self.cache.reset()
            case _:
                raise Violation(f"{effect!r} is not for a cache")

    def terminate(self) -> None:
        if not self.terminating:
            self.say("SIGTERM")
            self.terminating = True
            self.perform(self.subscriber.release())
            self.world.after(self.world.profile.linger_s, self, self.die, "stopped")

    # --- reads -----------------------------------------------------------------------------------

    def get(self, question: tuple[Any, ...], reply: Reply) -> None:
        """C1-C3, C5: `question` is what a replica is asked."""
        now = self.now()
        key = f"{question[0]}:{question[1]}"
        tags = None if question[0] == "search" else frozenset({question[2]})
        found = self.cache.find(self.shelf, key, now)
        if found is not None:
            reply(200, found)
            return
        self._replica += 1
        flight = self.cache.board(self.shelf, key, tags, now)
        if flight is None:
            self._fetch(question, self._replica, FETCH_TRIES, reply)
        elif flight in self.waiting:
            self.waiting[flight].append(reply)
        else:
            self.waiting[flight] = [reply]
            self._fetch(
                question,
                self._replica,
                FETCH_TRIES,
                lambda status, value: self._fetched(flight, question, status, value),
            )

    def _fetch(self, question: tuple[Any, ...], turn: int, tries: int, reply: Reply) -> None:
        """Ask the replicas in turn until one answers."""
        if tries == 0:
            reply(REFUSED, "no replica answers")
            return
        answered = False

        def on_answer(status: int, value: Any) -> None:
            nonlocal answered
            if answered:
                return
            answered = True
            if status == 200:
                reply(status, value)
            else:
                self._fetch(question, turn, tries - 1, reply)

        replicas = self.node.group.replicas
        replica = replicas[(turn + tries) % len(replicas)]
        self.world.call(self, replica, "read", (question,), on_answer)
        self.world.after(self.world.profile.fetch_timeout_s, self, on_answer, REFUSED, "timeout")

    def _fetched(self, flight: Flight, question: tuple[Any, ...], status: int, value: Any) -> None:
        # Between the answer's arrival and its landing the process may be stopped.
        delay_s = self.world.profile.lag()
        self.world.after(delay_s, self, self._land, flight, question, status, value)

    def _land(self, flight: Flight, question: tuple[Any, ...], status: int, value: Any) -> None:
        if status != 200 or value is None:
            self.cache.abandon(flight)
        elif question[0] == "search":
            shown = frozenset({SEARCHES, *(tag(book) for book, _ in value)})
            self.cache.land(flight, value, shown, self.now())
        else:
            self.cache.land(flight, value, frozenset({question[2]}), self.now())
        for reply in self.waiting.pop(flight):
            reply(status, value)
