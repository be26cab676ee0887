"""One read or one purchase, and the way it took: who did what, by which rule, and how long."""

from __future__ import annotations

from typing import Any

from bazar.cache import HIT, MISS, Tags
from bazar.errors import BadRequest
from bazar.replication.store import Answer
from handlers import inputs
from handlers.pages.page import new_key
from handlers.showing import FrontEndHandler, Page
from storage.catalog import info_key

Step = dict[str, Any]


def step(at: str, text: str, rule: str, ms: float, to: str | None = None) -> Step:
    """`to` is where it goes from `at`, if anywhere."""
    return {"at": at, "to": to, "text": text, "rule": rule, "ms": round(max(ms, 0), 3)}


class TryHandler(FrontEndHandler):
    """`{"do": "read" | "buy", "book": 4}` -> `{"steps": […], "ms", "result"}`."""

    async def post(self) -> None:
        body = self.json_body()
        inputs.only(body, {"do", "book"}, "body")
        book = inputs.integer(body.get("book"), "book", 0, inputs.MAX_ID)
        act = {"read": self._read, "buy": self._buy}.get(str(body.get("do")))
        if act is None:
            raise BadRequest("do: must be read or buy")
        began = self._now()
        steps, result = await act(book)
        self.answer({"steps": steps, "ms": round(self._now() - began, 3), "result": result})

    def _now(self) -> float:
        return 1000 * self.service.context.clock()

    @property
    def _me(self) -> str:
        return self.service.context.node.name.partition(".")[0]

    async def _read(self, book: int) -> tuple[list[Step], Any]:
        service, key = self.service, info_key(book)
        source, tags = service.catalog, frozenset({key})
        began = self._now()
        asked = answered = began

        async def fetch() -> tuple[Page, Tags]:
            nonlocal asked, answered
            asked = self._now()
            answer, replica = await self.read(source, {"op": "info", "book": book})
            answered = self._now()
            return self.page(answer, replica), tags

        page, verdict = await source.cache.read(service.local, key, tags, fetch)
        done, me = self._now(), self._me
        result = {"cache": verdict, "book": page.body.decode()}
        if verdict == HIT:
            text = "It is in the cache and the lease is valid: answered from memory"
            return [step(me, text, "C1", done - began)], result
        if verdict == MISS:
            first = step(me, "Not in the cache: one fetch for all who ask now", "C2", asked - began)
            text = "Stores the answer, as nothing has touched the book meanwhile, and answers"
            last = step(me, text, "C2", done - answered)
        else:
            text = "A write is under way, or there is no lease: nothing is taken from the cache"
            first = step(me, text, "C3", asked - began)
            last = step(me, "Answers, and stores nothing", "C3", done - answered)
        leads = self.service.client.primaries.get("catalog") == page.replica
        own = "Is primary: answers from its committed state" if leads else (
            "Follows, and holds a lease: answers from its own file"
        )  # fmt: skip
        rule = "L4" if leads else "L2"
        tried = max(len(self.notes) - 1, 0)
        turn = f"Asks the next replica in turn{f', {tried} did not answer' if tried else ''}"
        return [
            first,
            step(me, turn, "pool", 0, page.replica),
            step(page.replica, own, rule, answered - asked, me),
            last,
        ], result

    async def _buy(self, book: int) -> tuple[list[Step], Any]:
        lines = [{"book": book, "quantity": 1}]
        began = self._now()
        answer = await self.buy({"key": new_key(), "lines": lines, "tell": True})
        return self._way(answer, self._now() - began), {
            "order_id": answer["order_id"],
            "left": answer["lines"][0]["new_count"],
        }

    def _way(self, answer: Answer, ms: float) -> list[Step]:
        told, me = answer["told"], self._me
        order = str(self._headers["X-Replica"])
        primary = told["primary"] or "catalog"
        inside = ms - told["sold_ms"] - told["ordered_ms"]
        return [
            step(me, "Passes it on to the next order replica in turn", "pool", inside, order),
            step(order, "Has the catalog's primary sell, once for this key", "S1", 0, primary),
            *self._sale(primary, told["sale"], told["sold_ms"]),
            step(order, "Waits until the sale has become one order, committed", "S2",
                 told["ordered_ms"]),
            step(order, "Sold, and ordered: the buyer may know", "S3", 0, me),
        ]  # fmt: skip

    def _sale(self, primary: str, moments: dict[str, float], sold_ms: float) -> list[Step]:
        """What the catalog's primary did; just how long it took, if it did not tell."""
        if "committed" not in moments:
            return [step(primary, "Sells", "R1", sold_ms)]
        taken, executed = moments["taken"], moments["executed"]
        acks = {what.removeprefix("ack "): at for what, at in moments.items() if what[:4] == "ack "}
        replicas = {node.name for node in self.service.context.config.group("catalog")}
        prepares = []
        for name, at in acks.items():
            done = "has it on disk" if name in replicas else "drops what shows the book"
            text = f"Prepares: {name} {done}, and says so"
            prepares.append(step(primary, text, "R2", at - executed, name.partition(".")[0]))
        last = max([executed, *acks.values()])
        commits = "All have said so: commits, fsynced"
        return [
            step(primary, "Takes all that waits into one batch", "R1", taken),
            step(primary, "Executes it in one open transaction", "R1", executed - taken),
            *prepares,
            step(primary, commits, "R3", moments["committed"] - last),
        ]
