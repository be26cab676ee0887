"""What must never be false, checked where the state changes.

`Truth` is the record of an all-knowing observer of one group: the log as it was committed, entry by
entry, and the right answer to each question at each entry. A commit at a primary is the
linearization point, so a read may show nothing older than what was committed when it began. That is
stricter than linearizability requires.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from bazar.errors import ForeignHistory
from bazar.replication.messages import Entry, Mark, Member
from bazar.replication.primary import Primary
from bazar.replication.store import Outcome
from storage.catalog import Catalog
from storage.history import EPOCH_SHIFT
from storage.orders import Orders
from storage.reconciliation import SOLD
from storage.searches import SORTS
from tests.simulation import shop
from tests.simulation.disk import Disk, Image
from tests.simulation.shop import TOPICS, State
from tests.world.world import Violation

if TYPE_CHECKING:
    from tests.simulation.shopworld import Group

Item = Mapping[str, Any]


def question(item: Item) -> bytes:
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was true of a group at one moment."""

    digests: list[str]
    epoch: int
    state: State
    acked: int
    keys: dict[str, str]
    owner: dict[int, str]
    sold: dict[int, int]
    back: dict[str, dict[int, int]]


class Truth:
    """The committed log of one group, and the checks against it."""

    def __init__(self, books: int, stock: int, sales: Truth | None = None) -> None:
        self.stock = dict.fromkeys(range(1, books + 1), stock)
        self.sales = sales  # the catalog's truth, for a group that keeps its orders
        self.group: Group
        self.digests = [""]
        self.epoch = 0
        self.lock_lost = False
        """The lock's file was deleted: then only what is committed counts, and when."""
        self.state: State = {}
        self.lives = 0  # how often all of its files were put back
        self.unsettled = False  # whether nothing has been committed since then
        # Sales, or orders, that are not in the files that were put back.
        self.lost: dict[str, Any] = {}
        self.acked = 0  # the newest entry on which a client's answer depends
        self.tables = Catalog.tables if sales is None else Orders.tables
        self.keys: dict[str, str] = {}  # of every committed write -> its request
        self.back: dict[str, dict[int, int]] = {}  # by key: the copies that came back, by book
        # By order: the most copies of each book that were ever cancelled, on whatever history.
        self.ever: dict[str, dict[int, int]] = {}
        self._highest = 0  # number of an order
        self._owner: dict[int, str] = {}  # epoch -> the run that commits in it
        self._sold: dict[int, int] = {}
        self._items: dict[bytes, Item] = {}
        self._answers: dict[bytes, list[tuple[int, Any]]] = {}
        self.samples: frozenset[int] = frozenset()
        if sales is None:
            for item in items(books):
                self.watch(item)

    @property
    def catalog(self) -> Truth:
        return self.sales or self

    # --- files that are put back -----------------------------------------------------------------

    def moment(self) -> Moment:
        return Moment(
            list(self.digests),
            self.epoch,
            dict(self.state),
            self.acked,
            dict(self.keys),
            dict(self._owner),
            dict(self._sold),
            dict(self.back),
        )

    def put_back(self, moment: Moment, known: int) -> None:
        """Go on from that moment, to which the group is put back; `known` is the newest epoch that
        is known there."""
        table = "sales" if self.sales is None else "orders"
        for (name, key), row in self.state.items():
            if name == table and (name, key) not in moment.state:
                self.lost[key] = row
        self.lives += 1
        self.unsettled = True
        self.digests, self.state = list(moment.digests), dict(moment.state)
        self.epoch, self.acked, self.keys = moment.epoch, moment.acked, dict(moment.keys)
        self._sold, self.back = dict(moment.sold), dict(moment.back)
        # The number of an epoch that no file knows any more is given again; its id tells them apart
        # (H1).
        self._owner = {epoch: run for epoch, run in moment.owner.items() if epoch <= known}
        self._highest = max(map(shop.last_change, shop.rows(self.state, "orders")), default=0)
        for key, item in self._items.items():
            self._answers[key] = [(0, None), (self.seq, shop.shown(self.state, item))]

    @property
    def seq(self) -> int:
        return len(self.digests) - 1

    @property
    def mark(self) -> Mark:
        return Mark(self.seq, self.digests[-1])

    def fork(self, group: Group) -> None:
        """Go on as the truth of another cluster, however that came to be."""
        self.group = group
        self.digests, self.state = [*self.digests], {**self.state}
        self.keys, self._owner, self._sold = {**self.keys}, {**self._owner}, {**self._sold}
        self.back, self.ever = {**self.back}, {**self.ever}
        self.stock, self._items = {**self.stock}, {**self._items}
        self._answers = {key: [*versions] for key, versions in self._answers.items()}

    # --- commits ---------------------------------------------------------------------------------

    def committed(self, primary: Primary, run: str, image: Image, entries: Iterable[Entry]) -> None:
        """Check and record a primary's commit that has become durable."""
        if self._owner.setdefault(primary.epoch, run) != run:
            raise Violation(f"I1: {run} commits in the epoch of {self._owner[primary.epoch]}")
        if not self.lock_lost:
            if primary.epoch < self.epoch:
                raise Violation(f"I1: {run} commits in epoch {primary.epoch} after {self.epoch}")
            holder = self.group.holder
            if holder is not None and holder.run != run:
                raise Violation(f"I1: {run} commits, and {holder.run} holds the lock")
        self.epoch = max(self.epoch, primary.epoch)
        news = False
        for entry in entries:
            if entry.seq <= self.seq:
                if self.digests[entry.seq] != entry.digest:
                    raise Violation(f"I2: {run} commits another entry {entry.seq}")
                continue
            if entry.seq != self.seq + 1:
                raise Violation(f"I2: {run} commits {entry.seq} after {self.seq}")
            self.digests.append(entry.digest)
            self._learn(entry)
            self.unsettled, news = False, True
        self.on_log(image, run)
        # R3: an entry is durable at every member before it counts as committed.
        self.acknowledged(self.seq)
        if news:
            self._no_lease_is_ignorant(primary)

    def watch_samples(self, numbers: Iterable[int]) -> None:
        """Know the numbers that are theirs alone."""
        self.samples = frozenset(numbers)
        for number in numbers:
            self.watch({"op": "info", "book": number})

    def _check_samples(self, entry: Entry) -> None:
        """Check S7: samples come with the first write, go while nothing was sold, and leave their
        numbers to nobody."""
        effects = entry.effects
        gone = frozenset(effects.get("delete", {}).get("books", ()))
        put = {book["id"] for book in effects.get("put", {}).get("books", ())}
        if gone - self.samples:
            raise Violation(f"S7: {sorted(gone - self.samples)} are taken away, and no samples")
        if gone and shop.rows(self.state, "sales"):
            raise Violation(f"S7: {sorted(gone)} are taken away, and something was sold")
        given = {book for book in put & self.samples if ("books", book) not in self.state}
        if given and self.keys:
            raise Violation(f"S7: samples' numbers are given to other books: {sorted(given)}")

    def _learn(self, entry: Entry) -> None:
        self._check_samples(entry)
        put = entry.effects.get("put", {})
        for sale in put.get("sales", ()):
            self._sell(sale)
        for answer in put.get("answers", ()):
            self._execute(answer["key"], answer["request"])
            self._restock(json.loads(answer["request"]))
            for cancellation in put.get("cancellations", ()):
                self._cancel(cancellation, answer["key"])
        for order in put.get("orders", ()):
            self._order(order)
        shop.touched(self.state, entry.effects, self.tables)
        for book in put.get("books", ()):
            if book["count"] < 0:
                raise Violation(f"I7: {book['count']} left of book {book['id']}")
            stocked = self.stock.setdefault(book["id"], book["count"])
            if self.sales is None and book["count"] + self._sold.get(book["id"], 0) != stocked:
                raise Violation(f"I7: sold and left of book {book['id']} are not what was stocked")
        for key, item in self._items.items():
            shown, versions = shop.shown(self.state, item), self._answers[key]
            if shown != versions[-1][1] or entry.seq == 1:
                versions.append((entry.seq, shown))

    def _execute(self, key: str, request: str) -> None:
        if key in self.keys:
            raise Violation(f"S1: {key} is executed twice")
        self.keys[key] = request

    def _sell(self, sale: Item) -> None:
        self._execute(sale["key"], sale["request"])
        for line in json.loads(sale["lines"]):
            book = line["book"]
            if self.state["books", book]["retired"]:
                raise Violation(f"S8: {sale['key']} is sold book {book}, which is retired")
            self._sold[book] = self._sold.get(book, 0) + line["quantity"]

    def _cancel(self, cancellation: Item, key: str) -> None:
        """Check S6: what is cancelled in all grows with each, up to what was sold."""
        order_id, total = cancellation["order_id"], copies(cancellation)
        sale = self.state.get(("sales", order_id))
        if sale is None:
            raise Violation(f"S6: {order_id} is cancelled, and was never sold")
        sold = {line["book"]: line["quantity"] for line in json.loads(sale["lines"])}
        before = copies(self.state.get(("cancellations", order_id)))
        if total == before or larger(total, before) != total:
            raise Violation(f"S6: of {order_id} {total} is cancelled, after {before}")
        if any(many > sold.get(book, 0) for book, many in total.items()):
            raise Violation(f"S6: of {order_id} {total} is cancelled, and {sold} was sold")
        self.ever[order_id] = larger(self.ever.get(order_id, {}), total)
        back = self.back[key] = {book: many - before.get(book, 0) for book, many in total.items()}
        for book, many in back.items():
            self._sold[book] -= many

    def _restock(self, request: Item) -> None:
        """Note an update that says how many copies are left: so many are stocked, and what was sold
        before."""
        left = request.get("fields", {}).get("count")
        if left is not None:
            book = request["book"]
            self.stock[book] = left + self._sold.get(book, 0)

    def _order(self, order: Item) -> None:
        order_id, number = order["order_id"], shop.last_change(order)
        before = self.state.get(("orders", order_id))
        if before is not None and order["changed"] is None:
            raise Violation(f"I7: order {order_id} is made twice")
        if before is not None and (order["seq"], order["lines"]) != (
            before["seq"],
            before["lines"],
        ):
            raise Violation(f"S6: order {order_id} is another one, now that it is cancelled")
        if number <= self._highest:
            raise Violation(f"S5: order {order_id} has number {number}: {self._highest} was")
        self._highest = number
        assert self.sales is not None
        self._shows_no_less(order, copies(before), self.sales.ever.get(order_id, {}))
        # The sale of an order may have been reported before it was lost.
        sale = self.sales.state.get(("sales", order_id)) or self.sales.lost.get(order_id)
        if sale is None:
            raise Violation(f"I7: order {order_id} is of nothing that was sold")
        if json.loads(sale["lines"]) != json.loads(order["lines"]):
            raise Violation(f"I7: order {order_id} is not what was sold")

    def _shows_no_less(self, order: Item, before: dict[int, int], ever: dict[int, int]) -> None:
        """Check S5, S6: what an order shows as cancelled only grows, whatever the catalog has lost
        meanwhile, and all of it was committed once."""
        order_id, shown = order["order_id"], copies(order)
        if larger(shown, before) != shown:
            raise Violation(f"S6: order {order_id} shows {shown}, and has shown {before}")
        if larger(shown, ever) != ever:
            raise Violation(f"S6: order {order_id} shows {shown}, and {ever} was committed")

    def _no_lease_is_ignorant(self, primary: Primary) -> None:
        """Check I5 and R3: each lease holder of the moment knows of the commit and is of its epoch.
        All later reads follow from that."""
        seq, digest = self.seq, self.digests[-1]
        for node in self.group.nodes:
            process = node.process
            # A front end that has just begun may have met another cluster first (A2).
            if process is None or not getattr(process, "is_at_home", True):
                continue
            subscriber = next(iter(process.subscribers), None)
            if subscriber is None or not subscriber.lease_valid(process.time()):
                continue
            theirs = subscriber.epoch, subscriber.epoch_id
            if theirs != (primary.epoch, primary.epoch_id):
                raise Violation(
                    f"I5: {node.name} holds a lease of epoch {theirs} "
                    f"while epoch {primary.epoch} {primary.epoch_id} commits {seq}"
                )
            last = subscriber.last
            if last.seq < seq or (last.seq == seq and last.digest != digest):
                raise Violation(
                    f"I4: {node.name} holds a lease and knows {last} while {seq} is committed"
                )

    # --- logs ------------------------------------------------------------------------------------

    def on_log(self, image: Image, who: str) -> None:
        """Check I2: what any replica holds as committed is a prefix of the truth."""
        if not self.has(image.committed):
            raise Violation(f"I2: {who} has committed {image.committed}, the log is {self.mark}")

    def has(self, mark: Mark) -> bool:
        """Whether the committed log has this entry: that of another history it has not (H2)."""
        return mark.seq <= self.seq and self.digests[mark.seq] == mark.digest

    def acknowledged(self, seq: int) -> None:
        """Note that an answer that depends on entry `seq` goes out to a client."""
        if seq > self.seq:
            raise Violation(f"R3: an answer depends on entry {seq}, which is not committed")
        if seq > self.acked:
            self.acked = seq
            self.check_members()

    def check_members(self) -> None:
        """Check I3 for all members: after an acknowledgement, or a change of the membership."""
        for node in self.group.replicas:
            if node.disk is not None:
                self.check_member(node.disk, node.name)

    def check_member(self, disk: Disk, name: str) -> None:
        """Check I3: a member's log holds every acknowledged entry."""
        whole = self.holds(disk.image, self.acked)
        if disk.damaged:
            if whole and disk.image.last_seq >= disk.lost_seq:
                disk.lost_seq = 0
        elif not whole and self.group.is_member(Member(name, disk.store)):
            raise Violation(f"I3: member {name} does not hold the acknowledged {self.acked}")

    def check_leader(self, me: Member) -> None:
        """Check T1: a node that begins to lead is in the in-sync set."""
        membership = self.group.membership
        if membership is not None and me not in membership.members:
            raise Violation(f"T1: {me} begins to lead, and is not in {membership}")
        if membership is None and self.seq:
            raise Violation(f"T0: {me} begins a group that has {self.seq} entries")

    def holds(self, image: Image, seq: int) -> bool:
        if image.committed.seq >= seq:
            return True
        mark = image.mark_at(seq)
        return mark is not None and mark.digest == self.digests[seq]

    # --- answers ---------------------------------------------------------------------------------

    def watch(self, item: Item) -> bytes:
        """Keep the right answers to this question from now on."""
        key = question(item)
        if key not in self._items:
            self._items[key] = item
            self._answers[key] = [(0, None), (self.seq, shop.shown(self.state, item))]
        return key

    def check_answer(self, item: Item, shown: Any, since: int, who: str) -> None:
        """Check I4: `shown` was the right answer to this question at some time since `since`."""
        if self.sales is None and not self.seq:
            raise Violation(f"T0: {who} answers {dict(item)} before there is anything")
        versions = self._answers[self.watch(item)]
        for seq, version in reversed(versions):
            if version == shown and (seq or self.sales is not None):
                return
            if seq <= since:
                break
        raise Violation(
            f"I4: {who} answers {dict(item)} by {shown}, which was not so at any time after"
            f" {since}; lately {versions[-3:]}"
        )

    def check_order(self, order_id: str, who: str) -> None:
        """Check S3: an acknowledged purchase has its order."""
        if ("orders", order_id) not in self.state:
            raise Violation(f"S3: {who} answers a purchase whose order is not committed")

    def check_sold(self, operation: Item, outcome: Outcome, state: State) -> None:
        """Check S4: nothing is sold for orders of another history, and everything for those of this
        one: exactly the sale, or cancellation, at which their cursor stands is here."""
        if "cursor" not in operation:
            return
        number, name = operation["cursor"]["number"], operation["cursor"]["id"]
        history = {epoch.number: epoch.id for epoch in shop.history(state)}
        here = any(row["seq"] == number for table in SOLD for row in shop.rows(state, table))
        follows = not number or (here and history.get(number >> EPOCH_SHIFT) == name)
        key = operation["key"]
        if outcome.change is not None and not follows:
            raise Violation(f"S4: {key} is sold for orders at {(number, name)}, which is not here")
        if isinstance(outcome.answer, ForeignHistory) and follows:
            raise Violation(f"S4: {key} is refused for orders at {(number, name)}, which is here")

    def check_cancelled(self, order_id: str, wanted: dict[int, int], who: str) -> None:
        """Check S6, S3: what is acknowledged as cancelled is committed, and its order shows it."""
        table = "cancellations" if self.sales is None else "orders"
        shown = copies(self.state.get((table, order_id)))
        if larger(shown, wanted) != shown:
            raise Violation(f"S6: {who} answers that {wanted} is cancelled, and {shown} is there")

    def sale_is_committed(self, order_id: str) -> None:
        if ("sales", order_id) not in self.state:
            raise Violation(f"R3: a sale is answered that is not committed: {order_id}")


