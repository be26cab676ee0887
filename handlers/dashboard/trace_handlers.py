"""One read or one purchase, and the way that it took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bazar.cache import HIT, MISS
from bazar.http.cached_response import CachedResponse
from bazar.node.workers import whose
from bazar.replication.store import Answer
from handlers.dashboard import verbs
from handlers.dashboard.trace import Way
from handlers.frontend.handlers import FrontEndHandler
from handlers.storefront.base import new_key


class TraceHandler(FrontEndHandler):
    """The steps say who did what, when, and by which rule of the protocol."""

    @verbs.TRY
    async def post(self) -> None:
        body = self.json_body()
        act = {"read": self._read, "buy": self._buy}[body["do"]]
        self._began_s = self.service.context.clock()
        self._way = Way(whose(self.service.context.node.name))
        result = await act(body["book"])
        self.answer({"steps": self._way.steps, "ms": round(self._now(), 3), "result": result})

    def _now(self) -> float:
        """Milliseconds since the request came."""
        return 1000 * (self.service.context.clock() - self._began_s)

    async def _read(self, book: int) -> dict[str, Any]:
        service, way = self.service, self._way
        question = service.info(book)
        moments: list[float] = []  # when replicas were asked, and one answered

        def asks(words: str) -> None:
            self.note(words)
            moments.append(self._now())

        def show(answer: Answer, replica: str) -> CachedResponse:
            moments.append(self._now())
            return question.show(answer, replica)

        page, verdict = await replace(question, show=show).answered(asks)
        done, me = self._now(), way.me
        result = {"cache": verdict, "book": page.body.decode()}
        if verdict == HIT:
            text = "It is in the cache and the lease is valid: answered from memory"
            way.step(me, text, "C1", 0, done)
            return result
        if not moments:
            way.step(me, "Joins the fetch that another reader has begun", "C2", 0, done)
            return result
        asked, *_, answered = moments
        if verdict == MISS:
            looked = "Not in the cache: one fetch for all who ask now"
            ended, rule = "Stores the answer, as nothing has touched the book meanwhile", "C2"
        else:
            looked = "A write is under way, or there is no lease: nothing is taken from the cache"
            ended, rule = "Answers, and stores nothing", "C3"
        way.step(me, looked, rule, 0, asked)
        tried = max(len(self.notes) - 1, 0)
        turn = f"Asks the next replica in turn{f', {tried} did not answer' if tried else ''}"
        way.step(me, turn, "", asked, asked, page.replica)
        if service.client.primaries.get("catalog") == page.replica:
            own, by = "Is primary: answers from its committed state", "L4"
        else:
            own, by = "Follows, and holds a lease: answers from its own file", "L2"
        way.step(page.replica, own, by, asked, answered, me)
        way.step(me, ended, rule, answered, done)
        return result

    async def _buy(self, book: int) -> dict[str, Any]:
        lines = [{"book": book, "quantity": 1}]
        self.key = new_key()
        answer = await self.buy({"key": self.key, "lines": lines, "tell": True})
        caches = self.service.context.config.group("frontend")
        replica = str(self._headers["X-Replica"])
        self._way.purchase(answer, replica, self._now(), {node.name for node in caches})
        return {"order_id": answer["order_id"], "left": answer["lines"][0]["new_count"]}
