"""Mutations of what serves clients: writing, reading, caching."""

from __future__ import annotations

from bazar.cache import Cache
from bazar.replication import joining, timing
from bazar.replication.cache_subscriber import CacheSubscriber
from bazar.replication.primary import Primary
from bazar.replication.replica import Replica
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.subscriber import Subscriber
from handlers.catalog.known_book import KnownBook
from handlers.catalog.service import CatalogService
from storage.hot_books import HotBooks
from tests.simulation.mutations.mutation import mutation, shop

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
            "self._record(members, PassOver(), now)",
            'self._record(members, "", now) + self._commit()',
        ),
        (Primary, "recorded", "case Lead():", 'case Lead() | "":'),
        (  # by itself this is no fault: the core waits for what it needs
            Replica,
            "_carry_out",
            "case ReadLog():",
            "case Record():\n"
            "            self._tasks.spawn(self._write_out(effect))\n"
            "        case ReadLog():",
        ),
        focus="shrinking",
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
        near=22,
    ),
    mutation(
        "a longer tail stays",
        "J2",
        (ReplicaSubscriber, "_joining", "if not welcome.adopting:", "if False:"),
        (ReplicaSubscriber, "_joining", "if not beyond:", "if True:"),
        focus="tails",
        near=32,
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
        near=1,
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
        near=13,
    ),
    mutation(
        "a lease counts from the arrival of its grant",
        "L1",
        (Subscriber, "_granted", "asked_at + grant.lease_s", "now + grant.lease_s"),
        focus="caching",
        near=58,
    ),
    mutation(
        "a renewal's number is used again",
        "L1",
        (Subscriber, "_renew", "self._number += 1", "self._number = 1"),
        focus="caching",
        near=240,
    ),
    mutation(
        "the holder counts its own lease_s",
        "L1",
        (Subscriber, "_granted", "asked_at + grant.lease_s", "asked_at + self.timing.lease_s"),
        focus="succession",
        near=3,
    ),
    mutation(
        "no allowance for clock rates",
        "L1",
        (timing.Timing, "surely_over_s", "lease_s * (1 + DRIFT)", "lease_s"),
        focus="clocks",
        near=61,
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
        near=12,
    ),
    mutation(
        "a hello ends a lease",
        "L3",
        (
            Primary,
            "_hello",
            "self.feeds[feed_id] = Subscription(feed_id, hello)",
            "self.leases.pop(hello.run, None)\n"
            "    self.feeds[feed_id] = Subscription(feed_id, hello)",
        ),
        near=17,
    ),
    mutation(
        "who owes an acknowledgement is granted all the same",
        "L3",
        (Primary, "_grant", "if owes or self._unproven or not lease_s:", "if self._unproven:"),
        focus="hanging",
        near=26,
    ),
    mutation(
        "a grant before the join",
        "J4",
        (Primary, "_grant", "if not feed.joined or", "if not feed.welcomed or"),
        (Primary, "_grant", "owes = feed.acked", "owes = feed.joined and feed.acked"),
        near=17,
    ),
    mutation(
        "a grant under way undoes a release",
        "L3",
        (Subscriber, "release", "self._asked.clear()", "pass"),
        (  # by itself this is no fault: nothing is answered any more
            Replica,
            "stop",
            "self._client.release()",
            "self._client.release()\n        await asyncio.sleep(0.2)",
        ),
        focus="leaving",
        near=33,
    ),
    mutation(
        "a new primary answers reads of what it has yet to commit",
        "L4",
        (Primary, "read", "if self._inherits else 0", "if False else 0"),
        focus="joining",
        near=25,
    ),
    mutation(
        "a restarted primary answers reads at once",
        "L4",
        (Primary, "read", "if self._unproven:", "if False:"),
        focus="power",
        near=5,
    ),
    mutation(
        "a restarted primary grants leases at once",
        "L4",
        (Primary, "_grant", "if owes or self._unproven or not lease_s:", "if owes:"),
        focus="power and leases",
        near=45,
    ),
    mutation(
        "a restarted primary adds members at once",
        "J4",
        (Primary, "_advance", "if self._unproven:", "if False:"),
        focus="power",
        near=33,
    ),
)

