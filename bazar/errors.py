"""The one exception tree. Each class has the HTTP status and the stable code of its answer.

Refusals are answered to the caller; `FatalError` ends the process, and its supervisor restarts it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class BazarError(Exception):
    """The base of all that is raised on purpose. `str(error)` says what is wrong, and where."""

    status = 500
    code = "internal"
    retry_after_s: int | None = None
    is_logged = True
    """Whether a node's request that is refused with this is worth a line in the log."""

    def __init__(self, message: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}
        """More for programs, as JSON: fields of the answer beside `error` and `code`."""


class ConfigError(BazarError):
    """The configuration or the machine prevents a start. `run.py` exits with 78."""


class Busy(ConfigError):
    """Another process holds what this one needs, and may end at any time. `run.py` exits with 3."""


class FatalError(BazarError):
    """This node can't go on without breaking a guarantee: it stops at once (R4)."""


class NeedsRepair(FatalError):
    """An operator has to do what the message says: no restart helps. `run.py` exits with 78."""


class ProtocolError(BazarError):
    """A peer sent what the protocol does not allow: its feed is closed."""


class OtherVersion(ProtocolError):
    """The peer runs another version: the two can't work together."""


class BadRequest(BazarError):
    status, code = 400, "bad_request"


class NoCookie(BadRequest):
    """A form came without the cookie that names its browser."""

    code = "no_cookie"


class Unauthorized(BazarError):
    status, code = 401, "unauthorized"


class Forbidden(BazarError):
    status, code = 403, "forbidden"


class NotFound(BazarError):
    status, code = 404, "not_found"


class MethodNotAllowed(BazarError):
    status, code = 405, "method_not_allowed"


class RequestTimeout(BazarError):
    status, code = 408, "request_timeout"


class Conflict(BazarError):
    status, code = 409, "conflict"


class OutOfStock(Conflict):
    code = "out_of_stock"


class PriceChanged(Conflict):
    """A book does not cost what the buyer saw; nothing is charged."""

    code = "price_changed"


class PreconditionFailed(BazarError):
    """The book is not what the writer has read; nothing is changed. `details` have its `etag` of
    now."""

    status, code = 412, "precondition_failed"


class TooLarge(BazarError):
    status, code = 413, "too_large"


class TargetTooLong(BazarError):
    status, code = 414, "target_too_long"


class UnsupportedMediaType(BazarError):
    status, code = 415, "unsupported_media_type"


class Misdirected(BazarError):
    """The request names a host that is not this one."""

    status, code = 421, "misdirected"


class KeyReused(BazarError):
    status, code = 422, "key_reused"


class KeyRequired(BazarError):
    """This shop sells nothing without an Idempotency-Key (RFC 6585 section 3)."""

    status, code = 428, "key_required"


class TooManyRequests(BazarError):
    """This client asks more often than it may (RFC 6585 section 4). Nothing happened."""

    status, code = 429, "too_many_requests"

    def __init__(
        self, message: str = "", wait_s: float = 0.0, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, details)
        self.retry_after_s = max(1, math.ceil(wait_s))


class HeadersTooLarge(BazarError):
    status, code = 431, "headers_too_large"


class Unavailable(BazarError):
    """Nothing happened: it is safe to retry, here or elsewhere (R5)."""

    status, code = 503, "unavailable"
    retry_after_s = 1


class ForeignHistory(BazarError):
    """The caller's position is not on this log's history: one of the two was put back to an earlier
    moment, or cut. Nothing happened, and nothing will before an operator has chosen (S4)."""

    status, code = 503, "foreign_history"


class NotOpen(Unavailable):
    """This node does not know its database yet. It logs once why; its peers ask all the time."""

    is_logged = False


class ShuttingDown(Unavailable):
    """This node is about to stop: ask another one."""

    code = "leaving"


class OtherToken(Unavailable):
    """The process that answers there does not know our token."""

    code = "other_token"


class Untrusted(Unavailable):
    """The certificate that is shown there is not of our CA, not valid now, or another node's."""

    code = "untrusted"


class Indeterminate(BazarError):
    """It may have happened: retry with the same key (R5)."""

    status, code = 504, "unknown"
    retry_after_s = 1


def _subclasses(kind: type[BazarError]) -> list[type[BazarError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]


def from_answer(
    status: int, code: str, message: str, details: Mapping[str, Any] | None = None
) -> BazarError:
    """Return the error that another node answered, as the same class here; a BazarError with its
    status and code where there is none."""
    for kind in _subclasses(BazarError):
        if (kind.status, kind.code) == (status, code):
            return kind(message, details)
    error = BazarError(message, details)
    error.status, error.code = status, code
    return error