def copies(row: Item | None) -> dict[int, int]:
    """Return how many copies of each book are cancelled, in a row of either group, or an answer."""
    cancelled = None if row is None else row.get("cancelled")
    if cancelled is None:
        return {}
    lines = json.loads(cancelled) if isinstance(cancelled, str) else cancelled
    return {line["book"]: line["quantity"] for line in lines}


def larger(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    """Return the larger number of copies of each book."""
    return {book: max(one.get(book, 0), other.get(book, 0)) for book in one | other}


def items(books: int, *, finds: bool = False, retires: bool = False) -> list[Item]:
    """Return what may be asked of the catalog: if it `finds`, in every order, and what is in
    stock; if it `retires`, what is retired."""
    page, one, stock = {"limit": 10}, {"limit": 1}, {"in_stock": True}
    asked: list[Item] = [
        *({"op": "info", "book": book} for book in range(1, books + 1)),
        *({"op": "search", "topic": topic[:4], **page} for topic in TOPICS),
        {"op": "search", "topic": "", **one, "after": "1"},
        {"op": "find", "q": "first", **page},
        {"op": "topics"},
        {"op": "books", "books": [books, 1]},
    ]
    if retires:
        asked += [
            {"op": "search", "topic": "", **page, "retired": True},
            {"op": "find", "q": "first", **page, "retired": True},
        ]
    if finds:
        asked += [
            *(
                {"op": "search", "topic": "", **one, "sort": sort}
                for sort in SORTS
                if sort != "fit"
            ),
            *({"op": "find", "q": "first", **one, **stock, "sort": sort} for sort in SORTS),
            {"op": "search", "topic": TOPICS[0][:4], **page, **stock},
            {"op": "search", "topic": "", **one, **stock},
            {"op": "find", "q": "first", "topic": TOPICS[1], **page, "sort": "-price"},
        ]
    return asked


# --- one node by itself --------------------------------------------------------------------------
