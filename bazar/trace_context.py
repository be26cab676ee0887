"""The one id of a request, by which all that nodes do for it can be found: the trace id of W3C's
Trace Context, whose `traceparent` a client or a proxy may send."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextvars import ContextVar

current: ContextVar[str] = ContextVar("current", default="")
"""The id of the request that this task works for, empty if it is for none."""

_PARENT = r"(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT = re.compile(rf"00-{_PARENT}|(?!00|ff)[0-9a-f]{{2}}-{_PARENT}(?:-.*)?", re.ASCII)
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}", re.ASCII)
_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def given(traceparent: str, request_id: str) -> str:
    """Return the id that a request brings: the trace id of its `traceparent`, else its X-Request-Id
    if that can do no harm; empty if there is neither."""
    if traceparent:
        match = _TRACEPARENT.fullmatch(traceparent)
        if match is not None:
            return match[1] or match[2]
    return request_id if _HARMLESS.fullmatch(request_id) else ""


def given_by(headers: Mapping[str, str]) -> str:
    """Return the id that these headers bring, empty if they bring none."""
    return given(headers.get("Traceparent", ""), headers.get("X-Request-Id", ""))


def new_id() -> str:
    """Return an id that is unique, and no secret: the system's randomness costs a system call each
    time."""
    return f"{random.getrandbits(128) or 1:032x}"


def headers() -> dict[str, str]:
    """Return what a request to another node says of the one that this task works for."""
    mine = current.get()
    if not _TRACE_ID.fullmatch(mine):
        return {"X-Request-Id": mine} if mine else {}
    # It is not recorded here: a flag of a recorder in front would say that there is more to find.
    return {"traceparent": f"00-{mine}-{random.getrandbits(64) or 1:016x}-00"}
