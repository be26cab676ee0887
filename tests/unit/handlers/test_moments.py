"""Dates and moments, as they are typed."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from bazar.errors import BadRequest
from handlers.kinds import Boolean
from handlers.moments import MOMENT

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
BEGAN = datetime(1970, 1, 1, tzinfo=UTC)


class MomentTest(unittest.TestCase):
    @given(st.datetimes(timezones=OFFSETS))
    def test_every_moment_is_the_next_whole_millisecond(self, at: datetime) -> None:
        ms = MOMENT(at.isoformat(), "since")
        self.assertLess(timedelta(milliseconds=ms - 1), at - BEGAN)
        self.assertGreaterEqual(timedelta(milliseconds=ms), at - BEGAN)

    @given(st.dates())
    def test_a_date_is_when_its_day_begins(self, day: object) -> None:
        for same in (f"{day}Z", f"{day}T00:00", f"{day}T00:00:00.000Z", f"{day}+00:00"):
            self.assertEqual(MOMENT(same, "since"), MOMENT(str(day), "since"))
        hour = MOMENT(f"{day}-01:00", "since") - MOMENT(str(day), "since")
        self.assertEqual(hour, 3_600_000)

    @given(st.text())
    def test_anything_else_is_refused_by_its_name(self, text: str) -> None:
        with self.assertRaisesRegex(BadRequest, "^since: "):
            MOMENT(f"{text}?", "since")

    def test_what_looks_like_one(self) -> None:
        for text in (
            *("2026-13-01", "2026-02-29", "0000-01-01", "2026-11-29T24:01", "2026-11-29T18:60"),
            *("2026-11-29T18:00:60Z", "2026-11-29+24:00", "20261129", "2026-W48-7", "26-11-29"),
            *(
                "2026-11-29 18:00",
                "2026-11-29t18:00",
                "2026-11-29T18",
                "2026-11-29\n",
                " 2026-11-29",
            ),
            *("٢٠٢٦-11-29", "1795910400000", "2026-11-29T18:00:00,5Z", "2026-11-29T18:00+1", ""),
        ):
            with self.assertRaisesRegex(BadRequest, "^since: "):
                MOMENT(text, "since")
        for value in (None, 20261129, ["2026-11-29"]):
            with self.assertRaisesRegex(BadRequest, "^since: "):
                MOMENT(value, "since")


class BooleanTest(unittest.TestCase):
    def test_as_text_it_has_two_spellings(self) -> None:
        kind = Boolean()
        self.assertEqual((kind.typed("true", "c"), kind.typed("false", "c")), (True, False))
        self.assertEqual((kind(True, "c"), kind(False, "c")), (True, False))
        for text in ("True", "1", "yes", "", "true "):
            with self.assertRaises(BadRequest):
                kind.typed(text, "c")
        for value in ("true", 1, None):
            with self.assertRaises(BadRequest):
                kind(value, "c")


if __name__ == "__main__":
    unittest.main()
