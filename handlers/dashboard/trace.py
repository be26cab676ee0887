"""The way of one request, step by step on one time line: who did what, by which rule."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bazar.node.workers import whose
from bazar.replication.store import Answer

Step = dict[str, Any]
ACK = "ack "


class Way:
    """Its steps, in milliseconds since the request came to the front end `me`."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.steps: list[Step] = []

    def step(
        self, at: str, text: str, rule: str, began: float, ended: float, to: str | None = None
    ) -> None:
        """`rule` is the protocol's, if one says so; `to` is where it goes from `at`, if it does."""
        began = max(began, 0)
        times = {"began_ms": round(began, 3), "ms": round(max(ended - began, 0), 3)}
        self.steps.append({"at": at, "to": to, "text": text, "rule": rule, **times})

    def purchase(self, answer: Answer, replica: str, ended: float, caches: Collection[str]) -> None:
        """All the way of a purchase, from what `replica` of the orders tells of it. Of the
        subscribers that acknowledge, `caches` are front ends."""
        sale, order = answer["told"]["sale"], answer["told"]["order"]
        # What is not in its parts was spent half before them and half after.
        sold_from = (ended - sale["ms"] - order["ms"]) / 2
        sold = sold_from + sale["ms"]
        ordered = sold + order["ms"]
        self.step(self.me, "Passes it on to the next order replica in turn", "", 0, sold_from,
                  replica)  # fmt: skip
        seller = self._sale(sale, replica, sold_from, caches)
        if "moments" in order:
            self._order(order, replica, seller, sold, caches)
        else:
            self.step(replica, "Waits until the sale has become one order", "S2", sold, ordered)
        self.step(replica, "Sold, and ordered: the buyer may know", "S3", ordered, ended, self.me)

    def _sale(self, sale: Answer, replica: str, began: float, caches: Collection[str]) -> str:
        """The primary that has sold, as far as it is known."""
        asked: str = sale["asked"]
        if "moments" not in sale:
            self.step(replica, "Has the catalog sell, once for this key", "S1", began,
                      began + sale["ms"], asked)  # fmt: skip
            return asked
        seller: str = sale["primary"]
        from_ = _on_our_clock(sale, began)
        self.step(replica, "Has the catalog sell, once for this key", "S1", began, from_, asked)
        if asked != seller:
            self.step(asked, "Follows: passes it on to the primary", "R7", from_, from_, seller)
        self._log(sale, from_, "drops what shows the book", caches)
        return seller

    def _order(
        self, order: Answer, replica: str, seller: str, began: float, caches: Collection[str]
    ) -> None:
        leader: str = order["primary"]
        from_ = _on_our_clock(order, began)
        self.step(seller, "Hands the sale to the orders' primary, which waits for it", "S2", began,
                  from_, leader)  # fmt: skip
        committed = self._log(order, from_, "takes note", caches)
        if leader != replica:
            self.step(leader, f"Says that it is committed: {replica} applies it", "R6", committed,
                      began + order["ms"], replica)  # fmt: skip

    def _log(self, part: Answer, began: float, dropped: str, caches: Collection[str]) -> float:
        """What a primary did, from when it had the write at hand; when it committed."""
        primary, moments = part["primary"], part["moments"]
        at = {what: began + moment for what, moment in moments.items()}
        self.step(primary, "Takes all that waits into one batch", "R1", began, at["taken"])
        self.step(primary, "Executes it in one open transaction", "R1", at["taken"], at["executed"])
        acked = at["executed"]
        for what in at:
            if what.startswith(ACK):
                name = what.removeprefix(ACK)
                node = whose(name)
                done = dropped if node in caches else "has it on disk"
                text = f"Prepares: {name} {done}, and says so"
                self.step(primary, text, "R2", at["executed"], at[what], node)
                acked = max(acked, at[what])
        committed: float = at["committed"]
        text = "All whose lease runs have said so: commits, fsynced"
        self.step(primary, text, "R3", acked, committed)
        return committed


def _on_our_clock(part: Answer, began: float) -> float:
    """When a primary had the write at hand. Its moments are of its own clock: what they leave of
    the time was spent half on the way there, half on the way back (Cristian, 1989)."""
    spent: float = part["ms"]
    committed: float = part["moments"]["committed"]
    left = spent - committed
    return began + (left / 2 if left > 0 else left)
