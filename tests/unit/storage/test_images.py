"""What entries leave of the rows that they touch."""

from __future__ import annotations

import unittest
from typing import Any

from bazar.replication.messages import GENESIS, Change, chained
from storage.images import Images, last_images

KEYS = {"books": "id", "topics": "name"}


def left(*effects: dict[str, Any]) -> dict[str, Images]:
    """What entries with these effects leave."""
    return last_images(chained(GENESIS, 1, [Change((), effect) for effect in effects]), KEYS)


class LastImagesTest(unittest.TestCase):
    def test_the_last_image_of_each_row_counts(self) -> None:
        first, other, last = {"id": 1, "cost": 5}, {"id": 2, "cost": 5}, {"id": 1, "cost": 6}
        found = left({"put": {"books": [first, other]}}, {"put": {"books": [last]}})
        self.assertEqual(found, {"books": Images([last, other], [])})

    def test_of_a_row_that_was_deleted_its_key_is_left_until_it_is_back(self) -> None:
        row = {"id": 1, "cost": 5}
        put, delete = {"put": {"books": [row]}}, {"delete": {"books": [1, 2]}}
        self.assertEqual(left(put, delete), {"books": Images([], [1, 2])})
        self.assertEqual(left(delete, put), {"books": Images([row], [2])})

    def test_each_table_has_its_own_key(self) -> None:
        topic = {"id": 1, "name": "T"}
        found = left({"put": {"topics": [topic], "books": []}, "delete": {"books": ["T"]}})
        self.assertEqual(found, {"topics": Images([topic], []), "books": Images([], ["T"])})

    def test_without_effects_nothing_is_left(self) -> None:
        self.assertEqual(left(), {})
        self.assertEqual(left({}, {}), {})
