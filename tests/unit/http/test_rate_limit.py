"""The algorithm, at moments that are chosen."""

from __future__ import annotations

import pytest

from bazar.errors import TooManyRequests
from bazar.http.rate_limit import RateLimit


def test_a_burst_and_then_so_many_a_second() -> None:
    limit = RateLimit(2.0, 3, "requests")
    assert [limit.takes("a", 10.0) for _ in range(4)] == [True, True, True, False]
    assert not limit.takes("a", 10.4)
    assert limit.takes("a", 10.5)
    assert not limit.takes("a", 10.9)
    # What is refused is not counted: it may ask as often as before.
    assert limit.takes("a", 11.0)
    assert [limit.takes("a", 20.0) for _ in range(4)] == [True, True, True, False]


def test_a_refusal_says_for_how_long() -> None:
    limit = RateLimit(0.1, 1, "purchases")
    limit.check("a", 0.0)
    for now, wait_s in ((0.0, 10), (3.5, 7), (9.99, 1)):
        with pytest.raises(TooManyRequests, match="too many purchases from a") as refused:
            limit.check("a", now)
        assert refused.value.retry_after_s == wait_s
    limit.check("a", 10.0)


def test_the_clients_that_asked_last_are_known() -> None:
    limit = RateLimit(0.1, 1, "requests", most=2)
    assert limit.takes("a", 0.0)
    assert limit.takes("b", 0.0)
    assert not limit.takes("a", 0.0)
    assert limit.takes("c", 0.0)  # now b is forgotten
    assert not limit.takes("a", 0.0)
    assert limit.takes("b", 0.0)


def test_an_address_counts_and_of_ipv6_its_network() -> None:
    limit = RateLimit(0.1, 1, "requests")
    assert limit.takes("192.0.2.1", 0.0)
    assert not limit.takes("::ffff:192.0.2.1", 0.0)
    assert limit.takes("192.0.2.2", 0.0)
    assert limit.takes("2001:db8::1", 0.0)
    assert not limit.takes("2001:db8::2:1", 0.0)
    assert limit.takes("2001:db8:0:1::1", 0.0)
    assert limit.takes("fe80::1%eth0", 0.0)
    assert limit.takes("unknown", 0.0)
    assert not limit.takes("unknown", 0.0)


def test_none_where_nothing_is_limited() -> None:
    assert RateLimit.of(0, 5, "requests") is None
    assert RateLimit.of(1, 5, "requests") is not None
