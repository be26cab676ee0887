"""What travels on the feed, and the digest chain."""

from __future__ import annotations

import dataclasses
import json
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bazar.errors import ProtocolError
from bazar.replication.messages import (
    CACHE,
    GENESIS,
    REPLICA,
    WIRE_VERSION,
    Ack,
    ArbiterId,
    Change,
    Commit,
    Entry,
    Grant,
    Hello,
    Mark,
    Message,
    NotPrimary,
    Prepare,
    Release,
    Renew,
    Revoke,
    Snapshot,
    Tail,
    Welcome,
    chain,
    chained,
    decode,
    encode,
)

DIGEST = "c2f5ce1560a9e623517538b3f7bd6d41"
INTEGER = st.integers(-(2**63), 2**63 - 1)
NUMBER = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUE = st.none() | INTEGER | TEXT | st.dictionaries(TEXT, INTEGER, max_size=3)
MARK = st.builds(Mark, NUMBER, TEXT)
CHANGE = st.builds(Change, st.lists(TEXT, max_size=3).map(tuple), VALUE)
ARBITER = st.builds(ArbiterId, TEXT, TEXT)
ENTRY = st.builds(chain, MARK, st.integers(1, 2**63 - 1), CHANGE)
ENTRIES = st.lists(ENTRY, max_size=3).map(tuple)
MESSAGE: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Hello, st.just(WIRE_VERSION), st.sampled_from([REPLICA, CACHE]), TEXT, TEXT, TEXT,
        NUMBER, MARK, MARK, TEXT, st.none() | ARBITER,
    ),
    st.builds(Tail, ENTRIES),
    st.builds(Ack, MARK),
    st.builds(Renew, INTEGER),
    st.just(Release()),
    st.builds(NotPrimary, INTEGER, st.none() | TEXT, ARBITER),
    st.builds(Welcome, INTEGER, MARK, MARK, st.booleans(), TEXT, ARBITER),
    st.builds(Prepare, ENTRIES),
    st.builds(Commit, MARK),
    st.builds(Snapshot, MARK, VALUE, st.booleans(), st.booleans()),
    st.builds(Grant, INTEGER, INTEGER, st.floats(0, 60)),
    st.just(Revoke()),
)  # fmt: skip


class WireTest(unittest.TestCase):
    @given(MESSAGE)
    def test_every_message_arrives_as_it_was_sent(self, message: Message) -> None:
        self.assertEqual(decode(encode(message)), message)
        self.assertEqual(decode(encode(message).decode()), message)

    @given(MESSAGE, st.data())
    def test_a_message_that_lacks_a_field_is_refused(self, message: Message, data: Any) -> None:
        plain = json.loads(encode(message))
        # Who speaks the first version is to be told so, and has no arbiter in its hello.
        may_lack = {"arbiter"} if isinstance(message, Hello) else set()
        del plain[data.draw(st.sampled_from(sorted(plain.keys() - may_lack)))]
        with self.assertRaises(ProtocolError):
            decode(json.dumps(plain))

    @given(st.binary() | st.text())
    def test_anything_else_is_refused(self, text: Any) -> None:
        with self.assertRaises(ProtocolError):
            decode(text)

    def test_what_looks_like_a_message_is_refused(self) -> None:
        for text in ("{}", "[]", "null", '{"type": "nothing"}', '{"type": "ack"}', '{"type": []}',
                     '{"type": "ack", "mark": 7}', '{"type": "ack", "mark": {"seq": 1}}',
                     '{"type": "release", "more": 1}', '{"type": "prepare", "entries": [{}]}',
                     '{"type": "prepare", "entries": 7}'):  # fmt: skip
            with self.subTest(text), self.assertRaises(ProtocolError):
                decode(text)


class ChainTest(unittest.TestCase):
    @given(st.lists(CHANGE, min_size=1, max_size=5), st.integers(1, 9))
    def test_a_chain_extends_itself_and_nothing_else(self, changes: Any, epoch: int) -> None:
        entries = chained(GENESIS, epoch, changes)
        self.assertEqual([entry.seq for entry in entries], list(range(1, len(changes) + 1)))
        before = GENESIS
        for entry in entries:
            self.assertTrue(entry.extends(before))
            self.assertFalse(entry.extends(Mark(before.seq, before.digest + "x")))
            self.assertFalse(entry.extends(Mark(before.seq + 1, before.digest)))
            before = entry.mark

    @given(ENTRY)
    def test_any_change_shows_in_the_digest(self, entry: Entry) -> None:
        before = Mark(entry.seq - 1, "")
        base = chain(before, entry.epoch, Change(entry.tags, entry.effects))
        for other in (
            dataclasses.replace(base, epoch=base.epoch + 1),
            dataclasses.replace(base, tags=(*base.tags, "x")),
            dataclasses.replace(base, effects=[base.effects]),
            dataclasses.replace(base, seq=base.seq + 1),
            dataclasses.replace(base, digest="0" * 32),
        ):
            self.assertTrue(base.extends(before))
            self.assertFalse(other.extends(before))

    @given(ENTRY)
    def test_the_digest_survives_the_wire(self, entry: Entry) -> None:
        before = Mark(entry.seq - 1, "")
        base = chain(before, entry.epoch, Change(entry.tags, entry.effects))
        message = decode(encode(Prepare((base,))))
        assert isinstance(message, Prepare)
        self.assertTrue(message.entries[0].extends(before))

    def test_the_digest_is_the_one_that_logs_on_disk_have(self) -> None:
        """Another would take every log of an older program for another history."""
        entry = chain(Mark(7, "before"), 2, Change(("b", "a"), {"z": 1, "y": [None, "é"]}))
        self.assertEqual(entry, Entry(8, 2, ("b", "a"), entry.effects, DIGEST))

    def test_tags_keep_their_old_name_on_the_wire(self) -> None:
        entry = Entry(1, 2, ("a", "b"), {"c": 3}, "d")
        self.assertEqual(
            encode(Prepare((entry,))),
            b'{"type":"prepare","entries":'
            b'[{"seq":1,"epoch":2,"keys":["a","b"],"effects":{"c":3},"digest":"d"}]}',
        )

    def test_a_cache_sees_tags_and_no_effects(self) -> None:
        entry = chain(GENESIS, 1, Change(("a",), {"secret": 1}))
        self.assertEqual(entry.without_effects().mark, entry.mark)
        self.assertNotIn(b"secret", encode(Prepare((entry.without_effects(),))))
