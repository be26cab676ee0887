"""The clock of leases: seconds since boot, suspend included, never set back."""

from __future__ import annotations

import functools
import time

# The monotonic clock of Linux stands still while the machine is suspended; a lease must not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

now = functools.partial(time.clock_gettime, _CLOCK)  # asked for every hit: a def takes twice that
"""Return seconds on this machine's own clock; comparable only within one machine and boot."""
