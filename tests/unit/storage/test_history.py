"""Which positions are on a history (H2): told of logs that grow, are cut, and grow again."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from bazar.errors import ForeignHistory
from storage.history import Epoch, Position, check, id_of, is_on, number_of

Log = list[tuple[int, str]]  # of each entry the epoch and its id

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 3)),
        st.tuples(st.just("add"), st.integers(1, 3)),
        st.tuples(st.just("keep"), st.integers(0, 8)),
        st.tuples(st.just("put back"), st.integers(0, 9)),
    ),
    max_size=25,
)


BAD = [{"number": number, "id": name} for number, name in ((-1, "a"), ("7", "a"), (7, 8))]


def history_of(log: Log) -> list[Epoch]:
    """What the first entry of each epoch tells of it."""
    return [Epoch(*entry, seq) for seq, entry in enumerate(log) if not seq or log[seq - 1] != entry]


def positions(log: Log) -> set[tuple[int, str, int]]:
    return {(epoch, name, seq) for seq, (epoch, name) in enumerate(log, start=1)}


class HistoryTest(unittest.TestCase):
    @given(STEPS)
    def test_a_position_is_on_the_logs_that_have_that_entry(
        self, steps: list[tuple[str, int]]
    ) -> None:
        log: Log = []
        kept: list[Log] = [[]]
        seen: set[tuple[int, str, int]] = set()
        for number, (do, much) in enumerate(steps):
            if do == "begin":
                log = [*log, *[(max(log, default=(0, ""))[0] + 1, f"id {number}")] * much]
            elif do == "add" and log:
                log = [*log, *[log[-1]] * much] if log[-1][1][-1] != "x" else log
            elif do == "keep":
                kept.append(log)
            else:
                log = kept[much % len(kept)]  # whoever leads next draws another id
                kept.append(log)
                log = [*log, (max(log, default=(0, ""))[0] + 1, f"id {number}")]
            seen |= positions(log)
            own, history = positions(log), history_of(log)
            for epoch, name, seq in seen:
                position = Position(number_of(epoch, seq), name)
                since = [e for e in history if e.number >= epoch or e == history[-1]]
                self.assertEqual(is_on(since, position, len(log)), (epoch, name, seq) in own)

    def test_the_beginning_is_on_every_history(self) -> None:
        self.assertTrue(is_on([], Position(), 0))
        self.assertTrue(is_on([Epoch(3, "a", 0)], Position(), 9))

    def test_without_an_id_the_range_counts(self) -> None:
        """A cursor, or epochs, from before there were ids."""
        began = [Epoch(5, "a", 10), Epoch(7, "b", 20)]
        for epoch, seq, expected in (
            (1, 10, True),
            (1, 11, False),
            (5, 10, False),
            (5, 11, True),
            (5, 20, True),
            (5, 21, False),
            (6, 20, True),
            (7, 30, True),
            (7, 31, False),
            (8, 30, False),
        ):
            since = [one for one in began if one.number >= epoch or one.number == 7]
            position = Position(number_of(epoch, seq))
            self.assertEqual(is_on(since, position, 30), expected, (epoch, seq))
        self.assertTrue(is_on([], Position(number_of(2, 30)), 30))
        self.assertFalse(is_on([], Position(number_of(2, 31)), 30))

    def test_an_id_that_nobody_knows_is_foreign(self) -> None:
        self.assertFalse(is_on([], Position(number_of(2, 3), "a"), 30))
        self.assertFalse(is_on([Epoch(4, "b", 9)], Position(number_of(2, 3), "a"), 30))

    def test_the_refusal_says_where_and_what_to_do(self) -> None:
        with self.assertRaisesRegex(ForeignHistory, r"entry 3 of epoch 2 \(a\).*bazar adopt"):
            check([], Position(number_of(2, 3), "a"), 30)
        check([Epoch(2, "a", 0)], Position(number_of(2, 3), "a"), 30)

    def test_the_id_of_an_entry(self) -> None:
        self.assertEqual(id_of([Epoch(2, "a", 0)], number_of(2, 3)), "a")
        self.assertIsNone(id_of([Epoch(2, "a", 0)], number_of(1, 3)))

    def test_a_position_as_json(self) -> None:
        for position in (Position(), Position(7), Position(7, "a")):
            self.assertEqual(Position.of(position.plain), position)
        for plain in (7, None, [7, "a"], {"number": 7}, *BAD):
            with self.assertRaises(ValueError):
                Position.of(plain)
