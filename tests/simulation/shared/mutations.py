"""Faults of the protocol over a database: each takes a rule out of the product's code or SQL."""

from __future__ import annotations

from bazar.replication.batches import Batches
from bazar.replication.shared.candidate import Candidate
from bazar.replication.shared.hold import Hold, Tempo, Watch
from bazar.replication.shared.primary import SharedPrimary
from bazar.replication.shared.replica import SharedReplica
from bazar.replication.shared.shown import Shown
from bazar.replication.timing import Timing
from storage import history
from storage.catalog import Catalog
from storage.postgresql.link import Link
from storage.postgresql.reading import ReadSessions
from storage.postgresql.register import PostgreSQLRegister
from storage.postgresql.store import PostgreSQLStore
from tests.simulation.mutations.mutation import Edit, Mutation

UNMET = -1
"""No seed is known yet that meets it: `run.py --mutations` goes on looking."""


def mutation(name: str, rule: str, *edits: Edit, focus: str = "", near: int = UNMET) -> Mutation:
    return Mutation(name, rule, edits, focus, shop=True, near=near)


SHARED: tuple[Mutation, ...] = (
    mutation(
        "an old primary's beat sets a new one's, and prolongs a hold that is over",
        "P1",
        (PostgreSQLRegister, "__init__", " WHERE epoch_id = $2 AND NOT released", " WHERE $2 = $2"),
        (PostgreSQLRegister, "beat", 'if changed.tag != "UPDATE 1":', "if False:"),
        (Hold, "confirmed", "if now < self.until:", "if True:"),
        (SharedReplica, "_must_hold", "if self.clock() >=", "if self.clock() - 0.5 >="),
        focus="oversleeping",
        near=2,
    ),
    mutation(
        "the hold counts from the confirmation",
        "P1",
        (
            SharedReplica,
            "_beat",
            "primary.hold.confirmed(sent_at, self.clock())",
            "primary.hold.confirmed(self.clock(), self.clock())",
        ),
        focus="fading",
        near=2,
    ),
    mutation(
        "a primary answers reads behind its hold",
        "P2",
        (SharedPrimary, "read", "if released or now >= self.hold.until:", "if released:"),
        (SharedReplica, "_must_hold", "if self.clock() >= self.primary.hold.until:", "if False:"),
        focus="holding",
        near=0,
    ),
    mutation(
        "a lease may outlast the hold",
        "P2",
        (
            SharedPrimary,
            "_lease_s",
            "min(super()._lease_s(now), self.hold.grantable_s(now))",
            "super()._lease_s(now)",
        ),
        focus="fading",
        near=12,
    ),
    mutation(
        "leases forget that their holders may stand still",
        "P2",
        (Hold, "grantable_s", " - self._tempo.pause_s", ""),
        (Tempo, "over_s", " + self.pause_s", ""),
        focus="standing apart",
        near=50,
    ),
    mutation(
        "a primary forgets that its subscribers may stand still",
        "P2",
        (Timing, "counted_s", " + self.pause_s", ""),
        focus="standing apart",
        near=12,
    ),
    mutation(
        "a batch is committed over another connection than it was begun",
        "P5",
        (Link, "go_on", "session = self._open", "session = await self.session()"),
        (
            PostgreSQLStore,
            "commit",
            "check_committed(await self._link.go_on(COMMIT))",
            "await self._link.go_on(COMMIT)",
        ),
        focus="ending",
    ),
    mutation(
        "a candidate goes on counting over another connection",
        "P3",
        (Watch, "saw", "if look != self._seen:", "if look.beat != getattr(self._seen, 'beat', 0):"),
        (Watch, "lost", "self._seen = None", "pass"),
        focus="losing",
        near=35,
    ),
    mutation(
        "a candidate counts from before the answer",
        "P3",
        (
            Candidate,
            "try_to_lead",
            "look = await self._database.register.look()\n        now = self._clock()",
            "now = self._clock()\n        look = await self._database.register.look()",
        ),
        focus="holding",
        near=63,
    ),
    mutation(
        "a candidate waits as long as a hold lasts",
        "P3",
        (Tempo, "over_s", "Timing.surely_over_s(self.primary_lease_s)", "self.primary_lease_s / 2"),
        focus="holding",
        near=0,
    ),
    mutation(
        "two candidates may take over the same beat",
        "P3",
        (
            PostgreSQLRegister,
            "__init__",
            " WHERE epoch_id = $6 AND value = $7 AND released = $8",
            " WHERE $6 = $6 AND $7 = $7 AND $8 = $8",
        ),
        focus="holding",
        near=44,
    ),
    mutation(
        "a take-over counts although nobody has confirmed it",
        "P3",
        (
            PostgreSQLRegister,
            "take_over",
            "check_committed(await self._link.go_on(tell, COMMIT))",
            "with contextlib.suppress(Broken, Refused):\n"
            "                check_committed(await self._link.go_on(tell, COMMIT))",
        ),
        focus="wavering",
        near=0,
    ),
    mutation(
        "who has released the primaryship answers on",
        "T5",
        (SharedPrimary, "read", "isinstance(self._recording, HandOver)", "False"),
        focus="leaving",
        near=0,
    ),
    mutation(
        "an old primary's batch goes on in a new epoch",
        "P4",
        (
            PostgreSQLStore,
            "__init__",
            " WHERE epoch_id = $2 AND number = $3",
            " WHERE $2 = $2 AND $3 = $3",
        ),
        (PostgreSQLStore, "execute", "if found != [self._mark]:", "if False:"),
        focus="belated",
        near=22,
    ),
    mutation(
        "a primary goes on although the database has lost its commits",
        "P4",
        (
            PostgreSQLStore,
            "execute",
            "if found != [self._mark]:",
            "if found[0].digest != self._mark.digest:",
        ),
        (
            PostgreSQLStore,
            "__init__",
            " WHERE epoch_id = $2 AND number = $3",
            " WHERE epoch_id = $2 AND $3 = $3",
        ),
        focus="losing",
        near=16,
    ),
    mutation(
        "a beat does not look whether the database has lost commits",
        "P4",
        (PostgreSQLRegister, "beat", "if number < committed:", "if False:"),
        focus="idling",
        near=0,
    ),
    mutation(
        "nobody looks whether the mark was set",
        "P4",
        (PostgreSQLStore, "_append", 'if reply.results[-1].tag != "UPDATE 1":', "if False:"),
        (PostgreSQLStore, "__init__", " FOR NO KEY UPDATE", ""),
        focus="belated",
        near=2,
    ),
    mutation(
        "a commit counts although nobody has confirmed it",
        "P5",
        (
            PostgreSQLStore,
            "commit",
            'raise FatalError(f"entry {mark.seq} is in doubt: {error}") from error',
            "pass",
        ),
        focus="doubting",
        near=1,
    ),
    mutation(
        "a purchase is undone however late",
        "S6",
        (Catalog, "_cancel", '_in_time(sale, buyer["within_ms"], work.now_ms)', "pass"),
        focus="giving back",
        near=0,
    ),
    mutation(
        "a commit that somebody has cancelled counts",
        "P5",
        (
            PostgreSQLStore,
            "commit",
            "check_committed(await self._link.go_on(COMMIT))",
            "await self._link.go_on(COMMIT)",
        ),
        focus="cancelling",
        near=27,
    ),
    mutation(
        "what is in doubt is called failed",
        "R5",
        (Batches, "abandon", "Indeterminate(reason)", "Unavailable(reason)"),
        focus="doubting",
        near=49,
    ),
    mutation(
        "an epoch has no id of its own",
        "H1",
        (
            Candidate,
            "_take_over",
            'epoch_id = f"{self._run}-{self._epochs}"',
            "epoch_id = str(epoch)",
        ),
        focus="losing",
        near=0,
    ),
    mutation(
        "a position is on a history that has another epoch of its number",
        "H2",
        (
            history,
            "is_on",
            "if position.id is not None and (own is None or own.id",
            "if False and (own.id",
        ),
        focus="losing",
        near=20,
    ),
    mutation(
        "what nobody was told of is shown",
        "L6",
        (Shown, "read", "if await self._is_told(mark, tags, deadline):", "if True:"),
        focus="standing by",
        near=5,
    ),
    mutation(
        "what is older than was told is shown",
        "L6",
        (Shown, "read", "mark.digest == told.digest and mark.seq >= told.seq", "True"),
        (Shown, "read", "if await self._is_told(mark, tags, deadline):", "if True:"),
        focus="standing by",
        near=1,
    ),
    mutation(
        "another epoch's rows are shown",
        "L6",
        (
            Shown,
            "read",
            "mark.digest == told.digest and mark.seq >= told.seq",
            "mark.seq >= told.seq",
        ),
        (Shown, "_is_told", " and self._core().committed.digest == mark.digest", ""),
        focus="stranding",
        near=5,
    ),
    mutation(
        "what pends does not keep a newer snapshot from being shown",
        "L6",
        (Shown, "_is_told", "and not touched_seq(pending, tags)", ""),
        focus="standing by",
        near=5,
    ),
    mutation(
        "what was told is looked at behind the snapshot",
        "L6",
        (
            Shown,
            "read",
            "now = self._told()",
            "now = told = Mark(min(mark.seq, self._told().seq), self._told().digest)",
        ),
        focus="standing by",
        near=3,
    ),
    mutation(
        "rows and mark are not of one moment",
        "L6",
        (
            ReadSessions,
            "_read",
            "session.run(BEGIN, self._mark, *statements, COMMIT, timeout_s=READ_S)",
            'session.run(Statement("BEGIN"), *statements, self._mark, COMMIT, timeout_s=READ_S)',
        ),
        (
            ReadSessions,
            "_read",
            "_, mark, *found, _ = reply.results",
            "_, *found, mark, _ = reply.results",
        ),
        focus="looking",
        near=9,
    ),
    mutation(
        "a primary does not heed what candidates say",
        "P7",
        (SharedReplica, "_heed", "word.hears > hears", "False"),
        focus="deaf",
        near=0,
    ),
    mutation(
        "a candidate does not say that the primary is out of reach",
        "P7",
        (Candidate, "_leave_word", "if not follows and", "if False and"),
        focus="deaf",
        near=0,
    ),
)
