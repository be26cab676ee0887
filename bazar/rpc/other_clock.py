"""The clock at the other end of a connection, as far as a caller knows it."""

from __future__ import annotations

from collections.abc import Callable

from bazar.drift import DRIFT


class OtherClock:
    """What the other end's clock shows at the least, in seconds since that end opened the
    connection: what it said last, and the time since then, as the slowest clock counts it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shown, self._heard_at = 0.0, clock()  # it is open there before it is here

    def heard(self, shown: float) -> None:
        """Take what the other end has said that it shows. If that was long ago, more is known."""
        now = self._clock()
        self._shown, self._heard_at = max(shown, self.at(now)), now

    @property
    def age_s(self) -> float:
        """Return for how long nothing was heard of it."""
        return self._clock() - self._heard_at

    def at(self, moment: float) -> float:
        """Return what it shows, at the least, at this moment of our clock."""
        return self._shown + (moment - self._heard_at) * (1 - DRIFT)
