"""Who uses the shop: buyers and updaters who resend with their key, and readers.

Every answer is checked at once against the truth (I4), and kept for the history of its book.
"""

from __future__ import annotations

from math import inf
from typing import Any

from tests.simulation.history import Operation
from tests.simulation.node import question_for
from tests.simulation.shop import TOPICS, Op, row
from tests.simulation.world import REFUSED, Group, Node, Violation, World

ATTEMPT_TIMEOUT_S = 1.5


class Clients:
    """All clients of one group, and what they were told."""

    def __init__(self, world: World, group: Group, books: int) -> None:
        self.world = world
        self.group = group
        self.books = books
        self.running = True
        self.history: dict[int, list[Operation]] = {book: [] for book in range(1, books + 1)}
        self.refused: set[str] = set()  # keys of writes that surely never happened
        self.bought: dict[str, int] = {}
        self._keys = 0

    def start(self, buyers: int, updaters: int, readers: int) -> None:
        for _ in range(buyers):
            self.world.after(self._think(), None, self._buy)
        for _ in range(updaters):
            self.world.after(self._think(), None, self._update)
        for _ in range(readers):
            self.world.after(self._think(), None, self._look)

    def crowd(self, size: int) -> None:
        """Updaters who never pause: a batch waits whenever one is done."""
        for _ in range(size):
            self._hurry()

    def _hurry(self) -> None:
        if self.running:
            op = Op("update", self._key(), self._book(), topic=TOPICS[0])
            Write(self, op, self._hurry, hurried=True)

    def _think(self) -> float:
        return self.world.profile.think_s * 2.0 * self.world.random()

    def _book(self) -> int:
        return 1 + self.world.below(self.books)

    # --- writes ----------------------------------------------------------------------------------

    def _buy(self) -> None:
        if self.running:
            quantity = 1 if self.world.profile.chance(0.8) else 2
            Write(self, Op("buy", self._key(), self._book(), quantity), self._buy)

    def _update(self) -> None:
        if self.running:
            topic = TOPICS[self.world.below(2)]
            Write(self, Op("update", self._key(), self._book(), topic=topic), self._update)

    def _key(self) -> str:
        self._keys += 1
        return f"k{self._keys}"

    def again(self, next_step: Any) -> None:
        self.world.after(self._think(), None, next_step)

    # --- reads -----------------------------------------------------------------------------------

    def _look(self) -> None:
        if not self.running:
            return
        world, group = self.world, self.group
        caches = group.caches
        through_cache = caches and world.profile.chance(0.7)
        targets = caches if through_cache else group.replicas
        target = targets[world.below(len(targets))]
        book = self._book()
        question: tuple[str, Any, Any] | tuple[str, Any]
        if world.profile.chance(0.3):
            question = ("search", TOPICS[world.below(2)])
        else:
            question = question_for(book)
        Read(self, target, question, book, self._look)


class Read:
    """One read, from its start to its answer."""

    def __init__(
        self, clients: Clients, target: Node, question: tuple[Any, ...], book: int, then: Any
    ) -> None:
        self.clients = clients
        self.target = target
        self.question = question
        self.book = book
        self.then = then
        self.open = True
        world = clients.world
        self.start = world.now
        self.since = clients.group.truth.seq
        method = "get" if target in clients.group.caches else "read"
        world.call(None, target, method, (question,), self._answered)
        world.after(ATTEMPT_TIMEOUT_S, None, self._answered, REFUSED, "timeout")

    def _answered(self, status: int, value: Any) -> None:
        if not self.open:
            return
        self.open = False
        clients, question = self.clients, self.question
        world, truth = clients.world, clients.group.truth
        if status == 200:
            world.reads += 1
            who = self.target.name
            if world.trace is not None:
                world.say("client", f"<- {who}: {question[1]} is {value}")
            if question[0] == "search":
                truth.check_search(question[1], value, self.since, who)
                for book, shown in value:
                    self._note(book, shown)
            else:
                truth.check_row(question[1], value, self.since, who)
                self._note(self.book, value)
        clients.again(self.then)

    def _note(self, book: int, shown: Any) -> None:
        operation = Operation("read", None, self.start, self.clients.world.now, tuple(shown))
        self.clients.history[book].append(operation)


class Write:
    """One purchase or update: sent again, with its key, until its fate is known."""

    def __init__(
        self, clients: Clients, op: Op, then: Any, *, patient: bool = False, hurried: bool = False
    ) -> None:
        self.clients = clients
        self.op = op
        self.then = then
        self.hurried = hurried
        self.done = False
        self.unsure = False  # some attempt may have happened
        self.attempt = 0
        self.settled = 0  # attempts that are over
        world = clients.world
        self.start = world.now
        self.patient = patient
        self.tries = 1000 if patient else 1 + world.below(world.profile.most_tries)
        self._send()

    def _send(self) -> None:
        if self.done:
            return
        world = self.clients.world
        self.attempt += 1
        attempt = self.attempt
        replicas = self.clients.group.replicas
        target = replicas[world.below(len(replicas))]
        if world.trace is not None:
            world.say("client", f"-> {target.name}: {self.op.kind} {self.op.key}")
        world.call(
            None,
            target,
            "write",
            (self.op, 0),
            lambda status, value: self._answered(attempt, status, value),
        )
        # Who is patient asks again soon: it is the service that is measured, not a lost request.
        timeout_s = ATTEMPT_TIMEOUT_S * (0.3 if self.patient else 0.3 + world.random())
        world.after(timeout_s, None, self._missed, attempt)

    def _missed(self, attempt: int) -> None:
        if self.done or attempt <= self.settled:
            return
        self.settled = attempt
        self.unsure = True  # 504: it may still happen
        self._next()

    def _next(self) -> None:
        if self.attempt >= self.tries:
            self._give_up()
        else:
            self.clients.world.after(0.05 + 0.1 * self.clients.world.random(), None, self._send)

    def _answered(self, attempt: int, status: int, value: Any) -> None:
        if self.done:
            return
        if status == REFUSED:
            if attempt > self.settled:
                self.settled = attempt
                self._next()
            return
        self.done = True
        clients, op = self.clients, self.op
        world = clients.world
        if world.trace is not None:
            world.say("client", f"<- {op.kind} {op.key}: {status} {value}")
        if status == 200 and f"{'sale' if op.kind == 'buy' else 'update'}:{op.key}" not in (
            clients.group.truth.state
        ):
            raise Violation(f"I3: {op.key} was acknowledged and never committed")
        if status == 200 or not self.unsure:
            self._note(world.now, value if op.kind == "buy" else "done")
        if status == 200 and op.kind == "buy":
            clients.bought[op.key] = op.book
        self.then_go_on()

    def _give_up(self) -> None:
        self.done = True
        if self.unsure:
            self._note(inf, None)
        else:
            self.clients.refused.add(self.op.key)  # R5: 503 each time, so it never happens
        self.then_go_on()

    def then_go_on(self) -> None:
        if self.hurried:
            self.then()
        elif self.then is not None:
            self.clients.again(self.then)

    def _note(self, end: float, result: Any) -> None:
        op = self.op
        argument = op.quantity if op.kind == "buy" else (op.key, op.topic)
        operation = Operation(op.kind, argument, self.start, end, result, op.key)
        self.clients.history[op.book].append(operation)


def final_row(group: Group, book: int) -> tuple[Any, ...]:
    return tuple(group.truth.state[row(book)])
