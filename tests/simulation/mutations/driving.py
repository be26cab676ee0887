"""Mutations of what drives the protocol: the replica's life, its disk, its feeds, the arbiter."""

from __future__ import annotations

from bazar import durable
from bazar.replication.batches import Batches
from bazar.replication.candidate import Candidate
from bazar.replication.feed_client import FeedClient
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.primary import Primary
from bazar.replication.reads import Reads
from bazar.replication.replica import Replica
from bazar.replication.timekeeper import Timekeeper
from bazar.replication.write_queue import WriteQueue
from handlers.calls import CallsHandler
from handlers.replicated import ReplicatedService
from tests.simulation.mutations.mutation import mutation, shop

IN_THE_SET = "self.me in membership.members"

LEADING = (
    mutation(
        "anybody may take over",
        "T1",
        (Candidate, "may_lead", f"if membership is None or {IN_THE_SET}:", "if True:"),
        focus="joining",
        near=4,
    ),
    mutation(
        "a member is known by its name alone",
        "T1",
        (Candidate, "may_lead", IN_THE_SET, "self.me.node in {m.node for m in membership.members}"),
        focus="power",
        near=2,
    ),
    mutation(
        "the membership is read before the lock is got",
        "T1",
        (
            Candidate,
            "may_lead",
            "if not self._arbiter.try_acquire():",
            "before = self.membership()\n    if not self._arbiter.try_acquire():",
        ),
        (
            Candidate,
            "may_lead",
            "membership = self.membership()\n    if",
            "membership = before\n    if",
        ),
        (Replica, "_live", "if not self.candidate.may_lead(self.subscriber.last):", "if False:"),
        focus="calls",
        near=333,
    ),
    mutation(
        "a group whose membership is missing begins anew",
        "T0",
        (
            Candidate,
            "may_lead",
            "if membership is None and last",
            "if False and last",
        ),
        focus="forgetting",
    ),
    mutation(
        "a membership that is deleted is not made anew",
        "T0",
        (FileArbiter, "check", "if self._is_older(found):", "if False:"),
        focus="forgetting",
    ),
    mutation(
        "a membership that is put back is not made anew",
        "T0",
        (FileArbiter, "_is_older", "parse_membership(found).epoch <= self._epoch", "False"),
        focus="forgetting",
        near=1,
    ),
    mutation(
        "a primary whose file is deleted records who is in sync",
        "R8",
        (Replica, "_write_out", "await self.store.sync()", "pass"),
        focus="deleting",
        near=203,
    ),
    mutation(
        "a follower stays whose file is deleted",
        "R8",
        (Replica, "_live", "self.store.check()", "pass"),
        focus="deleting",
        near=261,
    ),
    mutation(
        "a primary stays whose file is deleted",
        "R8",
        (Timekeeper, "run", "self._check()", "pass"),
        focus="idling",
    ),
    mutation(
        "what the feed has left is not on disk when one leads",
        "J1",
        (Replica, "_live", "await self.disk.join()", "pass"),
        focus="disks",
        near=73,
    ),
    mutation(
        "a follower goes on following when it leads",
        "T1",
        (Replica, "_live", "following.cancel()", "pass"),
    ),
    mutation(
        "a disk that hangs may lead",
        "T1",
        (Replica, "_live", "await self.store.probe()", "pass"),
        focus="hanging",
        near=87,
    ),
    mutation(
        "the last member may be one whose disk hangs",
        "T4",
        (Replica, "_write_out", "await self.store.sync()", "pass"),
        focus="hanging leader",
        near=57,
    ),
    mutation(
        "a disk that hangs may be read for ever",
        "T1",
        (Replica, "_read_log", "async with within():", "if True:"),
        focus="hanging log",
        near=60,
    ),
    mutation(
        "nobody was restarted",
        "L4",
        (Replica, "_lead", "restarted=not follower.followed", "restarted=False"),
        focus="power",
        near=5,
    ),
    mutation(
        "a batch is committed that is not proven",
        "L4",
        (
            Primary,
            "_try_commit",
            "if now < self.not_before or self._unproven:",
            "if now < self.not_before:",
        ),
        focus="hearing",
        near=147,
    ),
    mutation(
        "a hand-over does not wait for its batch",
        "T5",
        (Primary, "_try_retire", " or self.phase is not Phase.IDLE", ""),
        focus="leaving",
        near=6,
    ),
    mutation(
        "a silent primary is never left",
        "J1",
        (
            FeedClient,
            "_follow",
            "if not self._waits and silent_s > SILENT_LEASES * lease_s:",
            "if False:",
        ),
        focus="silence",
        near=1,
    ),
    mutation(
        "a lease is not given back",
        "L3",
        (Replica, "stop", "self._client.release()", "pass"),
        focus="leaving",
        near=3,
    ),
    mutation(
        "a primary that leaves hands nothing over",
        "T5",
        (
            Replica,
            "stop",
            "self._perform(self.primary.retire(self.clock()))",
            "self._stopped.set()",
        ),
        focus="leaving",
        near=3,
    ),
    mutation(
        "a node that leaves takes calls, and its primary writes",
        "T5",
        (CallsHandler, "answer_call", "if activity.draining:", "if False:"),
        (ReplicatedService, "stop", "connection.close()", "pass"),
        (Replica, "write", "if self.primary.life is not Life.LEADING or", "if"),
        focus="leaving",
    ),
)

