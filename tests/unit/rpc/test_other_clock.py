"""What is known of the clock at the other end of a connection, with clocks of the test's own."""

from __future__ import annotations

import pytest

from bazar.rpc.other_clock import OtherClock

RATES = (0.995, 1.0, 1.005)  # of clocks that differ by less than 1 %


class Clocks:
    """Two clocks, and the time that neither shows."""

    def __init__(self, ours: float, theirs: float) -> None:
        self.ours, self.theirs = ours, theirs
        self.now = 10.0

    def here(self) -> float:
        return self.ours * self.now

    def there(self, opened: float) -> float:
        return self.theirs * (self.now - opened)


@pytest.mark.parametrize("theirs", RATES)
@pytest.mark.parametrize("ours", RATES)
def test_r9_it_is_never_thought_to_show_more_than_it_does(ours: float, theirs: float) -> None:
    clocks = Clocks(ours, theirs)
    other, opened = OtherClock(clocks.here), clocks.now - 0.2
    for late in (0.0, 0.5):  # that what it shows comes here
        for later in (0.1, 30.0, 1000.0):
            thought = other.at(clocks.ours * (clocks.now + later))
            assert thought <= clocks.theirs * (clocks.now + later - opened)
            shown = clocks.there(opened)
            clocks.now += late
            other.heard(shown)


def test_it_is_known_better_the_sooner_it_was_heard() -> None:
    now = 50.0
    other = OtherClock(lambda: now)
    assert other.at(50.0) == 0.0
    now = 60.0
    assert (other.age_s, other.at(60.0)) == (10.0, 9.9)
    other.heard(10.0)
    assert (other.age_s, other.at(60.0), other.at(61.0)) == (0.0, 10.0, 10.99)


def test_what_is_known_is_not_forgotten_for_what_was_said_long_ago() -> None:
    """The asker stood still for 5 s with an answer in its socket's buffer."""
    now = 100.0
    other = OtherClock(lambda: now)
    other.heard(50.0)
    now = 105.0
    known = other.at(now)
    other.heard(50.1)
    assert other.at(now) == known
    assert other.age_s == 0.0
