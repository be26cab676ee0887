"""Deliberate faults: each takes one rule out of the code, and the simulation must notice.

A mutation is a few lines of a function, as they stand and as they are without the rule. It is
compiled in place of the original for as long as `applied` lasts. Most are of the production core;
those marked `driver` break the contract that the driver keeps, as the simulation's own driver does.
"""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

from bazar.cache import Cache
from bazar.replication import timing
from bazar.replication.primary import Primary
from bazar.replication.subscriber import CacheSubscriber, ReplicaSubscriber, Subscriber
from tests.simulation import node as node_module
from tests.simulation import shop
from tests.simulation.frontend import FrontEnd
from tests.simulation.node import Replica
from tests.simulation.profile import Profile
from tests.simulation.scenario import run
from tests.simulation.world import Process

Edit = tuple[Any, str, str, str]  # owner (a class or a module), function, before, after


def compiled(owner: Any, name: str, changes: list[tuple[str, str]]) -> Any:
    """The function with those pieces of its source replaced."""
    original = inspect.getattr_static(owner, name)
    plain = getattr(original, "__func__", getattr(original, "fget", original))
    source = textwrap.dedent(inspect.getsource(plain))
    for before, after in changes:
        if source.count(before) != 1:
            raise LookupError(f"{name} has no such piece any more, or several: {before!r}")
        source = source.replace(before, after)
    # `super()` looks for the class in a cell of this name.
    made = f"def _make(__class__):\n{textwrap.indent(source, '    ')}\n    return {name}"
    scope: dict[str, Any] = {}
    exec(compile(made, "<mutation>", "exec"), plain.__globals__, scope)
    return scope["_make"](owner)


@dataclass(frozen=True)
class Mutation:
    """What is taken away, by which rule it is there, and a seed that notices."""

    name: str
    rule: str
    edits: tuple[Edit, ...]
    found_at: int = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        changes: dict[tuple[Any, str], list[tuple[str, str]]] = {}
        for owner, name, before, after in self.edits:
            changes.setdefault((owner, name), []).append((before, after))
        with ExitStack() as stack:
            for (owner, name), pieces in changes.items():
                stack.enter_context(patch.object(owner, name, compiled(owner, name, pieces)))
            yield


def mutation(name: str, rule: str, *edits: Edit, found_at: int = 0) -> Mutation:
    return Mutation(name, rule, edits, found_at)


WRITING = (
    mutation(
        "commit without waiting for leases",
        "R3",
        (Primary, "_try_commit", "if any(until > now and run not in heard", "if any(False"),
    ),
    mutation(
        "commit before the removal from the set is durable",
        "R3",
        (
            Primary,
            "_try_commit",
            'self._record(members, "commit", now)',
            'self._record(members, "", now) + self._commit()',
        ),
        (Primary, "recorded", 'elif why == "lead":', 'elif why in ("lead", ""):'),
    ),
    mutation(
        "nobody is removed from the set",
        "R3",
        (Primary, "_try_commit", "if members != self.membership.members:", "if False:"),
    ),
    mutation(
        "acknowledge before fsync",
        "R2",
        (ReplicaSubscriber, "_acknowledge", " or self._agreed.seq > self._durable.seq", ""),
    ),
    mutation(
        "the conflict rule",
        "J2",
        (
            ReplicaSubscriber,
            "_prepared",
            "if self.pending[position - 1].digest == entry.digest:",
            "if True:",
        ),
    ),
    mutation(
        "a longer tail stays",
        "J2",
        (ReplicaSubscriber, "_joining", "if not welcome.adopting:", "if False:"),
        (ReplicaSubscriber, "_joining", "if not beyond:", "if True:"),
    ),
    mutation(
        "a write is executed anew for a known key",
        "S1",
        (node_module, "execute", "if known is not None:", "if False:"),
    ),
    mutation(
        "refusals are answered before the commit (driver)",
        "R3",
        (
            Replica,
            "_execute",
            "if self.disk.full and changes:",
            "self._answer([a for a in answers if a[1][0] != 200])\n"
            "    answers = [a for a in answers if a[1][0] == 200]\n"
            "    if self.disk.full and changes:",
        ),
    ),
    mutation(
        "what was answered 503 stays in the queue (driver)",
        "R5",
        (Replica, "tick", "self.queue.remove(waiting)", "waiting.op"),
    ),
    mutation(
        "a commit that fails is called failed (driver)",
        "R4",
        (
            Replica,
            "_finish_job",
            "self.die(",
            "[reply(503, 'disk full') for reply, *_ in self.answers]\n        self.die(",
        ),
    ),
    mutation(
        "a full disk goes unnoticed (driver)",
        "R2",
        (
            Replica,
            "_finish_job",
            'self.die(f"no space left on device: {type(job).__name__}")',
            "self.world.after(0.0, self, self._stored, job)",
        ),
    ),
)