ARBITRATING = (
    mutation(
        "grants are not confirmed",
        "L5",
        (Primary, "_grant", "[Confirm(), Send(", "[Send("),
        focus="stealing",
        near=27,
    ),
    mutation(
        "reads are not confirmed",
        "L5",
        (Primary, "read", "if now >= self._leads_until:", "if False:"),
        focus="seizing",
        near=153,
    ),
    mutation(
        "the arbiter is not asked",
        "L5",
        (Replica, "_still_leads", "self._arbiter.check(self.primary.epoch)", "pass"),
        focus="stealing",
        near=68,
    ),
    mutation(
        "a lock that was deleted is kept for ours",
        "L5",
        (FileArbiter, "_check_lock", "not self._is_ours(self._lock_fd)", "False"),
        (FileArbiter, "check", "found == self._known", "True"),
        focus="stealing",
        near=1,
    ),
    mutation(
        "who has the lock is not asked",
        "T1",
        (FileArbiter, "try_acquire", "return False\n    # The file", "pass\n    # The file"),
    ),
    mutation(
        "a membership is recorded over another's",
        "T2",
        (FileArbiter, "_exchange", "if self._known != found:", "if False:"),
        (FileArbiter, "_exchange", "recorded.epoch > membership.epoch", "False"),
        (FileArbiter, "_alone", "self._check_lock()", "pass"),
        focus="overtaking",
        near=6,
    ),
    mutation(
        "a membership is looked at, and another written over meanwhile",
        "T2",
        (FileArbiter, "_alone", "fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),
        focus="overtaking",
        near=46,
    ),
    mutation(
        "the membership's file is not synced",
        "T2",
        (durable, "atomic_write", "os.fsync(fd)", "pass"),
        focus="outages",
    ),
    mutation(
        "the membership's directory is not synced",
        "T2",
        (durable, "atomic_write", "sync_path(path.parent)", "pass"),
        focus="outages",
        near=2,
    ),
    mutation(
        "the membership's file is written in place",
        "T2",
        (
            durable,
            "atomic_write",
            'temporary = path.with_name(f"{path.name}.{os.getpid()}.new")',
            "temporary = path",
        ),
        (durable, "atomic_write", "temporary.replace(path)", "pass"),
        focus="outages",
        near=36,
    ),
)

BATCHING = (
    mutation(
        "replays are answered before the commit",
        "R3",
        (
            Batches,
            "_write",
            'self.note("executed")',
            'self.note("executed")\n'
            "    for ticket, outcome in self._batch:\n"
            "        if outcome.change is None:\n"
            "            ticket.resolve(outcome.answer)",
        ),
        focus="repeating",
        near=1,
    ),
    mutation(
        "a batch is answered when it is prepared",
        "R3",
        (
            Batches,
            "_write",
            "self._perform(self.primary.propose(entries, self.clock()))",
            "self._perform(self.primary.propose(entries, self.clock()))\n        self.answer()",
        ),
    ),
    mutation(
        "a batch that cannot be written goes on",
        "R4",
        (Batches, "_write", "        return\n    self._begun =", "    self._begun ="),
        (
            Batches,
            "_write",
            "    except FatalError:",
            "        outcomes, entries = [], ()\n    except FatalError:",
        ),
        focus="disks",
    ),
    mutation(
        "a failed batch keeps its boundary shut",
        "R4",
        (
            Batches,
            "_write",
            "self._perform(self.primary.abort(self.clock()))\n        for",
            "for",
        ),
        focus="disks",
        near=14,
    ),
    mutation(
        "a commit that fails is called failed",
        "R4",
        (
            Replica,
            "_write_out",
            "await self.store.apply(mark, synced=self.primary is not None)",
            "try:\n"
            "                await self.store.apply(mark, synced=self.primary is not None)\n"
            "            except OSError:\n"
            "                self.queue.refuse_all('the disk is full')\n"
            "                for ticket, _ in self._batches._batch:\n"
            "                    ticket.resolve(Unavailable('the disk is full'))\n"
            "                return",
        ),
        focus="disks",
        near=245,
    ),
    mutation(
        "a full disk goes unnoticed",
        "R2",
        (
            Replica,
            "_write_out",
            "await self.store.persist(after, entries)",
            "with contextlib.suppress(OSError):\n"
            "                await self.store.persist(after, entries)",
        ),
        focus="disks",
        near=1,
    ),
    mutation(
        "what was answered 503 stays in the queue",
        "R5",
        (WriteQueue, "_is_late", "self._waiting.remove(ticket)", "pass"),
        (WriteQueue, "waits", "if now >= one.until", "if False"),
        focus="laggards",
    ),
    mutation(
        "a write that was taken is called not taken",
        "R5",
        (WriteQueue, "_is_late", "= Indeterminate(", "= Unavailable("),
        focus="laggards",
        near=1,
    ),
    shop(
        "a commit wakes nobody",
        "L2",
        (Reads, "committed", "committed.set()", "pass"),
        near=3,
    ),
    mutation(
        "the read barrier times out and lets pass",
        "L2",
        (
            Reads,
            "barrier",
            "if not await self.wait_applied(seq, self.lease_s):",
            "await self.wait_applied(seq, self.lease_s)\n    if False:",
        ),
        focus="barrier",
        near=2,
    ),
    mutation(
        "the read barrier is not waited for",
        "L2",
        (
            Reads,
            "barrier",
            "if not await self.wait_applied(seq, self.lease_s):",
            "if False:",
        ),
        focus="laggards",
    ),
    mutation(
        "a primary that has handed over answers reads",
        "T5",
        (Primary, "read", "if self.stopped or not self.on_record:", "if not self.on_record:"),
        focus="leaving",
        near=8,
    ),
    mutation(
        "the starting stock is not waited for",
        "T0",
        (Reads, "index", "if self._seeded and core.committed.seq == 0:", "if False:"),
        focus="starting",
    ),
    mutation(
        "a write is passed on twice",
        "R7",
        (ReplicatedService, "write_forwarded", "may_forward=False", "may_forward=True"),
        focus="succession",
        near=36,
    ),
    mutation(
        "what was passed on is passed on again",
        "R7",
        (Replica, "write", "if leader is None or not may_forward:", "if leader is None:"),
        focus="succession",
        near=36,
    ),
)
