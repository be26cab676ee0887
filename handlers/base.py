"""What every route shares: the token, JSON in and out, errors to statuses, the log line."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from tornado.web import HTTPError

from bazar import trace_context
from bazar.errors import (
    BadRequest,
    BazarError,
    Forbidden,
    KeyRequired,
    MethodNotAllowed,
    NotFound,
    ShuttingDown,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from bazar.http.access_log import shown
from bazar.http.handler import LeanHandler
from bazar.http.headers import Headers
from bazar.http.response import HEADERS, render
from bazar.node.server import INTERNAL, PUBLIC, Service, ServiceApplication
from handlers.json_body import json_object
from handlers.operations import JSON, Operation, Parameter
from handlers.parameters import CONDITIONS, KEY

log = logging.getLogger(__name__)

METHODS = ("get", "put", "post", "delete")
UNHEEDED = ("If-Match", "If-None-Match", "If-Unmodified-Since", "Content-Range")
"""A write that has one of these must not become one without. A book has no date, and no parts."""
SINGLE = ("Idempotency-Key", "Content-Type", "Authorization")
CHARSET = re.compile(r'charset="?([^\s";]*)', re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Handler(LeanHandler):
    """Base of all handlers. What a request may carry is declared with the method that answers it;
    a method without a declaration is not allowed."""

    SUPPORTED_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
    operations: ClassVar[Mapping[str, Operation]] = {}
    error_types: ClassVar[tuple[str, ...]] = (JSON,)
    """As what its refusals may be sent."""
    operation: Operation
    given: Mapping[str, Any] = {}
    """What the query says, by name; what it leaves out is as declared."""
    shows_replica = False
    log_level = logging.INFO
    request_id = ""
    key: str | None = None
    application: ServiceApplication

    def __init_subclass__(cls) -> None:
        methods = {name.upper(): vars(getattr(cls, name)) for name in METHODS}
        cls.operations = {
            name: attributes["operation"]
            for name, attributes in methods.items()
            if "operation" in attributes
        }

    @classmethod
    def about(cls, options: Mapping[str, Any]) -> str:
        """Return what to say of it beyond the summaries; `options` are those of its route."""
        return cls.__doc__ or ""

    def initialize(self, service: Service, access: str) -> None:
        self.service = service
        self.access = access
        self.notes: list[str] = []
        self._is_logged = True
        if self.shows_replica:
            self.set_header("X-Replica", service.context.node.name)

    def clear(self) -> None:
        """Begin the answer anew. Tornado would name itself, and write a date, which is the port's
        to write."""
        if not self.request_id:  # an error begins anew
            self.request_id = self.request.given_id or trace_context.new_id()
        self._headers = Headers({**HEADERS, "X-Request-Id": self.request_id})
        self._write_buffer = []
        self._status_code, self._reason = 200, "OK"
        self.set_default_headers()

    @property
    def target(self) -> bytes:
        """Return what was asked for, byte for byte."""
        return (self.request.uri or "").encode("latin-1")

    @property
    def client(self) -> str:
        """Return the client's address, as far as it is known."""
        return self.request.remote_ip or ""

    def prepare(self) -> Awaitable[None] | None:
        activity = self.service.context.activity
        activity.enter(self)
        trace_context.current.set(self.request_id)
        failed = self.request.failed
        if self.access == INTERNAL:
            self.check_caller()
        elif self.counts and failed is None:  # the port has checked the rate of what it fetches
            self.check_rate()
        method = self.request.method or ""
        operation = self.operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            raise MethodNotAllowed(f"this path does not take {method}")
        self.operation = operation
        if failed is not None:
            self.notes += failed.notes
            raise failed.error
        self._refuse_unread(operation)
        self._read_declared(operation)
        return None

    def _read_declared(self, operation: Operation) -> None:
        """Read the key, the path and the query as they are declared. Raises their refusals, which
        have the key, if there is one."""
        if KEY.name in operation.heeded:
            self._take_key(KeyRequired in operation.errors)
        if operation.path:
            texts: list[Any] = self.path_args
            named = zip(operation.path, texts, strict=True)
            self.path_args = [one.kind.typed(text, one.name) for one, text in named]
        if operation.query:
            self.given = {one.name: self._given(one) for one in operation.query}

    def _refuse_unread(self, operation: Operation) -> None:
        """Refuse what this operation does not read: its sender means something by it, and would be
        told that it has been done. Raises BadRequest, TooLarge or UnsupportedMediaType."""
        request, headers = self.request, self.request.headers
        for name in SINGLE:
            if len(headers.get_list(name)) > 1:
                raise BadRequest(f"{name}: is given {len(headers.get_list(name))} times")
        if not operation.open_query:
            for name in request.query_arguments:
                if name not in operation.names:
                    known = ", ".join(sorted(operation.names)) or "none"
                    raise BadRequest(f"{name[:40]!r}: is unknown in a query here; known: {known}")
        if request.method not in ("GET", "HEAD"):
            for name in UNHEEDED:
                if name in headers and name not in operation.heeded:
                    raise BadRequest(f"{name}: is not heeded by {request.method} of this path")
        if not request.body:
            return
        body = operation.body
        if body is None:
            raise BadRequest(f"body: {request.method} takes none")
        if len(request.body) > body.max_bytes:
            raise TooLarge(f"body: is over {body.max_bytes} bytes")
        kind, _, options = headers.get("Content-Type", "").partition(";")
        if kind.strip().lower() != body.type:
            raise UnsupportedMediaType(f"Content-Type: must be {body.type}")
        charset = CHARSET.search(options)
        if charset and charset[1].lower() != "utf-8":
            raise UnsupportedMediaType("Content-Type: charset must be utf-8")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Content-Encoding: a body is read as it is")

    def check_rate(self) -> None:
        """Raises TooManyRequests, where there is a limit to how often a client may ask."""
        if self.application.limit is not None:
            self.application.limit.check(self.client, self.service.context.clock())

    def check_caller(self) -> None:
        """Take a request of a node's or an operator's. Raises Unauthorized or Forbidden, and
        ShuttingDown where the caller is to ask another node."""
        self.check_token()
        if self.service.context.activity.draining:
            raise ShuttingDown(f"{self.service.context.node.name} is about to stop")

    def check_token(self) -> None:
        """Raises Unauthorized or Forbidden: who has no token is a client like any other."""
        given = self.request.headers.get("Authorization")
        scheme, _, token = (given or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            self.check_rate()
            found = "is missing" if given is None else "is of another form"
            raise Unauthorized(f"Authorization: {found}; this path wants 'Bearer <cluster token>'")
        if not self.service.context.is_token(token.strip()):
            self.check_rate()
            raise Forbidden("Authorization: is not this cluster's token")

    def _origin_matches_host(self, origin: str) -> bool:
        """Whether a page of this shop sends the request. A browser names the shop as it knows it,
        also where a proxy names this port."""
        if origin.lower() == self.service.context.config.public_url != "":
            return True
        try:
            return super()._origin_matches_host(origin)
        except ValueError:  # it is no URL
            return False

    # --- in --------------------------------------------------------------------------------------

    def json_body(self) -> Any:
        """Return the body as its declaration reads it."""
        body = self.operation.body
        assert body is not None
        return body.kind(json_object(self.request.body), "body")

    def _given(self, one: Parameter) -> Any:
        """Return what the query says, as declared."""
        text = self.query(one.name)
        if text is not None:
            return one.kind.typed(text, one.name)
        if one.required:
            raise BadRequest(f"{one.name}: is missing")
        return one.default

    def query(self, name: str) -> str | None:
        """Return a query argument, which may be given once; None if it is not."""
        # Not get_query_argument, which turns control characters into spaces.
        return self._once(self.request.query_arguments, name)

    def _once(self, arguments: Mapping[str, list[bytes]], name: str) -> str | None:
        values = arguments.get(name, [])
        if len(values) > 1:
            raise BadRequest(f"{name}: is given {len(values)} times")
        try:
            return values[0].decode("utf-8") if values else None
        except UnicodeDecodeError:
            raise BadRequest(f"{name}: is not UTF-8") from None

    def conditions(self) -> dict[str, list[str]]:
        """Return If-Match and If-None-Match, as an operation carries them."""
        headers = self.request.headers
        return {
            one.name.lower().replace("-", "_"): one.kind(headers[one.name], one.name)
            for one in CONDITIONS
            if one.name in headers
        }

    def _take_key(self, buys: bool) -> None:
        """Take the caller's key, or make one, which goes back with the answer, errors too (S4).
        Raises KeyRequired if a purchase must have one, and has none."""
        given = self.request.headers.get(KEY.name)
        if given is None and buys and self.service.context.config.purchase.require_key:
            raise KeyRequired(
                f"{KEY.name}: is missing; this shop sells nothing without one, so that what is sent"
                " again is not bought again"
            )
        self.key = secrets.token_hex(16) if given is None else KEY.kind(given, KEY.name)
        self.set_header(KEY.name, self.key)

    # --- out -------------------------------------------------------------------------------------

    def answer(self, value: Any, status: int = 200) -> None:
        self.set_status(status)
        self.finish(render(value))

    def link_behind(self, search: Mapping[str, Any]) -> str:
        """Return the next page's address without the value of its `after`."""
        shown = [one for one in ("topic", "q", "sort", "limit") if one in search]
        wanted = {name: search[name] for name in shown if name in self.given}
        if search.get("in_stock"):
            wanted["in_stock"] = "true"
        return f"{self.request.path}?{urlencode({**wanted, 'after': ''})}"

    async def head(self, *path: str) -> None:
        get: Any = self.get
        done = get(*path)
        if done is not None:
            await done

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        shown = as_error(status_code, error, self)
        self._is_logged = shown.is_logged or self.access == PUBLIC
        self.set_status(shown.status)
        self.tell_error(shown)
        body = {"error": str(shown), "code": shown.code, **shown.details}
        body["request_id"] = self.request_id
        if self.key is not None:
            body["key"] = self.key
            self.set_header(KEY.name, self.key)
        self.finish(render(body))

    def tell_error(self, shown: BazarError) -> None:
        """Set the headers that say what to do; tell the log why somebody is turned away."""
        if shown.status in (401, 403, 429):
            self.note(str(shown))
        if shown.retry_after_s is not None:
            self.set_header("Retry-After", str(shown.retry_after_s))
        if shown.status == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        if "etag" in shown.details:
            self.set_header("Etag", shown.details["etag"])
        if shown.status == 405:
            self.set_header("Allow", ", ".join(self._allowed()))

    def _allowed(self) -> list[str]:
        own = list(self.operations)
        return ["GET", "HEAD", *own[1:]] if "GET" in own else own

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, BazarError | HTTPError):
            text = shown(self.target).decode("utf-8", "backslashreplace")
            log.error("%s %s failed", self.request.method, text, exc_info=(typ, value, tb))

    def note(self, words: str) -> None:
        """Add to this request's log line."""
        self.notes.append(words)

    def on_finish(self) -> None:
        self.service.context.activity.leave(self)
        ms = 1000 * self.request.request_time()
        status, request = self.get_status(), self.request
        level = self.log_level
        if not self._is_logged:
            level = logging.DEBUG
        elif status >= 400:
            level = max(level, logging.INFO)
        self.application.log.add(
            self.request_id.encode(),
            (request.remote_ip or "").encode(),
            (request.method or "").encode(),
            self.target,
            status,
            ms,
            " - ".join(self.notes).encode(),
            self.kind,
            level,
        )


