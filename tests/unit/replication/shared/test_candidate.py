"""Who takes the primaryship over, and when; and what a candidate says that reaches the database
alone (P3, P7)."""

from __future__ import annotations

import unittest
from dataclasses import replace

from bazar.replication.messages import Mark
from bazar.replication.shared.candidate import ABSTAIN_LEASES, Candidate, Won
from bazar.replication.shared.database import Beat, Word
from bazar.replication.shared.hold import Tempo
from tests.unit.replication.shared.memory import MemoryDatabase

TEMPO = Tempo(primary_lease_s=4.0, pause_s=0.5)
GRACE_S = 2.0
THEIRS = Beat(3, "theirs", "theirs:7", False, "catalog-2", 0)


class CandidateCase(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.now = 100.0
        self.database = MemoryDatabase()
        self.register = self.database.register
        self.candidate = Candidate(
            *("catalog-1", "run", self.database, TEMPO, GRACE_S, lambda: self.now)
        )

    async def look(self, *, known: int = 0, follows: bool = False) -> Won | None:
        return await self.candidate.try_to_lead(known, follows=follows)

    async def waits_for_theirs(self) -> None:
        """Look again for as long as another's beat must be seen, from now on."""
        self.assertIsNone(await self.look())
        self.now += TEMPO.over_s - 0.5
        self.assertIsNone(await self.look())
        self.now += 0.5


class TakingOverTest(CandidateCase):
    async def test_p3_what_is_released_is_taken_at_once(self) -> None:
        self.register.number = 7
        won = await self.look()
        assert won is not None
        self.assertEqual((won.epoch, won.mark, won.derived), (1, Mark(7, "run-1"), True))
        self.assertEqual(
            self.register.row, Beat(1, "run-1", "run-1:0", False, "catalog-1", over_ms=4540)
        )

    async def test_p3_a_beat_is_seen_for_the_whole_time_first(self) -> None:
        self.register.row = THEIRS
        await self.waits_for_theirs()
        won = await self.look()
        assert won is not None
        self.assertEqual(won.epoch, THEIRS.epoch + 1)

    async def test_the_epoch_is_above_the_beats_and_above_all_that_is_known(self) -> None:
        won = await self.look(known=8)
        assert won is not None
        self.assertEqual(won.epoch, 9)

    async def test_h1_an_id_is_never_used_again_whatever_becomes_of_its_epoch(self) -> None:
        self.register.faster = replace(self.register.row, value="another")
        self.assertIsNone(await self.look())
        won = await self.look()
        assert won is not None
        self.assertEqual(won.mark.digest, "run-2")

    async def test_p1_the_hold_counts_from_when_the_beat_was_sent(self) -> None:
        def passes() -> None:
            self.now += 1.0

        self.register.before_commit = self.register.after_commit = passes
        won = await self.look()
        assert won is not None
        self.assertEqual(won.hold.until, 101.0 + TEMPO.primary_lease_s)

    async def test_p1_what_is_confirmed_when_the_hold_is_over_is_not_led(self) -> None:
        for late_s, leads in ((3.9, True), (4.0, False), (4.1, False)):
            with self.subTest(late_s=late_s):
                self.setUp()

                def passes(late_s: float = late_s) -> None:
                    self.now += late_s

                self.register.after_commit = passes
                self.assertEqual(await self.look() is not None, leads)

    async def test_whoever_takes_over_brings_the_tables_up_and_derives_the_first_slice(
        self,
    ) -> None:
        self.database.slices = 1
        won = await self.look()
        assert won is not None
        self.assertFalse(won.derived)
        self.assertEqual((self.database.upgraded, self.database.derived), (["run-1"], ["run-1"]))

    async def test_p3_one_that_was_faster_is_waited_for_and_nothing_is_changed(self) -> None:
        self.register.faster = THEIRS
        self.assertIsNone(await self.look())
        self.assertEqual(self.register.row, THEIRS)
        self.assertEqual(self.database.upgraded, [])

    async def test_p3_a_try_that_has_failed_counts_anew(self) -> None:
        """For what it took, nobody has looked."""
        self.register.row = THEIRS
        await self.waits_for_theirs()
        self.register.down = True
        self.assertIsNone(await self.look())
        self.assertEqual(self.candidate.trouble, "the database is down")
        self.register.down = False
        self.assertIsNone(await self.look())
        self.assertEqual(self.register.row, THEIRS)

    async def test_p3_who_has_led_meanwhile_counts_anew(self) -> None:
        self.register.row = THEIRS
        await self.waits_for_theirs()
        self.candidate.lost()
        self.assertIsNone(await self.look())

    async def test_p7_who_has_handed_over_lets_others_take_it_for_a_while(self) -> None:
        self.candidate.abstain()
        self.now += ABSTAIN_LEASES * TEMPO.primary_lease_s - 0.1
        self.assertIsNone(await self.look())
        self.assertTrue(self.register.row.released)
        self.now = 100.0 + ABSTAIN_LEASES * TEMPO.primary_lease_s
        self.assertIsNotNone(await self.look())

    def test_what_keeps_a_node_from_going_on_is_said_once(self) -> None:
        with self.assertLogs("bazar.replication.shared.candidate", "WARNING") as logs:
            for trouble in ("one", "one", "another", "one"):
                self.candidate.note(trouble)
                self.assertEqual(self.candidate.trouble, trouble)
        self.assertEqual(len(logs.output), 3, logs.output)


class LeavingWordTest(CandidateCase):
    """P7: a candidate sees a primary's beat, and subscribers ask it."""

    def setUp(self) -> None:
        super().setUp()
        self.register.row = replace(THEIRS, over_ms=60_000)  # nobody takes over meanwhile

    async def watches(self) -> None:
        """See their beat long enough that subscribers have found them, if they can."""
        self.assertIsNone(await self.look())
        self.now += GRACE_S + 0.1

    async def left(self, *, follows: bool = False) -> list[Word]:
        """The words that it leaves with its next look."""
        self.register.left.clear()
        self.assertIsNone(await self.look(follows=follows))
        return self.register.left

    def word(self, hears: int, beat: Beat = THEIRS) -> Word:
        return Word("catalog-1", beat.value, hears)

    async def test_who_is_asked_by_others_says_by_how_many_and_itself(self) -> None:
        await self.watches()
        self.candidate.heard("frontend-1")
        self.assertEqual(await self.left(), [self.word(2)])
        self.candidate.heard("frontend-1")
        self.candidate.heard("frontend-2")
        self.assertEqual(await self.left(), [self.word(3)])

    async def test_who_is_asked_by_nobody_says_nothing(self) -> None:
        await self.watches()
        self.assertEqual(await self.left(), [])

    async def test_who_follows_the_primary_says_nothing(self) -> None:
        await self.watches()
        self.candidate.heard("frontend-1")
        self.assertEqual(await self.left(follows=True), [])
        self.assertEqual(await self.left(), [self.word(2)])

    async def test_those_that_have_not_asked_for_a_while_do_not_count(self) -> None:
        await self.watches()
        self.candidate.heard("frontend-1")
        self.now += GRACE_S
        self.candidate.heard("frontend-2")
        self.assertEqual(await self.left(), [self.word(3)])
        self.now += 0.1
        self.assertEqual(await self.left(), [self.word(2)])
        self.now += GRACE_S
        self.assertEqual(await self.left(), [])

    async def test_subscribers_have_the_time_to_find_a_primary(self) -> None:
        self.assertEqual(await self.left(), [])
        self.candidate.heard("frontend-1")
        self.now += GRACE_S
        self.candidate.heard("frontend-1")
        self.assertEqual(await self.left(), [])
        self.now += 0.1
        self.assertEqual(await self.left(), [self.word(2)])

    async def test_each_new_primary_is_looked_for_anew(self) -> None:
        await self.watches()
        self.candidate.heard("frontend-1")
        self.candidate.heard("frontend-2")
        other = self.register.row = replace(self.register.row, epoch_id="other", value="other:1")
        self.assertEqual(await self.left(), [])
        self.now += GRACE_S
        self.candidate.heard("frontend-1")
        self.assertEqual(await self.left(), [])
        self.now += 0.1
        self.assertEqual(await self.left(), [self.word(2, other)])

    async def test_those_that_asked_under_the_primary_before_do_not_count(self) -> None:
        await self.watches()
        self.candidate.heard("frontend-1")
        other = self.register.row = replace(self.register.row, epoch_id="other", value="other:1")
        self.assertEqual(await self.left(), [])
        self.now += GRACE_S + 0.1
        self.candidate.heard("frontend-2")
        self.assertEqual(await self.left(), [self.word(2, other)])