READING = (
    mutation(
        "a follower answers without a lease",
        "L2",
        (ReplicaSubscriber, "read", "if not self.lease_valid(now):", "if False:"),
    ),
    mutation(
        "a follower answers what is dirty",
        "L2",
        (ReplicaSubscriber, "read", "return self.touched(tags)", "return 0"),
    ),
    mutation(
        "a search waits for nothing",
        "L2",
        (
            ReplicaSubscriber,
            "touched",
            "(self.pending, tags)",
            "(self.pending, tags or frozenset())",
        ),
    ),
    mutation(
        "pending values are shown (driver)",
        "L2",
        (
            Replica,
            "_answer_read",
            "state = self.disk.image.state",
            "state = dict(self.disk.image.state)\n"
            "    for entry in self.disk.image.pending:\n"
            "        state.update(entry.effects)",
        ),
    ),
    mutation(
        "a lease counts from the arrival of its grant",
        "L1",
        (Subscriber, "_granted", "asked_at + grant.lease_s", "now + grant.lease_s"),
    ),
    mutation(
        "a renewal's number is used again",
        "L1",
        (Subscriber, "_renew", "self._number += 1", "self._number = 1"),
    ),
    mutation(
        "the holder counts its own lease_s",
        "L1",
        (Subscriber, "_granted", "asked_at + grant.lease_s", "asked_at + self.timing.lease_s"),
    ),
    mutation(
        "clocks that differ more than promised (driver)",
        "L1",
        (Profile, "clock_rate", "(-0.0049, 0.0049)", "(-0.025, 0.025)"),
    ),
    mutation(
        "no allowance for clock rates",
        "L1",
        (timing.Timing, "surely_over_s", "lease_s * (1 + CLOCK_DRIFT)", "lease_s"),
    ),
    mutation(
        "a clock read before the pause (driver)",
        "L2",
        (
            Process,
            "now",
            "return self._offset + self._rate * self.world.now",
            "at = self._offset + self._rate * self.world.now\n"
            "    held = getattr(self, '_held', None)\n"
            "    if held is None or held[0] != self.world.now:\n"
            "        return at\n"
            "    return held[1]",
        ),
        (
            Process,
            "pause",
            "self.paused = True",
            "self.paused = True\n    self._held = (self.world.now + for_s, self.now())",
        ),
    ),
    mutation(
        "a closed connection ends a lease",
        "L3",
        (
            Primary,
            "disconnected",
            "self.feeds.pop(feed_id, None)",
            "gone = self.feeds.pop(feed_id, None)\n"
            "    self.leases.pop(gone.hello.run if gone else '', None)",
        ),
    ),
    mutation(
        "a hello ends a lease",
        "L3",
        (
            Primary,
            "_hello",
            "self.feeds[feed_id] = Feed(feed_id, hello)",
            "self.leases.pop(hello.run, None)\n    self.feeds[feed_id] = Feed(feed_id, hello)",
        ),
    ),
    mutation(
        "who owes an acknowledgement is granted all the same",
        "L3",
        (Primary, "_grant", "if owes or self._unproven:", "if self._unproven:"),
    ),
    mutation(
        "a grant before the join",
        "J4",
        (Primary, "_grant", "if not feed.joined or", "if not feed.welcomed or"),
        (Primary, "_grant", "owes = feed.acked", "owes = feed.joined and feed.acked"),
    ),
    mutation(
        "a grant under way undoes a release",
        "L3",
        (Subscriber, "release", "self._asked.clear()", "pass"),
    ),
    mutation(
        "a new primary answers reads of what it has yet to commit",
        "L4",
        (Primary, "read", "if self._taking_over else 0", "if False else 0"),
    ),
    mutation(
        "a restarted primary answers reads at once",
        "L4",
        (Primary, "read", "if self._unproven:", "if False:"),
    ),
    mutation(
        "a restarted primary grants leases at once",
        "L4",
        (Primary, "_grant", "if owes or self._unproven:", "if owes:"),
    ),
    mutation(
        "a restarted primary adds members at once",
        "J4",
        (Primary, "_advance", "if self._unproven:", "if False:"),
    ),
)

