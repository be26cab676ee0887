"""What a client asks: a read, whose answer is checked at once, and a write, which is sent again
with its key until its outcome is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from bazar.errors import (
    BazarError,
    Conflict,
    ForeignHistory,
    Indeterminate,
    KeyReused,
    NotBuyer,
    NotFound,
    OutOfStock,
    PriceChanged,
    Retired,
    TooLate,
    Unavailable,
)
from tests.simulation import undoing
from tests.simulation.history import FIELDS, RETIRED, Book, Operation
from tests.simulation.invariants import Item, copies
from tests.simulation.shopworld import Node

if TYPE_CHECKING:
    from tests.simulation.clients import Clients

ATTEMPT_S = 1.5
COST = 100
ORDERS = ("order", "orders")  # what is read of them, one or several


class Read:
    """One read, from its start to its answer."""

    def __init__(
        self,
        clients: Clients,
        target: Node,
        item: Item,
        then: Callable[[], None] | None,
        *,
        must: bool = False,
        patient: bool = False,
    ) -> None:
        self.clients = clients
        self.target = target
        self.item = item
        self.then = then
        self.must = must  # the item exists: an answer that it does not is wrong
        self.open = True
        self.answer: Any = None
        world = clients.world
        orders = clients.orders if item["op"] in ORDERS else None
        self.truth = (orders or clients.catalog).truth
        self.start, self.since = world.now, self.truth.seq
        self.truth.watch(item)
        self.life = self.truth.lives
        self.lost = self.truth.unsettled or not getattr(target.process, "is_at_home", True)
        world.ask(target, "read", (item,), self._answered)
        if not patient:
            world.after(ATTEMPT_S, None, self._answered, Unavailable("no answer in time"))

    def _answered(self, found: Any) -> None:
        if not self.open:
            return
        self.open, self.answer = False, found
        world = self.clients.world
        if isinstance(found, NotFound):
            self._check(None)
        elif not isinstance(found, BazarError):
            world.reads += 1
            self._check(found)
        if self.then is not None:
            self.clients.again(self.then)

    def _check(self, found: Any) -> None:
        world, truth, who = self.clients.world, self.truth, self.target.name
        world.say("client", f"<- {who}: {dict(self.item)} is {found}")
        if self.lost or self.life != truth.lives:
            # A cache may still show what was before the files were put back, or of another cluster.
            return
        if found is None and self.must:
            world.violate(f"S3: {who} does not find {dict(self.item)}, which was acknowledged")
        world.guard(truth.check_answer, self.item, found, self.since, who)
        if found is not None and self.item["op"] not in ("topics", *ORDERS):
            self._note(found)

    def _note(self, shown: Any) -> None:
        for book in shown if isinstance(shown, list) else [shown]:
            if book["id"] in self.clients.history:
                row = Book(book["title"], book["topic"], book["count"], book.get("retired", False))
                operation = Operation("read", None, self.start, self.clients.world.now, row)
                self.clients.history[book["id"]].append(operation)


class Write:
    """One purchase or update: sent again, with its key, until its outcome is known."""

    def __init__(
        self,
        clients: Clients,
        operation: dict[str, Any],
        then: Callable[[], None] | None,
        *,
        before: Write | None = None,
        patient: bool = False,
        hurried: bool = False,
    ) -> None:
        self.clients = clients
        self.operation = operation
        self.key: str = operation["key"]
        self.then = then
        self.before = before  # the write that used this key before, and was answered
        self.hurried = hurried
        self.answer: Any = None
        self.settled = False
        self.unsure = False  # whether some attempt may have happened
        self.unheard = False  # whether some attempt may still happen
        self.attempt = 0
        self.over = 0  # attempts that are over
        world = clients.world
        self.start, self.end = world.now, inf
        self.patient = patient
        self.tries = 1000 if patient else 1 + clients.tape.below(world.profile.most_tries)
        clients.open[self] = None
        self.cancelled: dict[int, int] = {}  # of a purchase that was answered, as it is known
        if before is not None and before.sells and isinstance(before.answer, dict):
            self.cancelled = dict(clients.cancelled.get(before.answer["order_id"], {}))
        if self.cancels and before is None:
            clients.cancellations.append(self)
        self.life = clients.catalog.truth.lives
        self.orders_life = clients.orders.truth.lives if clients.orders is not None else 0
        order = ("orders", operation.get("order_id"))
        # Where the orders' files were put back it takes a while until all are there again.
        self.is_known = clients.orders is None or order in clients.orders.truth.state
        self._send()

    @property
    def sells(self) -> bool:
        return bool(self.operation["op"] == "sell")

    @property
    def cancels(self) -> bool:
        return bool(self.operation["op"] == "cancel")

    def _target(self) -> tuple[Node, str]:
        """Return the node to ask: about orders a front end or one of theirs, if there are any."""
        clients = self.clients
        tape, catalog, orders = clients.tape, clients.catalog, clients.orders
        if not (self.sells or self.cancels) or orders is None:
            return catalog.replicas[tape.below(len(catalog.replicas))], "write"
        nodes = catalog.caches if catalog.caches and tape.chance(0.5) else orders.replicas
        return nodes[tape.below(len(nodes))], "purchase" if self.sells else "cancel"

    def _send(self) -> None:
        if self.settled:
            return
        clients, world = self.clients, self.clients.world
        self.attempt += 1
        attempt, (target, method) = self.attempt, self._target()
        world.say("client", f"-> {target.name}: {method} {self.operation}")
        asked = self.operation
        if method != "write":
            asked = {name: value for name, value in asked.items() if name != "op"}
        world.ask(target, method, (asked,), lambda found: self._heard(attempt, found, target.name))
        # Patient clients ask again soon, so that the service is measured, and not a lost request.
        waits = 0.3 if self.patient else world.profile.waits + clients.tape.random()
        timeout_s = ATTEMPT_S * waits
        world.after(timeout_s, None, self._missed, attempt)

    def _missed(self, attempt: int) -> None:
        if not self.settled and attempt > self.over:
            self.over = attempt
            self.unsure = self.unheard = True
            self._next()

    def _next(self) -> None:
        if self.attempt >= self.tries:
            self._give_up()
        else:
            pause_s = 0.05 + 0.1 * self.clients.tape.random()
            self.clients.world.after(pause_s, None, self._send)

    def _heard(self, attempt: int, found: Any, who: str) -> None:
        if self.settled:
            return
        if isinstance(found, Unavailable | Indeterminate | ForeignHistory):
            if attempt > self.over:
                self.over = attempt
                self.unsure = self.unsure or isinstance(found, Indeterminate)
                self._next()
            return
        self.settled = True
        del self.clients.open[self]
        if self.attempt > 1:
            self.clients.tried.append(self)
        self.clients.world.say("client", f"<- {self.operation['op']} {self.key[-9:]}: {found!r}")
        self._judge(found, who)
        self._go_on()

    def _judge(self, found: Any, who: str) -> None:
        clients, before = self.clients, self.before
        world = clients.world
        if self.life != clients.catalog.truth.lives:
            return  # it belongs to an old history, or to two
        orders = clients.orders
        if orders is not None and orders.truth.lives != self.orders_life:
            self.is_known = False  # it takes a while until all are there again
        if self.cancels and isinstance(found, NotFound) and not self.is_known:
            return
        if before is not None:  # a client was answered under this key before
            if self.operation == before.operation:
                if isinstance(found, BazarError) or not same(found, before.answer):
                    world.violate(f"S1: {self.key} is answered {found!r}, after {before.answer}")
                elif any(copies(found).get(book, 0) < n for book, n in self.cancelled.items()):
                    world.violate(f"S6: {self.key} is answered {found}, {self.cancelled} was known")
            elif not isinstance(found, KeyReused):
                world.violate(f"S1: {self.key} is answered {found!r} to another request")
            return
        if self.cancels:
            self._was_cancelled(found, who)
            return
        if isinstance(found, OutOfStock | PriceChanged | Retired) and not self.unheard:
            clients.denied[self.key] = "R9" if self.unsure else "R5"
        if isinstance(found, OutOfStock):
            self._refused(found, None)
        elif isinstance(found, Retired):
            self._refused(found, RETIRED)
        elif isinstance(found, PriceChanged):
            if all(line.get("cost", COST) == COST for line in self.operation["lines"]):
                world.violate(f"S1: {self.key} is refused for its price, which is right")
        elif isinstance(found, BazarError):
            world.violate(f"S1: {self.key} is refused by {found!r}")
        elif self.sells:
            self._bought(found, who)
        else:
            if self.key not in clients.catalog.truth.keys:
                world.violate(f"I3: {self.key} was acknowledged and never committed")
            self.answer = found
            clients.done.append(self)
            world.acknowledged += 1
            self._note(self.operation["book"], world.now, "done")

    def _was_cancelled(self, found: Any, who: str) -> None:
        clients, world, order_id = self.clients, self.clients.world, self.operation["order_id"]
        wanted = {line["book"]: line["quantity"] for line in self.operation["lines"]}
        truth, orders = clients.catalog.truth, clients.orders
        if orders is not None and orders.truth.lives != self.orders_life:
            return
        if "buyer" in self.operation:
            world.guard(undoing.check_answer, self, found)
            if isinstance(found, NotBuyer | TooLate):
                return
        if isinstance(found, Conflict):
            sale = truth.state["sales", order_id]
            sold = {line["book"]: line["quantity"] for line in json.loads(sale["lines"])}
            if all(many <= sold[book] for book, many in wanted.items()):
                world.violate(f"S6: {self.key} is refused by {found!r}, and {sold} was sold")
            return
        if isinstance(found, BazarError):
            world.violate(f"S6: {self.key} is refused by {found!r}")
        for known in (truth, *(() if orders is None else (orders.truth,))):
            world.guard(known.check_cancelled, order_id, wanted, who)
        self.answer, self.end = found, world.now
        clients.done.append(self)
        world.acknowledged += 1
        before = clients.cancelled.setdefault(order_id, {})
        for book, many in wanted.items():
            before[book] = max(many, before.get(book, 0))

    def _refused(self, found: OutOfStock | Retired, result: str | None) -> None:
        if self.unheard:  # an earlier attempt may still succeed; one that was answered can't (R9)
            self.note_unknown()
            return
        wanted = {line["book"]: line["quantity"] for line in self.operation["lines"]}
        for book in found.details["books"]:
            self._note(book["id"], self.clients.world.now, result, wanted[book["id"]])

    def _bought(self, found: Any, who: str) -> None:
        clients, world, lines = self.clients, self.clients.world, self.operation["lines"]
        asked = [(line["book"], line["quantity"]) for line in lines]
        if [(line["book"], line["quantity"]) for line in found["lines"]] != asked:
            world.violate(f"S1: {self.key} asks for {asked}, and gets {found}")
        if any(line.get("cost", COST) != COST for line in lines):
            world.violate(f"S1: {self.key} is sold at another price than its buyer saw")
        truth, order_id = clients.catalog.truth, found["order_id"]
        sale = truth.state.get(("sales", order_id))
        if sale is None or sale["key"] != self.key:
            world.violate(f"I3: {self.key} was acknowledged, and is no committed sale")
        orders = clients.orders
        same = orders is not None and orders.truth.lives == self.orders_life
        if orders is not None and same:
            world.guard(orders.truth.check_order, order_id, who)
        clients.bought[self.key] = self.answer = found
        clients.done.append(self)
        world.acknowledged += 1
        for line in found["lines"]:
            self._note(line["book"], world.now, line["new_count"], line["quantity"])
        if orders is not None and same and clients.tape.chance(0.3):
            nodes = clients.catalog.caches if clients.tape.chance(0.5) else orders.replicas
            target = (nodes or orders.replicas)[0]
            one: Item = {"op": "order", "order_id": order_id}
            several: Item = {"op": "orders", "order_ids": [order_id]}
            Read(clients, target, several if len(self.key) % 2 else one, None, must=True)

    def _give_up(self) -> None:
        self.settled = True
        del self.clients.open[self]
        if self.unsure:
            self.clients.unknown.append(self)
            self.note_unknown()
        elif self.before is None:
            self.clients.refused.add(self.key)  # R5: 503 each time, so it never happens
        self._go_on()

    def _go_on(self) -> None:
        if self.then is not None:
            self.then() if self.hurried else self.clients.again(self.then)

    def note_unknown(self) -> None:
        """Note that it may have happened, or may still happen."""
        if self.before is not None or self.cancels:
            return
        for line in self.operation.get("lines", [self.operation]):
            self._note(line["book"], inf, None, line.get("quantity"))

    def _note(self, book: int, end: float, result: Any, quantity: int | None = None) -> None:
        fields = self.operation.get("fields", {})
        argument: Any = quantity
        if quantity is None:
            argument = tuple(fields.get(name) for name in FIELDS)
        kind = "update" if quantity is None else "buy"
        if book in self.clients.history:
            operation = Operation(kind, argument, self.start, end, result, self.key)
            self.clients.history[book].append(operation)


def same(found: Any, before: Any) -> bool:
    """Return whether an answer is the first one again; it may say so, and more may be cancelled
    since."""
    since = ("cancelled", "refund", "seq", "cancelled_at") if "cancelled" in before else ()
    told, first = (
        {name: value for name, value in one.items() if name not in ("cancelled", *since)}
        for one in ({**found, "replayed": True}, {**before, "replayed": True})
    )
    less = any(copies(found).get(book, 0) < many for book, many in copies(before).items())
    return told == first and not less