REMEMBERING = (
    mutation(
        "a book in memory outlives what changes it",
        "L2",
        (HotBooks, "committed", "self._books.pop(tag, None)", "pass"),
        focus="reading",
    ),
    mutation(
        "a book in memory is shown while its change is committed",
        "L4",
        (HotBooks, "get", "None if _is_pending(tag, core) else ", ""),
        focus="reading",
        near=70,
    ),
    mutation(
        "a book is kept that was read before its change",
        "L2",
        (HotBooks, "put", "since == core.committed == self._mark and ", ""),
        focus="reading",
        near=93,
    ),
    mutation(
        "books in memory outlive their state",
        "J3",
        (HotBooks, "get", "if core.committed != self._mark:", "if False:"),
        (HotBooks, "committed", "if not _follows(entries[0], self._mark):", "if False:"),
        focus="reading",
        near=16,
    ),
    mutation(
        "a book that is known is shown without a lease",
        "L2",
        (
            CatalogService,
            "known_now",
            "if not self.replica.reads.is_open(frozenset({tag})):",
            "if False:",
        ),
        focus="reading",
        near=9,
    ),
    mutation(
        "a book that is known stays as it was",
        "L2",
        (KnownBook, "_shown", "self._made is None or found is not self._made[0]", "not self._made"),
        focus="reading",
    ),
)

CACHING = (
    shop(
        "fills of dirty keys are kept",
        "C3",
        (Cache, "join", "if not self.guard.clean(tags, now):", "if False:"),
        focus="caching",
        near=55,
    ),
    shop(
        "an invalidation detaches no flight",
        "C2",
        (Cache, "drop", "self._detach(flight)", "pass"),
        near=98,
    ),
    shop(
        "an invalidation drops nothing",
        "C2",
        (Cache, "drop", "dropped += store.remove(key)", "pass"),
    ),
    shop(
        "an entry detaches only the searches that it changes",
        "C5",
        (Cache, "drop", "if flight.tags is None or not", "if flight.tags is not None and not"),
        focus="fetching",
        near=1,
    ),
    shop(
        "searches are stored while something is pending",
        "C5",
        (CacheSubscriber, "touched", "(self.pending, tags)", "(self.pending, tags or frozenset())"),
        focus="fetching",
    ),
    shop(
        "what is cached is served without a lease",
        "C1",
        (Cache, "find", "if not self.guard.lease_valid(now):", "if False:"),
        focus="laggards",
        near=40,
    ),
    shop(
        "a cache keeps its content when it lost its lease and joins anew",
        "C4",
        (CacheSubscriber, "_granted", "return [Reset()] if lapsed else []", "return []"),
        (CacheSubscriber, "_joining", "return [Reset()]", "return []"),
        focus="caching",
    ),
    shop(
        "an old lease's flights go on",
        "C2",
        (
            Cache,
            "reset",
            "for flight in list(self._flights.values()):",
            "for flight in list(self._flights.values())[:0]:",
        ),
        focus="lapsing",
        near=1,
    ),
    shop(
        "passes are joined",
        "C3",
        (
            Cache,
            "join",
            "        return None\n",
            "        detached = Flight(store, key, tags, detached=True)\n"
            "        return self._flights.setdefault(key, detached)\n",
        ),
        focus="caching",
        near=65,
    ),
    shop(
        "a cache that joins is not told what is pending",
        "J6",
        (joining, "join_cache", "if tenure.pending:", "if False:"),
        (
            joining,
            "join_cache",
            "feed.acked, feed.asked_at = tenure.committed, now",
            "feed.acked = tenure.tail",
        ),
        near=5,
    ),
)