CACHING = (
    mutation(
        "fills of dirty keys are kept",
        "C3",
        (Cache, "board", "if not self.guard.clean(tags, now):", "if False:"),
    ),
    mutation(
        "an invalidation detaches no flight",
        "C2",
        (Cache, "drop", "self._detach(flight)", "pass"),
    ),
    mutation(
        "an invalidation drops nothing",
        "C2",
        (Cache, "drop", "dropped += shelf.remove(key)", "pass"),
    ),
    mutation(
        "an entry detaches only the searches that it changes",
        "C5",
        (Cache, "drop", "if flight.tags is None or not", "if flight.tags is not None and not"),
    ),
    mutation(
        "searches are stored while something is pending",
        "C5",
        (CacheSubscriber, "touched", "(self.pending, tags)", "(self.pending, tags or frozenset())"),
    ),
    mutation(
        "searches are known by their books alone (driver)",
        "C5",
        (
            FrontEnd,
            "_land",
            "{SEARCHES, *(tag(book) for book, _ in value)}",
            "(tag(book) for book, _ in value)",
        ),
    ),
    mutation(
        "what is cached is served without a lease",
        "C1",
        (Cache, "find", "if not self.guard.lease_valid(now):", "if False:"),
    ),
    mutation(
        "a cache keeps its content when it lost its lease and joins anew",
        "C4",
        (CacheSubscriber, "_granted", "return [Reset()] if lapsed else []", "return []"),
        (CacheSubscriber, "_joining", "return [Reset()]", "return []"),
    ),
    mutation(
        "an old lease's flights go on",
        "C2",
        (
            Cache,
            "reset",
            "for flight in list(self._flights.values()):",
            "for flight in list(self._flights.values())[:0]:",
        ),
    ),
    mutation(
        "passes are joined",
        "C3",
        (
            Cache,
            "board",
            "        return None\n",
            "        detached = Flight(shelf, key, tags, detached=True)\n"
            "        return self._flights.setdefault(key, detached)\n",
        ),
    ),
    mutation(
        "a cache that joins is not told what is pending",
        "J6",
        (Primary, "_join_cache", "if self.pending:", "if False:"),
        (
            Primary,
            "_join_cache",
            "feed.acked, feed.asked_at = self.committed, now",
            "feed.acked = self.tail",
        ),
    ),
)