class NoRoute(Handler):
    """Answers every path that no route has, and with `refusal` any path."""

    def initialize(self, service: Service, access: str, refusal: BazarError | None = None) -> None:
        super().initialize(service, access)
        self._refusal = refusal

    def prepare(self) -> None:
        self.check_rate()
        path = CONTROL.sub("?", self.request.path[:100])
        raise self._refusal or NotFound(f"no such path: {path}")


def _of_another_site(headers: Mapping[str, str]) -> Forbidden:
    """Return why a form is not taken: where its browser says that it comes from."""
    name = "Sec-Fetch-Site" if "Sec-Fetch-Site" in headers else "Origin"
    return Forbidden(f"{name}: {headers.get(name, '')[:100]!r}: another site may not send this")


def as_error(status: int, error: BaseException | None, handler: Handler) -> BazarError:
    """Return what the caller sees of an exception: nowhere else is one turned into another."""
    if isinstance(error, BazarError):
        return error
    if isinstance(error, HTTPError) and status == 405:
        return MethodNotAllowed(f"this path does not take {handler.request.method}")
    if isinstance(error, HTTPError) and status == 403:
        return _of_another_site(handler.request.headers)
    if isinstance(error, HTTPError) and 400 <= status < 500:
        shown = BadRequest(error.log_message or error.reason or "malformed request")
        shown.status = status
        return shown
    return BazarError("internal error; the log has it under this request id")
