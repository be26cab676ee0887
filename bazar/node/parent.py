"""What a node learns of the supervisor that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "BAZAR_SUPERVISOR"
LED_VARIABLE = "BAZAR_GROUP_HAS_LED"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have this child terminated when the supervisor ends, for whatever reason (Linux)."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before the call
        os.kill(os.getpid(), signal.SIGTERM)


def group_has_led() -> bool:
    """In a child: return whether its group had a primary earlier, under the same supervisor."""
    return LED_VARIABLE in os.environ