TAKING_OVER = (
    mutation(
        "no wait for the leases of the old epoch",
        "T2",
        (Primary, "take_over", "timing.surely_over_s(membership.lease_s)", "0.0"),
    ),
    mutation(
        "the wait is of the successor's own lease_s",
        "T2",
        (
            Primary,
            "take_over",
            "timing.surely_over_s(membership.lease_s)",
            "timing.surely_over_s(timing.lease_s)",
        ),
    ),
    mutation(
        "the longest lease granted is forgotten",
        "T2",
        (
            Primary,
            "take_over",
            "longest_s = max(0.0 if membership.clean else membership.lease_s, timing.lease_s)",
            "longest_s = timing.lease_s",
        ),
        (Primary, "_record", "if now < self.not_before:", "if False:"),
    ),
    mutation(
        "pending entries are dropped",
        "T3",
        (
            Primary,
            "take_over",
            "primary = cls(me, begun, committed, pending,",
            "from bazar.replication.effects import Persist\n"
            "    primary = cls(me, begun, committed, (),",
        ),
        (
            Primary,
            "take_over",
            "return primary, [Record(begun)]",
            "return primary, [Record(begun), *([Persist(committed, ())] if pending else [])]",
        ),
    ),
    mutation(
        "pending entries are restamped",
        "T3",
        (
            Primary,
            "take_over",
            "primary = cls(",
            "from bazar.replication.effects import Persist\n"
            "    fresh: list[Entry] = []\n"
            "    for old in pending:\n"
            "        change = Change(old.keys, old.effects)\n"
            "        fresh.append(chain(tail_mark(committed, fresh), begun.epoch, change))\n"
            "    old_pending, pending = pending, tuple(fresh)\n"
            "    primary = cls(",
        ),
        (
            Primary,
            "take_over",
            "return primary, [Record(begun)]",
            "return primary, [Record(begun), *([Persist(committed, pending)] if pending else [])]",
        ),
    ),
    mutation(
        "pending entries are committed alone",
        "T3",
        (
            Primary,
            "_try_commit",
            "joined = [feed",
            "if self._taking_over:\n        return self._commit()\n    joined = [feed",
        ),
    ),
    mutation(
        "new operations run before pending entries are committed",
        "T3",
        (Primary, "__init__", "Phase.PREPARED if pending else Phase.IDLE", "Phase.IDLE"),
    ),
    mutation(
        "a member's longer tail is not adopted",
        "T3",
        (Primary, "_welcome_message", "self._taking_over and now < self.not_before", "False"),
    ),
    mutation(
        "anybody may take over (driver)",
        "T1",
        (Replica, "_try_lock", "self.me not in membership.members", "False"),
    ),
    mutation(
        "a member is known by its name alone (driver)",
        "T1",
        (
            Replica,
            "_try_lock",
            "self.me not in membership.members",
            "self.name not in {member.node for member in membership.members}",
        ),
    ),
    mutation(
        "the hand-over does not wait for the leases",
        "T5",
        (
            Primary,
            "_try_retire",
            "now < self.not_before or any(until > now for until in self.leases.values())",
            "now < self.not_before",
        ),
    ),
    mutation(
        "the hand-over does not wait for its own T2",
        "T5",
        (Primary, "_try_retire", "now < self.not_before or ", ""),
    ),
    mutation(
        "a clean end is never cleared",
        "T5",
        (
            Primary,
            "take_over",
            "membership.members, longest_s)",
            "membership.members, longest_s, membership.clean)",
        ),
        (
            Primary,
            "_record",
            "Membership(self.epoch, members, lease_s, clean)",
            "Membership(self.epoch, members, lease_s, clean or self.membership.clean)",
        ),
    ),
    mutation(
        "a restarted node trusts its disk after a clean end",
        "T5",
        (Primary, "take_over", "membership.clean and not restarted", "membership.clean"),
    ),
    mutation(
        "a retiring primary grants",
        "T5",
        (Primary, "_grant", " or self.retiring", ""),
    ),
)

