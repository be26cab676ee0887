"""What a path does by each of its methods, declared once: handlers parse by it, and the published
description is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bazar.errors import BazarError
from bazar.node.server import MAX_BODY_BYTES
from handlers.kinds import Kind

JSON = "application/json"
HTML = "text/html"
PLAIN = "text/plain"
FORM = "application/x-www-form-urlencoded"

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """A value in the path, the query or the header. Where it may be left out, `default` is what
    counts then."""

    name: str
    kind: Kind
    about: str = ""
    default: Any = None
    required: bool = False
    example: Any = None


@dataclass(frozen=True)
class Body:
    """What a request has to carry, unless it is not `required`."""

    kind: Kind
    type: str = JSON
    max_bytes: int = MAX_BODY_BYTES
    required: bool = True


@dataclass(frozen=True)
class Answer:
    """An answer that is no refusal: what it shows, or nothing; `headers` are those that not every
    answer has. `leads_to` are further requests: a name, and the path and the parameter that a field
    of the answer fills."""

    kind: Kind | None = None
    status: int = 200
    about: str = ""
    type: str = JSON
    headers: Sequence[str] = ()
    leads_to: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class Operation:
    """A method of a path. It decorates what carries it out, and leaves that as it is.

    `query` is all that a query may name, each once; an `open_query` may name more, as others add to
    the addresses of pages. `headers` are those that change what is done. `errors` are refusals that
    not every path has.
    """

    summary: str
    answers: Sequence[Answer]
    path: Sequence[Parameter] = ()
    query: Sequence[Parameter] = ()
    open_query: bool = False
    headers: Sequence[Parameter] = ()
    body: Body | None = None
    errors: Sequence[type[BazarError]] = ()
    names: frozenset[str] = field(init=False)
    heeded: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(one.name for one in self.query))
        object.__setattr__(self, "heeded", frozenset(one.name for one in self.headers))

    def __call__(self, method: Method) -> Method:
        vars(method)["operation"] = self
        return method
