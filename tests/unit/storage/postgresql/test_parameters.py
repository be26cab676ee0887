"""How parameters are sent, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from storage.postgresql.parameters import encode


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None),
        ("", b""),
        ('Émile, "1" \\ {\'}', 'Émile, "1" \\ {\'}'.encode()),
        (7, b"7"),
        (-1, b"-1"),
        (True, b"t"),
        (False, b"f"),
        ([], b"{}"),
        ([1, None, True, False], b"{1,NULL,t,f}"),
        (["a", "NULL", 'b"c\\', ""], b'{"a","NULL","b\\"c\\\\",""}'),
        ((1, 2), b"{1,2}"),
    ],
)
def test_a_value_is_sent_as_the_text_that_the_server_reads(value: Any, sent: bytes | None) -> None:
    assert encode(["before", value, "behind"]) == [b"before", sent, b"behind"]


@pytest.mark.parametrize(
    ("value", "error", "why"),
    [
        ("a\0b", ValueError, r"\$2 has a NUL character"),
        (["a", "a\0b"], ValueError, r"\$2 has a NUL character"),
        ("\ud800", ValueError, r"\$2 has half a surrogate pair"),
        (["\ud800"], ValueError, r"\$2 has half a surrogate pair"),
        (1.5, TypeError, r"\$2 is a float"),
        (b"a", TypeError, r"\$2 is a bytes"),
        ({"a": 1}, TypeError, r"\$2 is a dict"),
        ([1.5], TypeError, r"\$2 has a float in its list"),
        ([[1]], TypeError, r"\$2 has a list in its list"),
    ],
)
def test_what_has_no_such_text_is_refused_with_its_place(
    value: Any, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        encode(["before", value])