JOINING = (
    mutation(
        "a hello before the disk is quiet",
        "J1",
        (ReplicaSubscriber, "connected", "return [] if self._writing else", "return"),
    ),
    mutation(
        "a new member counts before it is in the set",
        "J4",
        (Primary, "_advance", "if feed.member in self.membership.members:", "if True:"),
        (
            Primary,
            "_try_commit",
            "members != self.membership.members",
            "members < self.membership.members",
        ),
    ),
    mutation(
        "a new member counts before it is durable up to the tail",
        "J4",
        (Primary, "_advance", "if feed.welcomed and feed.acked == self.tail:", "if feed.welcomed:"),
    ),
    mutation(
        "who is passed over stays",
        "L3",
        (
            Primary,
            "_try_commit",
            'effects += self._close(feed, "did not acknowledge in time")',
            "pass",
        ),
    ),
    mutation(
        "the boundary is held for nobody",
        "J4",
        (Primary, "begin", "if feed.near and not feed.joined]", "if False]"),
    ),
    mutation(
        "the boundary is held for ever",
        "J4",
        (Primary, "tick", "now >= feed.hold_until", "False"),
    ),
    mutation(
        "a primary that lost commits stays",
        "J5",
        (
            Primary,
            "_welcome",
            "elif is_member and (page.base is not None or theirs.seq > self.tail.seq):",
            "elif False:",
        ),
    ),
    mutation(
        "a log that was compacted is sent all the same",
        "J3",
        (Primary, "_welcome", "if page.base == theirs:", "if page.base in (theirs, None):"),
    ),
    mutation(
        "a snapshot takes a member's pending entries",
        "J3",
        (
            Primary,
            "_welcome",
            "elif is_member and (self.pending or now < self.not_before):",
            "elif False:",
        ),
    ),
    mutation(
        "a snapshot counts from its first chunk",
        "J3",
        (ReplicaSubscriber, "stored", "if chunk.final:", "if chunk.first:"),
    ),
    mutation(
        "a snapshot's first chunk forgets what is held",
        "J3",
        (
            ReplicaSubscriber,
            "_installing",
            "return self._write",
            "self.pending.clear()\n    self._durable = self.committed\n    return self._write",
        ),
    ),
)

SELLING = (
    mutation(
        "orders from sales that are not committed (driver)",
        "S2",
        (
            Replica,
            "sales",
            "reply(200, sales_after(self.disk.image.state, cursor, 4))",
            "state = dict(self.disk.image.state)\n"
            "    for entry in self.disk.image.pending + self.transaction:\n"
            "        state.update(entry.effects)\n"
            "    reply(200, sales_after(state, cursor, 4))",
        ),
    ),
    mutation(
        "the cursor is not looked at (driver)",
        "S2",
        (shop, "_project", 'state.get("cursor", 0) != op.after or not op.sales', "not op.sales"),
    ),
)

ALL = WRITING + READING + CACHING + TAKING_OVER + JOINING + SELLING

Finding = tuple[int, str]


def first_finding(mutation: Mutation, seeds: Iterable[int]) -> Finding | None:
    """The first seed that notices, and what it says."""
    with mutation.applied():
        for seed in seeds:
            result = run(seed)
            if result.violation:
                return seed, result.violation
    return None


def hunt(index: int, within: int) -> Finding | None:
    """Look for the mutation in that many seeds, from where it is known to be found."""
    mutation = ALL[index]
    return first_finding(mutation, range(mutation.found_at, mutation.found_at + within))


def main() -> None:
    """Hunt for all of them, and print where each was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations")
    parser.add_argument("--within", type=int, default=500, help="seeds each (default: 500)")
    parser.add_argument("--from-zero", action="store_true", help="not from the known seeds")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--only", default="", help="mutations whose name contains this")
    options = parser.parse_args()
    with get_context("fork").Pool(options.jobs) as pool:
        hunts = []
        for index, mutation in enumerate(ALL):
            if options.only in mutation.name:
                first = 0 if options.from_zero else mutation.found_at
                seeds = range(first, first + options.within)
                hunts.append((mutation, pool.apply_async(first_finding_at, (index, seeds))))
        for mutation, finding in hunts:
            seed, violation = finding.get() or ("-", "not found")
            print(f"{mutation.rule:3} {seed:>5} {mutation.name}: {violation[:80]}", flush=True)


def first_finding_at(index: int, seeds: Iterable[int]) -> Finding | None:
    return first_finding(ALL[index], seeds)


if __name__ == "__main__":
    main()
