"""A role's API as an OpenAPI 3.1 document, made of the declarations that its handlers parse by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bazar.errors import (
    BadRequest,
    BazarError,
    Forbidden,
    HeadersTooLarge,
    Indeterminate,
    Misdirected,
    NotFound,
    OtherToken,
    RequestTimeout,
    ShuttingDown,
    TargetTooLong,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    Untrusted,
    answered,
)
from bazar.node.server import INTERNAL, Route
from handlers.base import Handler
from handlers.kinds import Schema, Schemas
from handlers.operations import JSON, Body, Operation, Parameter
from handlers.parameters import KEY

TITLES = {
    "frontend": "The shop: reads from a cache, purchases, and pages",
    "catalog": "The catalog: one replica of the books",
    "order": "The orders: one replica of them, which sells",
}
ABOUT = """\
A `HEAD` is answered wherever a `GET` is. Whatever nothing reads is refused by its name: a header
that is given twice, a field or a parameter that is not known, a body that is not taken.
Paths that want the token are for nodes and operators."""
ANY_TIME = (
    *(BadRequest, RequestTimeout, Misdirected, TargetTooLong, HeadersTooLarge, BazarError),
    *(TooManyRequests, Unavailable, ShuttingDown, OtherToken, Untrusted),
)
TOKEN = "token"

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Under this the log has the request: the caller's own, or else one made.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "Cache-Control": {
        "description": "Others must ask each time: only the shop's cache knows of every write.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Etag": {
        "description": "Names what is shown, the same at every node.",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{40}"$'},
    },
    "Idempotency-Key": {
        "description": "The key of this request.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'The next page, as `rel="next"`, if there is one (RFC 8288).',
        "schema": {"type": "string"},
    },
    "X-Total-Count": {
        "description": "How many books are found, page by page; with a + there are more.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,4}[+]?$"},
    },
    "Location": {
        "description": "Where to go on.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "After so many seconds it is worth asking again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "What is wanted.",
        "required": True,
        "schema": {"const": "Bearer"},
    },
}
ALWAYS = ("X-Request-Id", "Cache-Control")
REQUEST_ID: dict[str, Any] = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "The caller's own name for the request: up to 64 of `A-Z a-z 0-9 . _ -`.",
    "schema": {"type": "string"},
}
UNLESS: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The tags that the caller has: if the answer's is one of them, it is a 304.",
    "schema": {"type": "string"},
}


class Document:
    """Grows operation by operation; what several share is in its components."""

    def __init__(self) -> None:
        self.schemas: Schemas = {}
        self.responses: dict[str, Any] = {}

    def operation(
        self, path: str, method: str, route: Route, handler: type[Handler], one: Operation
    ) -> dict[str, Any]:
        refusals = _refusals(one, route.access)
        reads = method == "GET" and any(answer.status == 200 for answer in one.answers)
        common = [REQUEST_ID, UNLESS] if reads else [REQUEST_ID]
        shown: dict[str, Any] = {
            "operationId": operation_id(path, method),
            "summary": one.summary,
            "security": [{TOKEN: []}] if route.access == INTERNAL else [],
            "parameters": [
                *self.parameters(one),
                *(_ref("parameters", parameter["name"]) for parameter in common),
            ],
        }
        if about := _paragraphs(handler.about(route.options)):
            shown["description"] = about
        if one.body is not None:
            shown["requestBody"] = self.body(one.body)
        answers = self.answers(one, reads)
        refused = {
            str(status): self.refusal(status, kinds, handler.error_types)
            for status, kinds in _by_status(refusals)
        }
        shown["responses"] = dict(sorted({**answers, **refused}.items()))
        return shown

    def parameters(self, one: Operation) -> list[dict[str, Any]]:
        places = (("path", one.path), ("query", one.query), ("header", one.headers))
        return [self.parameter(item, place) for place, items in places for item in items]

    def parameter(self, one: Parameter, place: str) -> dict[str, Any]:
        schema = one.kind.schema(self.schemas)
        if one.default is not None:
            schema["default"] = one.default
        shown: dict[str, Any] = {"name": one.name, "in": place, "schema": schema}
        if one.about:
            shown["description"] = one.about
        if one.required or place == "path":
            shown["required"] = True
        if one.example is not None:
            shown["example"] = one.example
        return shown

    def body(self, body: Body) -> dict[str, Any]:
        return {
            "description": f"At most {body.max_bytes:,} bytes.",
            "required": body.required,
            "content": {body.type: {"schema": body.kind.schema(self.schemas)}},
        }

    def answers(self, one: Operation, reads: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        key = (KEY.name,) if KEY.name in one.heeded else ()
        for answer in one.answers:
            etag = ("Etag",) if reads and answer.status == 200 else ()
            names = (*ALWAYS, *etag, *key, *answer.headers) if answer.status >= 200 else ()
            response = shown.setdefault(
                str(answer.status), {"description": answer.about or "Done.", **_headers(names)}
            )
            if answer.kind is not None:
                schema = answer.kind.schema(self.schemas)
                response.setdefault("content", {})[answer.type] = {"schema": schema}
            if answer.leads_to:
                response["links"] = {
                    to: {"operationId": to, "parameters": {name: f"$response.body#/{field}"}}
                    for to, name, field in answer.leads_to
                }
        if reads:
            shown["304"] = {"description": "The caller has it already.", **_headers(ALWAYS)}
        return shown

    def refusal(self, status: int, kinds: Sequence[type[BazarError]], types: Sequence[str]) -> Any:
        codes = [kind.code for kind in kinds]
        name = f"{'_or_'.join(codes)}{'_page' if len(types) > 1 else ''}"
        names = [*ALWAYS[:1]]
        names += ["Retry-After"] if any(kind.retry_after_s for kind in kinds) else []
        names += {401: ["WWW-Authenticate"], 412: ["Etag"]}.get(status, [])
        schema: Schema = {
            "allOf": [_ref("schemas", "Error"), {"properties": {"code": {"enum": codes}}}]
        }
        self.responses[name] = {
            "description": " ".join(f"`{kind.code}`: {meaning(kind)}" for kind in kinds),
            **_headers(names),
            "content": {
                one: {"schema": schema if one == JSON else {"type": "string"}} for one in types
            },
        }
        return _ref("responses", name)


def document(role: str, version: str, routes: Iterable[Route]) -> dict[str, Any]:
    """Return the description of what these routes answer."""
    grown = Document()
    paths: dict[str, Any] = {}
    for route in routes:
        handler = route.handler
        assert issubclass(handler, Handler)
        for method, one in handler.operations.items():
            path = path_of(route, one)
            shown = grown.operation(path, method, route, handler, one)
            paths.setdefault(path, {})[method.lower()] = shown
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLES[role],
            "version": version,
            "description": _paragraphs(ABOUT),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**grown.schemas, "Error": _error()}.items())),
            "responses": dict(sorted(grown.responses.items())),
            "parameters": {one["name"]: one for one in (REQUEST_ID, UNLESS)},
            "headers": HEADERS,
            "securitySchemes": {
                TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The cluster's: `BAZAR_TOKEN`, or else what `data/token` has.",
                }
            },
        },
    }


def _error() -> Schema:
    """Return what every refusal is, as JSON."""
    offers = {"type": "array", "items": {"type": "object"}}
    return {
        "type": "object",
        "required": ["error", "code", "request_id"],
        "properties": {
            "error": {"type": "string", "description": "What is wrong, and where, in words."},
            "code": {"enum": sorted({one.code for one in answered()})},
            "request_id": {"type": "string"},
            "key": {"type": "string", "description": "The request's `Idempotency-Key`."},
            "books": {**offers, "description": "Each book as it is now: `id`, `cost`, `count`."},
            "etag": {"type": "string", "description": "The book's tag of now."},
        },
        "examples": [
            {
                "error": "id: '01' is not a number of 1 to 18 digits without a leading zero",
                "code": "bad_request",
                "request_id": "fe9fc0fd45cfef4d",
            }
        ],
    }


def written(plain: dict[str, Any]) -> bytes:
    """Return a document as it is served, and kept in docs/openapi."""
    return f"{json.dumps(plain, ensure_ascii=False, indent=1)}\n".encode()


def path_of(route: Route, one: Operation) -> str:
    """Return the route's path as OpenAPI writes it, without the spellings that are kept for old
    clients."""
    names = iter(one.path)
    return re.sub(r"\*", lambda _: f"{{{next(names).name}}}", route.kind.name)


def operation_id(path: str, method: str) -> str:
    words = re.sub(r"\{(\w+)\}", r"by_\1", path).strip("/") or "home"
    return f"{method.lower()}_{re.sub(r'[^A-Za-z0-9]+', '_', words)}"


def meaning(kind: type[BazarError]) -> str:
    """Return what an error means, and what to do."""
    return _paragraphs(kind.__doc__ or "").split("\n\n")[0]


def _refusals(one: Operation, access: str) -> list[type[BazarError]]:
    """Return what a request for this may be refused with."""
    kinds: list[type[BazarError]] = [*ANY_TIME, *one.errors]
    kinds += [Unauthorized, Forbidden] if access == INTERNAL else []
    kinds += [NotFound] if one.path else []
    kinds += [TooLarge, UnsupportedMediaType, Forbidden, Indeterminate] if one.body else []
    return list(dict.fromkeys(kinds))


def _by_status(kinds: Sequence[type[BazarError]]) -> Iterator[tuple[int, list[type[BazarError]]]]:
    for status in sorted({kind.status for kind in kinds}):
        yield status, [kind for kind in kinds if kind.status == status]


def _headers(names: Iterable[str]) -> dict[str, Any]:
    shown = {name: _ref("headers", name) for name in names}
    return {"headers": shown} if shown else {}


def _ref(where: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{where}/{name}"}


def _paragraphs(text: str) -> str:
    """Return a docstring's paragraphs, a line each."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))
