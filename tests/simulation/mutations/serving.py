"""Mutations of what serves clients: writing, reading, caching, selling."""

from __future__ import annotations

from bazar.cache import Cache
from bazar.replication import timing
from bazar.replication.primary import Primary
from bazar.replication.subscriber import CacheSubscriber, ReplicaSubscriber, Subscriber
from tests.simulation import node as node_module
from tests.simulation import shop
from tests.simulation.frontend import FrontEnd
from tests.simulation.mutations.mutation import mutation
from tests.simulation.node import Replica
from tests.simulation.profile import Profile
from tests.simulation.world import Process

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
        focus="tails",
    ),
    mutation(
        "a longer tail stays",
        "J2",
        (ReplicaSubscriber, "_joining", "if not welcome.adopting:", "if False:"),
        (ReplicaSubscriber, "_joining", "if not beyond:", "if True:"),
        focus="tails",
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
        focus="laggards",
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
        focus="disks",
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
        focus="disks",
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
        focus="laggards",
    ),
    mutation(
        "a lease counts from the arrival of its grant",
        "L1",
        (Subscriber, "_granted", "asked_at + grant.lease_s", "now + grant.lease_s"),
        focus="caching",
    ),
    mutation(
        "a renewal's number is used again",
        "L1",
        (Subscriber, "_renew", "self._number += 1", "self._number = 1"),
        focus="caching",
    ),
    mutation(
        "the holder counts its own lease_s",
        "L1",
        (Subscriber, "_granted", "asked_at + grant.lease_s", "asked_at + self.timing.lease_s"),
        focus="succession",
    ),
    mutation(
        "clocks that differ more than promised (driver)",
        "L1",
        (Profile, "clock_rate", "(-0.0049, 0.0049)", "(-0.025, 0.025)"),
        focus="clocks",
    ),
    mutation(
        "no allowance for clock rates",
        "L1",
        (timing.Timing, "surely_over_s", "lease_s * (1 + CLOCK_DRIFT)", "lease_s"),
        focus="clocks",
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
        focus="laggards",
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
        focus="hanging",
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
        focus="leaving",
    ),
    mutation(
        "a new primary answers reads of what it has yet to commit",
        "L4",
        (Primary, "read", "if self._taking_over else 0", "if False else 0"),
        focus="joining",
    ),
    mutation(
        "a restarted primary answers reads at once",
        "L4",
        (Primary, "read", "if self._unproven:", "if False:"),
        focus="power",
    ),
    mutation(
        "a restarted primary grants leases at once",
        "L4",
        (Primary, "_grant", "if owes or self._unproven:", "if owes:"),
        focus="power",
    ),
    mutation(
        "a restarted primary adds members at once",
        "J4",
        (Primary, "_advance", "if self._unproven:", "if False:"),
        focus="power",
    ),
)

CACHING = (
    mutation(
        "fills of dirty keys are kept",
        "C3",
        (Cache, "board", "if not self.guard.clean(tags, now):", "if False:"),
        focus="caching",
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
        focus="laggards",
    ),
    mutation(
        "a cache keeps its content when it lost its lease and joins anew",
        "C4",
        (CacheSubscriber, "_granted", "return [Reset()] if lapsed else []", "return []"),
        (CacheSubscriber, "_joining", "return [Reset()]", "return []"),
        focus="caching",
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
        focus="caching",
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
        focus="caching",
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
