"""Keepers that take the samples away, and make books of their own, while buyers want some (S7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bazar.errors import Conflict, NotFound, OutOfStock
from tests.simulation import shop
from tests.simulation.clients import Clients
from tests.simulation.profile import Profile
from tests.simulation.requests import Read, Write


def sample_numbers(profile: Profile) -> range:
    """Return the numbers of the samples: those behind the stock."""
    return range(profile.books + 1, profile.books + profile.samples + 1)


class Clearing:
    """Those who have to do with samples."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.numbers = sample_numbers(clients.world.profile)

    def start(self) -> None:
        for begin in (self._remove, self._remove, self._buy, self._make, self._look, self._look):
            self.clients.again(begin)

    def _sample(self) -> int:
        return self.numbers[self.clients.tape.below(len(self.numbers))]

    def _remove(self) -> None:
        self._write({"op": "remove_samples"}, self._remove)

    def _buy(self) -> None:
        lines = [{"book": self._sample(), "quantity": 1}]
        self._write({"op": "sell", "lines": lines}, self._buy)

    def _make(self) -> None:
        title = f"own {self.clients.tape.below(3)}"
        book = {"title": title, "author": None, "topic": shop.TOPICS[0], "cost": 100, "count": 9}
        self._write({"op": "create", "books": [book]}, self._make)

    def _write(self, operation: dict[str, Any], then: Callable[[], None]) -> None:
        if self.clients.running:
            SampleWrite(self.clients, {**operation, "key": self.clients.key()}, then)

    def _look(self) -> None:
        if self.clients.running:
            catalog, tape = self.clients.catalog, self.clients.tape
            target = catalog.nodes[tape.below(len(catalog.nodes))]
            Read(self.clients, target, {"op": "info", "book": self._sample()}, self._look)


class SampleWrite(Write):
    """A write that is judged by what is left of the samples: they never come back."""

    def note_unknown(self) -> None:
        pass

    def _judge(self, found: Any, who: str) -> None:
        world, truth = self.clients.world, self.clients.catalog.truth
        if self.life != truth.lives:
            return
        left = sorted(book for book in truth.samples if ("books", book) in truth.state)
        sold = bool(shop.rows(truth.state, "sales"))
        match self.operation["op"], found:
            case "remove_samples", Conflict():
                right = bool(sold and left)
            case "remove_samples", {"removed": _, "kept": _}:
                right = not left
            case "sell", NotFound():
                [line] = self.operation["lines"]
                right = line["book"] not in left
            case "sell", OutOfStock():
                right = bool(sold and left)
            case "sell", {"order_id": order_id}:
                right = ("sales", order_id) in truth.state and bool(left)
            case "create", {"books": [{"id": number}]}:
                right = number not in truth.samples and ("books", number) in truth.state
            case _:
                right = False
        if not right:
            world.violate(f"S7: {self.operation} is answered {found!r}; {sold=}, {left=}")
        world.acknowledged += 1
