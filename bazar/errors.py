"""The one exception tree. Each class has the HTTP status and the stable code of its answer.

Refusals are answered to the caller; `FatalError` ends the process, and its supervisor restarts it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class BazarError(Exception):
    """A fault of the program: the log has it, under the `request_id`. Whether it happened is not
    known: send the same key again.

    The base of all that is raised on purpose. `str(error)` says what is wrong, and where.
    """

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
    """Something is malformed, unknown, given twice, or not taken here. Put right what `error`
    names."""

    status, code = 400, "bad_request"


class NoCookie(BadRequest):
    """A page's form came without the shop's cookie. Allow the shop's cookies, and load the page
    again."""

    code = "no_cookie"


class Unauthorized(BazarError):
    """The path wants the cluster's token. Send `Authorization: Bearer <token>`."""

    status, code = 401, "unauthorized"


class Forbidden(BazarError):
    """It is not the cluster's token, which `data/token` has; or a form of another site."""

    status, code = 403, "forbidden"


class NotBuyer(Forbidden):
    """The order was not bought with this key. Who has bought it may undo that, and nobody else."""

    code = "not_buyer"


class NotFound(BazarError):
    """There is no such path, book or order."""

    status, code = 404, "not_found"


class MethodNotAllowed(BazarError):
    """The path does not take this method. `Allow` names those that it takes."""

    status, code = 405, "method_not_allowed"


class RequestTimeout(BazarError):
    """The request came too slowly. Send it again, as a whole."""

    status, code = 408, "request_timeout"


class Conflict(BazarError):
    """It does not fit to what is there: the book exists already, its stock would grow too large, an
    order has fewer copies than are to be cancelled, or something was sold. Read, and decide
    anew."""

    status, code = 409, "conflict"


class Retired(Conflict):
    """A book is retired: it is not sold, nothing is charged, and it is not made anew. `books` has
    each as it is now. By `"retired": false` a keeper brings it back."""

    code = "retired"


class OutOfStock(Conflict):
    """Fewer are left than asked for. `books` has each as it is now: `id`, `cost`, `count`."""

    code = "out_of_stock"


class PriceChanged(Conflict):
    """A book does not cost what the buyer saw; nothing is charged. `books` has each as it is now:
    ask the buyer."""

    code = "price_changed"


class TooLate(Conflict):
    """The order could be undone until `until`, by the clock of the shop; it stands as it is."""

    code = "too_late"


class PreconditionFailed(BazarError):
    """The book is not what the writer has read; nothing is changed. `etag` is the book's of now:
    read it, and decide anew."""

    status, code = 412, "precondition_failed"


class TooLarge(BazarError):
    """The body is over its bound. Send less at once."""

    status, code = 413, "too_large"


class TargetTooLong(BazarError):
    """The request line is over its bound. Send a shorter query."""

    status, code = 414, "target_too_long"


class UnsupportedMediaType(BazarError):
    """The body is not of the type that `error` names, not in UTF-8, or compressed."""

    status, code = 415, "unsupported_media_type"


class Misdirected(BazarError):
    """The request's `Host` is none of the node's, which `hosts` in `cluster.json` lists."""

    status, code = 421, "misdirected"


class KeyReused(BazarError):
    """The key was used for another request. Send a new key with a new request."""

    status, code = 422, "key_reused"


class KeyRequired(BazarError):
    """This shop sells nothing without an `Idempotency-Key` (RFC 6585 section 3)."""

    status, code = 428, "key_required"


class TooManyRequests(BazarError):
    """This client asks more often than it may (RFC 6585 section 4). Nothing happened: it may ask
    again after `Retry-After`, with the same key."""

    status, code = 429, "too_many_requests"

    def __init__(
        self, message: str = "", details: Mapping[str, Any] | None = None, wait_s: float = 0.0
    ) -> None:
        super().__init__(message, details)
        self.retry_after_s = max(1, math.ceil(wait_s))


class HeadersTooLarge(BazarError):
    """The header is over its bound. Send fewer or shorter fields."""

    status, code = 431, "headers_too_large"


class Unavailable(BazarError):
    """Nothing happened: it is safe to retry, after `Retry-After`, here or elsewhere (R5)."""

    status, code = 503, "unavailable"
    retry_after_s = 1


class ForeignHistory(BazarError):
    """The caller's position is not on this log's history: one of the two was put back to an earlier
    moment, or cut. Nothing happened, and nothing will before an operator has run `adopt` (S4)."""

    status, code = 503, "foreign_history"


class NotOpen(Unavailable):
    """This node does not know its database yet. It logs once why; its peers ask all the time."""

    is_logged = False


class ShuttingDown(Unavailable):
    """Nothing happened: this node is about to stop. Ask another one."""

    code = "leaving"


class OtherToken(Unavailable):
    """Nothing happened: two nodes have different tokens. Give all of them the same."""

    code = "other_token"


class Untrusted(Unavailable):
    """Nothing happened: a node's certificate is not of the others' CA, not valid now, or another
    node's."""

    code = "untrusted"


class Indeterminate(BazarError):
    """It may have happened: ask again with the same key, after `Retry-After` (R5)."""

    status, code = 504, "unknown"
    retry_after_s = 1


def _subclasses(kind: type[BazarError]) -> list[type[BazarError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _subclasses(child))]


def answered() -> list[type[BazarError]]:
    """Return what a caller may be told, by status; each class tells what it means, and what to do,
    in the first paragraph of its docstring."""
    own = [one for one in _subclasses(BazarError) if "code" in vars(one)]
    return sorted(own, key=lambda one: one.status)


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
