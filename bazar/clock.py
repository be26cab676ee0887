"""The clock of leases: seconds since boot, suspend included, never set back."""

from __future__ import annotations

import time

# The monotonic clock of Linux stands still while the machine is suspended; a lease must not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Return seconds on this machine's own clock; comparable only within one machine and boot."""
    return time.clock_gettime(_CLOCK)
