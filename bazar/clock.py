"""The clock of leases: seconds since boot, suspend included, never set back.

The time of day decides nothing but what people count in it: when something was sold, and how long
afterwards it can be undone (S7), or its key is known.
"""

from __future__ import annotations

import time

# The monotonic clock of Linux stands still while the machine is suspended; a lease must not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Return seconds on this machine's own clock; comparable only within one machine and boot."""
    return time.clock_gettime(_CLOCK)


def wall_ms() -> int:
    """Return the time of day, as this machine has it, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
