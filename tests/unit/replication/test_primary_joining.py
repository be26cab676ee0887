"""How a primary takes subscribers in, by its rules: small direct steps."""

from __future__ import annotations

from bazar.replication.effects import (
    Apply,
    Close,
    Confirm,
    LogPage,
    ReadLog,
    Record,
    Send,
    SendSnapshot,
    Stop,
)
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    Commit,
    Grant,
    Hello,
    Mark,
    Member,
    Membership,
    NotPrimary,
    Prepare,
    Renew,
    Welcome,
)
from bazar.replication.primary import Primary
from tests.unit.replication.steps import HERE, TIMING, log, sent
from tests.unit.replication.test_primary import (
    BEGUN,
    CACHE_FEED,
    EPOCH_ID,
    ME,
    OTHER,
    REPLICA_FEED,
    PrimaryTest,
    of,
)


class JoiningTest(PrimaryTest):
    def test_j5_a_member_that_knows_another_epoch_stops_it(self) -> None:
        for epoch, name in ((9, "x"), (2, "x"), (3, EPOCH_ID)):
            primary = self.ready()
            newer = Hello(WIRE_VERSION, REPLICA, "r-2", "run", "s2", epoch, GENESIS, GENESIS, name)
            [effect] = primary.receive(7, newer, 2.1)
            self.assertIsInstance(effect, Stop)
            self.assertFalse(primary.begin(2.1))

    def test_j1_the_arbiter_is_asked_before_a_stranger_is_answered(self) -> None:
        """The shop's data was restored, or another leads: the arbiter knows."""
        for epoch, name in ((9, "x"), (2, "x")):
            for kind, node in ((CACHE, "f-2"), (REPLICA, "r-9")):
                primary = self.ready()
                stranger = Hello(
                    WIRE_VERSION, kind, node, "run", "s9", epoch, GENESIS, GENESIS, name
                )
                effects = primary.receive(7, stranger, 2.1)
                self.assertEqual(effects[0], Confirm())
                self.assertEqual(of(effects, Stop), [])

    def test_j1_who_is_not_on_record_yet_does_not_ask(self) -> None:
        """The arbiter would say that another leads; and a stranger is there at once."""
        before = Membership(1, frozenset({ME}), 1.0)
        primary, _ = Primary.take_over(
            *(ME, before, self.committed, (), 0.0, TIMING), **BEGUN, restarted=True, arbiter=HERE
        )
        stranger = Hello(WIRE_VERSION, CACHE, "f-2", "run", "", 9, GENESIS, GENESIS, "x")
        self.assertEqual(primary.receive(7, stranger, 0.1), [])
        self.assertEqual(primary.recorded(0.2)[0], Confirm())

    def test_j1_one_that_knows_this_epoch_or_an_older_one_is_no_stranger(self) -> None:
        for epoch, name in ((1, "x"), (2, EPOCH_ID)):
            primary = self.ready()
            cache = Hello(WIRE_VERSION, CACHE, "f-2", "run", "", epoch, GENESIS, GENESIS, name)
            self.assertNotIn(Confirm(), primary.receive(7, cache, 2.1))

    def test_j1_a_new_hello_ends_the_old_feed(self) -> None:
        primary = self.ready()
        effects = primary.receive(7, self.hello(REPLICA), 2.1)
        [close] = of(effects, Close)
        assert isinstance(close, Close)
        self.assertEqual(close.feed, REPLICA_FEED)
        self.assertEqual(primary.receive(REPLICA_FEED, Ack(self.committed), 2.1), [])

    def test_j1_one_that_hands_over_takes_no_subscribers(self) -> None:
        primary = self.ready()
        primary.retire(2.1)
        effects = primary.receive(7, self.hello(CACHE, node="f-2"), 2.1)
        self.assertIsInstance(sent(effects, 7)[0], NotPrimary)
        self.assertEqual(len(of(effects, Close)), 1)

    def test_j2_it_sends_what_follows_the_committed_entry(self) -> None:
        primary = self.lead()
        behind = self.log[0].mark
        [read] = primary.receive(REPLICA_FEED, self.hello(REPLICA, behind), 2.0)
        self.assertEqual(read, ReadLog(REPLICA_FEED, 1))
        page = LogPage(behind, self.log[1:], end=True)
        messages = sent(primary.log_read(REPLICA_FEED, page, 2.0), REPLICA_FEED)
        self.assertEqual(
            messages,
            [
                Welcome(2, self.committed, self.committed, False, EPOCH_ID, HERE),
                Prepare(self.log[1:]),
                Commit(self.committed),
            ],
        )

    def test_j2_one_page_after_the_other_on_the_same_feed(self) -> None:
        primary = self.lead()
        first, second, third = (entry.mark for entry in self.log)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, first), 2.0)
        primary.log_read(REPLICA_FEED, LogPage(first, self.log[1:2], end=False), 2.0)
        [read] = primary.receive(REPLICA_FEED, Ack(second), 2.0)
        self.assertEqual(read, ReadLog(REPLICA_FEED, 2))
        effects = primary.log_read(REPLICA_FEED, LogPage(second, self.log[2:], end=True), 2.0)
        self.assertEqual(
            effects, [Send(REPLICA_FEED, Prepare(self.log[2:])), Send(REPLICA_FEED, Commit(third))]
        )

    def test_j2_a_page_for_a_feed_that_is_gone_goes_nowhere(self) -> None:
        primary = self.lead()
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 2.0)
        primary.disconnected(REPLICA_FEED, 2.0)
        self.assertEqual(primary.log_read(REPLICA_FEED, LogPage(self.committed, (), True), 2.0), [])

    def test_j2_what_is_pending_is_not_called_committed(self) -> None:
        pending = log(self.committed, "p")
        primary = self.lead(pending=pending)
        second = self.log[1].mark
        primary.receive(REPLICA_FEED, self.hello(REPLICA, second), 0.1)
        page = LogPage(second, (*self.log[2:], *pending), end=True)
        [_, prepare, commit] = sent(primary.log_read(REPLICA_FEED, page, 0.1), REPLICA_FEED)
        self.assertEqual((prepare, commit), (Prepare(page.entries), Commit(self.committed)))

    def test_j2_a_log_that_has_parted_meanwhile_ends_the_feed(self) -> None:
        primary = self.lead()
        first, second, _ = (entry.mark for entry in self.log)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, first), 2.0)
        primary.log_read(REPLICA_FEED, LogPage(first, self.log[1:2], end=False), 2.0)
        primary.receive(REPLICA_FEED, Ack(second), 2.0)
        page = LogPage(Mark(2, "another"), self.log[2:], end=True)
        [close] = primary.log_read(REPLICA_FEED, page, 2.0)
        self.assertIsInstance(close, Close)

    def test_j3_where_the_log_does_not_reach_it_sends_a_snapshot(self) -> None:
        for page in (LogPage(None, (), end=False), LogPage(Mark(1, "else"), (), end=True)):
            primary = self.lead()
            primary.receive(REPLICA_FEED, self.hello(REPLICA, self.log[0].mark), 2.0)
            effects = primary.log_read(REPLICA_FEED, page, 2.0)
            self.assertEqual(of(effects, SendSnapshot), [SendSnapshot(REPLICA_FEED)])
            # A snapshot is all that it lacked.
            effects = primary.receive(REPLICA_FEED, Ack(self.committed), 2.0)
            self.assertEqual(len(of(effects, Record)), 1)

    def test_j3_so_it_does_where_the_log_begins_behind_what_both_have(self) -> None:
        """To a member, too, once no wait of ours is left in which its tail would be adopted."""
        for members in ((), (OTHER,)):
            for theirs in (self.committed, GENESIS):
                primary = self.lead(*members)
                late = TIMING.surely_over_s(1.0)
                primary.receive(REPLICA_FEED, self.hello(REPLICA, theirs), late)
                effects = primary.log_read(REPLICA_FEED, LogPage(None, (), end=False), late)
                self.assertEqual(of(effects, SendSnapshot), [SendSnapshot(REPLICA_FEED)])

    def test_j4_a_newcomer_is_in_the_set_before_it_has_a_lease(self) -> None:
        primary = self.lead()
        primary.tick(2.0)
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 2.0)
        primary.receive(REPLICA_FEED, Renew(1), 2.0)
        primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), 2.0)
        effects = primary.receive(REPLICA_FEED, Ack(self.committed), 2.0)
        [record] = of(effects, Record)
        assert isinstance(record, Record)
        self.assertEqual(record.membership.members, {ME, OTHER})
        self.assertEqual(sent(effects, REPLICA_FEED), [])
        self.assertEqual(primary.receive(REPLICA_FEED, Renew(2), 2.0), [])  # not in it yet
        self.assertEqual(sent(primary.recorded(2.0), REPLICA_FEED), [Grant(2, 2, 1.0)])

    def test_j4_no_batch_begins_before_that(self) -> None:
        primary = self.lead()
        self.far(primary, 2.0)
        effects = primary.receive(REPLICA_FEED, Ack(self.committed), 2.0)
        self.assertEqual(len(of(effects, Record)), 1)
        self.assertFalse(primary.begin(2.0))
        primary.recorded(2.0)
        self.assertTrue(primary.begin(2.0))

    def test_j4_whoever_joins_is_told_what_was_committed_meanwhile(self) -> None:
        """Its acknowledgement was under way when that was told to the others."""
        pending = log(self.committed, "p")
        primary = self.lead(OTHER, pending=pending)
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 1.0)
        primary.log_read(REPLICA_FEED, LogPage(self.committed, pending, end=True), 1.0)
        primary.tick(1.02)
        primary.recorded(1.02)
        end = pending[-1].mark
        self.assertEqual(sent(primary.stored(Apply(end), 1.02)), [])
        primary.receive(REPLICA_FEED, Ack(end), 1.02)
        self.assertEqual(sent(primary.recorded(1.02), REPLICA_FEED), [Commit(end)])

    def test_j4_an_acknowledgement_of_what_was_not_sent_lets_nobody_in(self) -> None:
        """A hello is compared with our log first: it may show that this lacks something (J5)."""
        primary = self.lead(OTHER)
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 2.0)
        primary.receive(REPLICA_FEED, Renew(1), 2.0)
        self.assertEqual(sent(primary.receive(REPLICA_FEED, Ack(self.committed), 2.0)), [])
        self.assertEqual(primary.leases, {})

    def test_j4_one_that_has_gone_while_it_was_recorded_is_granted_nothing(self) -> None:
        """The next commit would wait for that lease."""
        primary = self.lead()
        primary.receive(REPLICA_FEED, self.hello(REPLICA), 2.0)
        primary.receive(REPLICA_FEED, Renew(1), 2.0)
        primary.log_read(REPLICA_FEED, LogPage(self.committed, (), end=True), 2.0)
        primary.receive(REPLICA_FEED, Ack(self.committed), 2.0)
        primary.disconnected(REPLICA_FEED, 2.0)
        self.assertEqual(primary.recorded(2.0), [])
        self.assertEqual(primary.leases, {})

    def test_j4_the_next_batch_waits_for_who_is_near(self) -> None:
        primary = self.near()
        self.assertEqual(of(primary.tick(2.299), Close), [])
        self.assertFalse(primary.begin(2.299))
        primary.receive(REPLICA_FEED, Ack(self.committed), 2.299)
        primary.recorded(2.299)
        self.assertTrue(primary.begin(2.299))

    def test_j4_but_not_for_ever(self) -> None:
        primary = self.near()
        self.assertFalse(primary.begin(2.2))
        [close] = of(primary.tick(2.3), Close)
        assert isinstance(close, Close)
        self.assertEqual(close.feed, REPLICA_FEED)
        self.assertTrue(primary.begin(2.3))

    def test_j4_nor_for_who_is_far(self) -> None:
        primary = self.lead()
        self.far(primary, 2.0)
        self.assertTrue(primary.begin(2.0))

    def test_j4_nobody_joins_in_the_middle_of_a_batch(self) -> None:
        primary = self.lead()
        self.assertTrue(primary.begin(2.0))
        effects = primary.receive(CACHE_FEED, self.hello(CACHE), 2.0)
        self.assertEqual(effects, [])
        self.assertIsInstance(sent(primary.abort(2.0), CACHE_FEED)[0], Welcome)

    def test_j4_nor_before_it_is_committed(self) -> None:
        primary = self.ready()
        [entry] = self.propose(primary, "x", at=2.1)
        self.assertEqual(primary.receive(7, self.hello(CACHE, node="f-2"), 2.1), [])
        for feed in (REPLICA_FEED, CACHE_FEED):
            self.assertEqual(sent(primary.receive(feed, Ack(entry.mark), 2.1), 7), [])
        effects = primary.stored(Apply(entry.mark), 2.1)
        self.assertEqual(
            sent(effects, 7), [Welcome(2, entry.mark, entry.mark, False, EPOCH_ID, HERE)]
        )

    def test_j4_a_replica_neither(self) -> None:
        primary = self.lead(OTHER)
        self.far(primary, 2.0)
        primary.receive(REPLICA_FEED, Renew(1), 2.0)
        self.assertTrue(primary.begin(2.0))
        self.assertEqual(primary.receive(REPLICA_FEED, Ack(self.committed), 2.0), [])
        self.assertEqual(sent(primary.abort(2.0))[-1], Grant(2, 1, 1.0))

    def test_j4_nor_while_what_is_left_of_an_epoch_before_is_committed(self) -> None:
        pending = log(self.committed, "p")
        primary = self.lead(pending=pending)
        [apply] = of(primary.tick(1.02), Apply)
        assert isinstance(apply, Apply)
        self.assertEqual(self.join_cache(primary, 1.02), [])
        self.assertEqual(len(sent(primary.stored(apply, 1.02), CACHE_FEED)), 2)

    def test_j5_what_a_member_has_is_looked_at_before_anybody_joins(self) -> None:
        """Both have come while a batch was executed."""
        third = Member("r-3", "s3")
        primary = self.lead(OTHER, third)
        self.far(primary, 2.0)
        self.assertTrue(primary.begin(2.0))
        primary.receive(REPLICA_FEED, Ack(self.committed), 2.0)
        ahead = log(self.committed, "lost")[-1].mark
        hello = Hello(WIRE_VERSION, REPLICA, "r-3", "run", "s3", 1, ahead, ahead, "")
        primary.receive(3, hello, 2.0)
        primary.log_read(3, LogPage(None, (), end=True), 2.0)
        [record] = primary.abort(2.0)
        self.assertEqual(record, Record(Membership(2, frozenset({OTHER, third}), 1.0)))

    def test_j5_a_member_that_is_ahead_shows_that_we_lost_entries(self) -> None:
        primary = self.lead(OTHER, restarted=True)
        ahead = log(self.committed, "lost")[-1].mark
        newcomer = Hello(WIRE_VERSION, REPLICA, "r-3", "run", "s3", 1, GENESIS, GENESIS, "")
        primary.receive(3, newcomer, 0.5)
        primary.receive(REPLICA_FEED, self.hello(REPLICA, ahead), 0.5)
        effects = primary.log_read(REPLICA_FEED, LogPage(None, (), end=True), 0.5)
        [record] = of(effects, Record)
        assert isinstance(record, Record)
        self.assertEqual(record.membership.members, {OTHER})
        self.assertEqual(primary.log_read(3, LogPage(GENESIS, self.log, end=True), 0.5), [])
        [stop] = primary.recorded(0.5)
        assert isinstance(stop, Stop)
        self.assertIn("lost acknowledged entries", stop.reason)
        self.assertFalse(stop.clean)
        self.assertEqual(primary.tick(0.6), [Confirm()])  # nobody is let in any more

    def test_j6_a_cache_is_told_of_nothing_where_nothing_is_pending(self) -> None:
        [welcome, grant] = sent(self.join_cache(self.lead(), 0.5), CACHE_FEED)
        self.assertIsInstance(welcome, Welcome)
        self.assertEqual(grant, Grant(2, 1, 1.0))

    def test_j6_a_cache_is_told_of_all_that_is_pending(self) -> None:
        pending = log(self.committed, "p")
        primary = self.lead(pending=pending)
        messages = sent(self.join_cache(primary, 0.5), CACHE_FEED)
        self.assertIsInstance(messages[0], Welcome)
        self.assertEqual(messages[1], Prepare((pending[0].without_effects(),)))
        self.assertEqual(messages[2], Grant(2, 1, 1.0))
