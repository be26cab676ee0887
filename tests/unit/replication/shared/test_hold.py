"""The primaryship as a lease: how long it is held, and from when on another may take it."""

from __future__ import annotations

import unittest

from bazar.replication.shared.database import Beat, Look
from bazar.replication.shared.hold import BEATS_PER_LEASE, Hold, Tempo, Watch
from bazar.replication.timing import Timing

TEMPO = Tempo(primary_lease_s=4.0, pause_s=0.5)


def look(value: str, connection: int = 1, *, released: bool = False, over_ms: int = 0) -> Look:
    return Look(Beat(1, "one", value, released, "catalog-1", over_ms), connection)


class HoldTest(unittest.TestCase):
    def test_p1_it_counts_from_when_the_beat_was_sent(self) -> None:
        hold = Hold(TEMPO, 10.0)
        self.assertEqual(hold.until, 14.0)
        hold.confirmed(11.0, 13.0)
        self.assertEqual(hold.until, 15.0)
        hold.confirmed(10.5, 13.5)  # an older one
        self.assertEqual(hold.until, 15.0)

    def test_p1_what_is_confirmed_too_late_extends_nothing(self) -> None:
        hold = Hold(TEMPO, 10.0)
        hold.confirmed(13.9, 14.0)
        self.assertEqual(hold.until, 14.0)

    def test_p2_a_lease_is_over_when_the_hold_is(self) -> None:
        hold = Hold(TEMPO, 10.0)
        lease_s = hold.grantable_s(11.0)
        counted_s = Timing(pause_s=TEMPO.pause_s).counted_s(lease_s)
        self.assertAlmostEqual(11.0 + counted_s, hold.until)
        self.assertEqual(hold.grantable_s(13.6), 0.0)

    def test_p2_the_shortest_primary_lease_has_room_for_a_lease_before_each_beat(self) -> None:
        lease_s = 1.0
        shortest = Tempo(TEMPO.shortest_s(lease_s), TEMPO.pause_s)
        before_the_next = shortest.primary_lease_s / BEATS_PER_LEASE
        self.assertAlmostEqual(Hold(shortest, 0.0).grantable_s(before_the_next), lease_s)


class WatchTest(unittest.TestCase):
    def test_p3_a_beat_must_be_seen_for_the_whole_time(self) -> None:
        watch = Watch(TEMPO)
        self.assertFalse(watch.saw(look("1"), 0.0))
        self.assertFalse(watch.saw(look("1"), TEMPO.over_s - 0.01))
        self.assertTrue(watch.saw(look("1"), TEMPO.over_s))
        self.assertAlmostEqual(TEMPO.over_s, 4.0 * 1.01 + 0.5)

    def test_p3_another_beat_or_connection_counts_anew(self) -> None:
        for other in (look("2"), look("1", 2)):
            watch = Watch(TEMPO)
            watch.saw(look("1"), 0.0)
            self.assertFalse(watch.saw(other, TEMPO.over_s))
            self.assertTrue(watch.saw(other, 2 * TEMPO.over_s))

    def test_p3_who_has_not_looked_for_a_while_counts_anew(self) -> None:
        watch = Watch(TEMPO)
        watch.saw(look("1"), 0.0)
        watch.lost()
        self.assertFalse(watch.saw(look("1"), TEMPO.over_s))

    def test_p3_a_holder_with_a_longer_lease_is_waited_for(self) -> None:
        watch = Watch(TEMPO)
        watch.saw(look("1", over_ms=20_000), 0.0)
        self.assertFalse(watch.saw(look("1", over_ms=20_000), 19.99))
        self.assertTrue(watch.saw(look("1", over_ms=20_000), 20.0))

    def test_t5_what_is_released_may_be_taken_at_once(self) -> None:
        self.assertTrue(Watch(TEMPO).saw(look("1", released=True), 0.0))
