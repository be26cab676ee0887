"""Whether a node may lead, and what it waits for, over real lock and membership files (T0, T1)."""

from __future__ import annotations

from bazar.errors import NeedsRepair
from bazar.replication.candidate import Candidate
from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.messages import GENESIS, Mark, Member, Membership
from tests.files import FilesTestCase

ME = Member("catalog-1", "mine")
PEER = Member("catalog-2", "theirs")


class CandidateTest(FilesTestCase):
    def candidate(self, me: Member = ME) -> Candidate:
        arbiter = FileArbiter(self.directory, "catalog")
        self.addCleanup(arbiter.release)
        return Candidate(me, "catalog", [PEER.node], arbiter)

    async def record(self, *members: Member) -> None:
        arbiter = FileArbiter(self.directory, "catalog")
        self.assertTrue(arbiter.try_acquire())
        arbiter.read()
        await arbiter.record(Membership(3, frozenset(members), 1.0))
        arbiter.release()

    async def test_t1_a_member_gets_the_lock_and_another_lets_it_go(self) -> None:
        await self.record(ME)
        other = self.candidate(Member(ME.node, "another file"))
        self.assertFalse(other.may_lead(GENESIS))
        self.assertTrue(self.candidate().may_lead(Mark(1, "digest")))  # so the lock is free
        self.assertFalse(self.candidate().may_lead(GENESIS))

    async def test_t0_without_a_membership_only_an_empty_log_leads(self) -> None:
        candidate = self.candidate()
        with self.assertRaisesRegex(NeedsRepair, "catalog.members.*bazar rebuild catalog"):
            candidate.may_lead(Mark(1, "digest"))
        self.assertTrue(candidate.may_lead(GENESIS))

    async def test_a_group_that_was_told_to_begin_has_no_membership_yet(self) -> None:
        await self.record()
        candidate = self.candidate()
        self.assertIsNone(candidate.membership())
        self.assertIsNone(candidate.hopeless())
        self.assertTrue(candidate.may_lead(GENESIS))

    async def test_who_waits_says_for_what(self) -> None:
        cases = (
            ((ME, PEER), None, "nobody holds the lock of catalog, and no peer says it leads$"),
            ((PEER,), None, "no peer says it leads$"),  # this one's file has never been in sync
            # The file that was in sync is gone at one node: the other may still lead.
            ((Member(ME.node, "old"), PEER), None, "gone: .*If that of catalog-2 .*promote NODE"),
            ((Member(ME.node, "old"),), "only one in sync is gone", "promote NODE"),
            ((Member("cat-9", "x"),), r"\(cat-9\) are not in the configuration", "promote NODE"),
        )
        for members, hopeless, waits_for in cases:
            with self.subTest(members=members):
                await self.record(*members)
                candidate = self.candidate()
                if hopeless is None:
                    self.assertIsNone(candidate.hopeless())
                else:
                    self.assertRegex(candidate.hopeless() or "", hopeless)
                self.assertRegex(candidate.waits_for(), waits_for)

    def test_who_waits_in_a_group_that_has_not_begun_says_so_too(self) -> None:
        self.assertIsNone(self.candidate().hopeless())
        self.assertRegex(self.candidate().waits_for(), "no peer says it leads$")

    async def test_who_holds_the_lock_is_named(self) -> None:
        await self.record(ME)
        self.assertTrue(self.candidate().may_lead(GENESIS))
        self.assertRegex(self.candidate().waits_for(), r"^process \d+ holds the lock of catalog")
