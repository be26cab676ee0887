"""The named states of a connection, and of the request that it reads."""

from __future__ import annotations

import enum


class ConnectionPhase(enum.Enum):
    """How long a connection goes on.

    OPEN ──▶ LEAVING ──▶ GONE
    OPEN ──▶ GONE
    """

    OPEN = enum.auto()  # requests are read and answered
    LEAVING = enum.auto()  # the last answer is given; what still comes is read away
    GONE = enum.auto()  # the client has, or another protocol has taken over


class RequestStage(enum.Enum):
    """What the reader waits for."""

    IDLE = "a request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
