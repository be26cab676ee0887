"""Buyers, updaters and readers that go on during faults, and remember their answers.

async with Load(shop) as load:
    load.buy("frontend-1", book=4, buyers=4)
    load.read("frontend-1", ["/info/4"])
    ...
assert not load.read_errors
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.cluster.client import Answer, Doors, HTTPClient, StaleConnection
from tests.cluster.cluster import READY_S, until

RETRY_S = 0.01  # a buyer's pause between two tries; shorter than Retry-After
PASSING = (503, 504)


@dataclass(frozen=True, slots=True)
class Bought:
    """An acknowledged purchase. Times are `time.monotonic()`."""

    key: str
    book: int
    order_id: str
    new_count: int
    buyer: int
    sent_at: float
    acked_at: float


class Load:
    """A load. It stops on leaving the `async with`, after the outcome of all that is under way is
    known. Buyers ask again after an answer of a status that is `passing`."""

    def __init__(self, shop: Doors, passing: Collection[int] = PASSING) -> None:
        self.shop = shop
        self.passing = passing
        self.bought: list[Bought] = []
        self.sold_out: list[str] = []  # the keys of purchases that were refused for that
        self.read_errors: list[str] = []
        self.write_errors: list[str] = []  # why buyers had to ask again
        self.reads = 0
        self._buyers = 0
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if error is not None:
            for task in self._tasks:
                task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None:
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    # --- buying ----------------------------------------------------------------------------------

    def buy(self, through: str, book: int, buyers: int = 4) -> None:
        """Buy one copy after the other, each repeated until it is known whether it was sold."""
        for _ in range(buyers):
            self._buyers += 1
            self.spawn(self._buy(through, book, self._buyers))

    async def _buy(self, through: str, book: int, buyer: int) -> None:
        async with self.shop.client(through) as client:
            while not self.stopping:
                key = secrets.token_hex(8)
                sent_at = time.monotonic()
                answer = await purchase(
                    client, book, key, errors=self.write_errors, passing=self.passing
                )
                if answer.status == 409:
                    self.sold_out.append(key)
                    continue
                told = answer.json
                self.bought.append(
                    Bought(
                        key,
                        book,
                        told["order_id"],
                        told["new_count"],
                        buyer,
                        sent_at,
                        time.monotonic(),
                    )
                )

    async def flowing(self, since: float, each: int = 3) -> None:
        """Wait until every buyer has had `each` purchases acknowledged that were sent after
        `since`."""

        def done() -> bool:
            counts = dict.fromkeys(range(1, self._buyers + 1), 0)
            for one in self.bought:
                if one.sent_at >= since:
                    counts[one.buyer] += 1
            return min(counts.values()) >= each

        await until(done, "purchases flow")

    def gap_s(self, begin: float, end: float) -> float:
        """Return the longest time without an acknowledged purchase that overlaps [begin, end]."""
        times = sorted(one.acked_at for one in self.bought)
        pairs = itertools.pairwise(times)
        return max((b - a for a, b in pairs if b >= begin and a <= end), default=0.0)

    # --- reading ---------------------------------------------------------------------------------

    def read(self, through: str, paths: Sequence[str], readers: int = 2) -> None:
        """Read these paths in turn; every answer that is not a 200 is an error."""
        for number in range(readers):
            self.spawn(self._read(through, [*paths[number:], *paths[:number]]))

    async def _read(self, through: str, paths: Sequence[str]) -> None:
        async with self.shop.client(through) as client:
            while not self.stopping:
                for path in paths:
                    try:
                        answer = await client.get(path)
                    except StaleConnection:
                        continue
                    except OSError as error:
                        self.read_errors.append(f"{path}: {error!r}")
                        continue
                    self.reads += 1
                    if answer.status != 200:
                        self.read_errors.append(f"{path}: {answer}")

    async def has_read(self, more: int) -> None:
        """Wait until so many more reads were answered."""
        goal = self.reads + more
        await until(lambda: self.reads >= goal, f"{more} more reads")


async def purchase(
    client: HTTPClient,
    book: int,
    key: str,
    *,
    errors: list[str] | None = None,
    passing: Collection[int] = PASSING,
    deadline_s: float = READY_S,
) -> Answer:
    """Ask with the same key until the outcome is known: a 200 or a 409 (R5, S1)."""
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            answer = await client.put(f"/purchase/{book}", key=key)
        except StaleConnection:
            continue
        except OSError as error:
            last: object = error
        else:
            if answer.status in (200, 409):
                return answer
            assert answer.status in passing, answer
            last = answer
        if errors is not None:
            errors.append(f"{last!r}")
        assert time.monotonic() < deadline, f"key {key} is still unknown: {last}"
        await asyncio.sleep(RETRY_S)
