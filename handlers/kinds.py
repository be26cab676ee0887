"""Kinds of values. Each reads strictly what comes in, and describes it as JSON Schema: so what is
published is what is read. Every refusal names what is wrong and where."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from bazar.errors import BadRequest

Schema = dict[str, Any]
Schemas = dict[str, Schema]

MAX_ID = 10**18 - 1
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


class Kind(ABC):
    """What a value must be."""

    @abstractmethod
    def __call__(self, value: Any, place: str) -> Any:
        """Return the value as it is used. Raises BadRequest; `place` says where it stands."""

    def typed(self, text: str, place: str) -> Any:
        """Return the value that a path, a query, a header or a form has as text."""
        return self(text, place)

    @abstractmethod
    def schema(self, shared: Schemas) -> Schema:
        """Return its JSON Schema. What has a name is put into `shared`, and referred to."""


class Plain(Kind):
    """Anything that JSON can say. Its schema tells more, where somebody else sees to it."""

    def __init__(self, **schema: Any) -> None:
        self._schema = schema

    def __call__(self, value: Any, place: str) -> Any:
        return value

    def schema(self, shared: Schemas) -> Schema:
        return dict(self._schema)


class OfType(Plain):
    """Anything of one JSON type."""

    def __init__(self, name: Literal["boolean", "object", "string"]) -> None:
        super().__init__(type=name)
        self._name, self._type = name, {"boolean": bool, "object": dict, "string": str}[name]

    def __call__(self, value: Any, place: str) -> Any:
        if not isinstance(value, self._type):
            raise BadRequest(f"{place}: must be JSON of type {self._name}")
        return value


class Boolean(OfType):
    """True or false; as text, these words."""

    def __init__(self) -> None:
        super().__init__("boolean")

    def typed(self, text: str, place: str) -> bool:
        if text not in ("true", "false"):
            raise BadRequest(f"{place}: must be true or false")
        return text == "true"


class Integer(Kind):
    """An integer. As text it has one spelling, so that a book has one cache key."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def __call__(self, value: Any, place: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadRequest(f"{place}: must be an integer")
        if not self.low <= value <= self.high:
            raise BadRequest(f"{place}: must be from {self.low} to {self.high}")
        return value

    def typed(self, text: str, place: str) -> int:
        if not _NUMBER.fullmatch(text):
            raise BadRequest(
                f"{place}: {text[:40]!r} is not a number of 1 to 18 digits without a leading zero"
            )
        return self(int(text), place)

    def schema(self, shared: Schemas) -> Schema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Pattern(Kind):
    """A text that fits an expression, which has no alternatives but in brackets. The refusal may
    show the `{value!r}` if it is no secret."""

    def __init__(self, expression: str, refusal: str) -> None:
        self._expression, self._refusal = expression, refusal
        self._fits = re.compile(expression, re.ASCII).fullmatch

    def __call__(self, value: Any, place: str) -> str:
        if not isinstance(value, str) or not self._fits(value):
            raise BadRequest(f"{place}: {self._refusal.format(value=str(value)[:40])}")
        return value

    def schema(self, shared: Schemas) -> Schema:
        return {"type": "string", "pattern": f"^{self._expression}$"}


class Choice(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def __call__(self, value: Any, place: str) -> str:
        if not isinstance(value, str) or value not in self._words:
            words = ", ".join(word or "(empty)" for word in self._words)
            raise BadRequest(f"{place}: must be one of {words}")
        return value

    def schema(self, shared: Schemas) -> Schema:
        return {"type": "string", "enum": list(self._words)}


class Nullable(Kind):
    """A value that need not be known."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def __call__(self, value: Any, place: str) -> Any:
        return None if value is None else self._kind(value, place)

    def schema(self, shared: Schemas) -> Schema:
        schema = self._kind.schema(shared)
        return {**schema, "type": [schema["type"], "null"]}


class Unread(Kind):
    """A value that is read later, and may be refused by itself: it is shown what it should be."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def __call__(self, value: Any, place: str) -> Any:
        return value

    def schema(self, shared: Schemas) -> Schema:
        return {"anyOf": [self._kind.schema(shared), {}]}


class ListOf(Kind):
    """A list, of `least` to `most` items where they are said. `rule` refuses what no item shows by
    itself."""

    def __init__(
        self,
        kind: Kind,
        least: int = 0,
        most: int | None = None,
        *,
        rule: Callable[[list[Any], str], list[Any]] | None = None,
    ) -> None:
        self._kind, self._least, self._most, self._rule = kind, least, most, rule

    def __call__(self, value: Any, place: str) -> list[Any]:
        if not isinstance(value, list):
            fits = False
        else:
            fits = self._least <= len(value) and (self._most is None or len(value) <= self._most)
        if not fits:
            least, most = self._least, self._most
            span = str(most) if least == most else f"{least} to {most}"
            bounds = "" if most is None else f" of {span}"
            raise BadRequest(f"{place}: must be a list{bounds}")
        read = [self._kind(one, f"{place}[{at}]") for at, one in enumerate(value)]
        return read if self._rule is None else self._rule(read, place)

    def schema(self, shared: Schemas) -> Schema:
        schema = {"type": "array", "items": self._kind.schema(shared)}
        bounds = {"minItems": self._least, "maxItems": self._most}
        return {**schema, **{name: bound for name, bound in bounds.items() if bound}}


class Object(Kind):
    """A JSON object of these fields, and no others. Those of `defaults` may be left out, and count
    as if they were there; those of `optional` may be left out, and stay so. `rule` refuses what
    the fields can't, and `also` is what JSON Schema says of that."""

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Kind],
        *,
        defaults: Mapping[str, Any] | None = None,
        optional: Sequence[str] = (),
        rule: Callable[[dict[str, Any], str], dict[str, Any]] | None = None,
        also: Schema | None = None,
        example: Any = None,
    ) -> None:
        self.name, self.fields, self.example = name, fields, example
        self._defaults = defaults or {}
        self._needed = fields.keys() - {*optional, *self._defaults}
        self._rule, self._also = rule, also or {}

    def __call__(self, value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadRequest(f"{place}: must be a JSON object")
        prefix = "" if place == "body" else f"{place}."
        if not self._needed <= value.keys() <= self.fields.keys():
            self._refuse(value, place, prefix)
        given = value if self._defaults.keys() <= value.keys() else {**self._defaults, **value}
        read = {
            name: kind(given[name], prefix + name)
            for name, kind in self.fields.items()
            if name in given
        }
        return read if self._rule is None else self._rule(read, place)

    def _refuse(self, value: Mapping[str, Any], place: str, prefix: str) -> None:
        """Raise BadRequest that names the first field that is unknown, or else missing."""
        for name in value:
            if name not in self.fields:
                known = ", ".join(self.fields)
                raise BadRequest(f"{place}: {name[:40]!r} is unknown; known are {known}")
        missing = next(name for name in self.fields if name in self._needed - value.keys())
        raise BadRequest(f"{place}: {missing} is missing{self._wanted(missing, prefix)}")

    def _wanted(self, name: str, prefix: str) -> str:
        """Return what a field must be, in the words with which its kind refuses nothing."""
        try:
            self.fields[name](None, prefix + name)
        except BadRequest as error:
            return f"; {error}"
        return ""

    def schema(self, shared: Schemas) -> Schema:
        if self.name not in shared:
            fields = {name: kind.schema(shared) for name, kind in self.fields.items()}
            for name, default in self._defaults.items():
                fields[name]["default"] = default
            schema: Schema = {"type": "object", "additionalProperties": False, "properties": fields}
            if self._needed:
                schema["required"] = [name for name in self.fields if name in self._needed]
            example = {} if self.example is None else {"examples": [self.example]}
            shared[self.name] = {**schema, **self._also, **example}
        return {"$ref": f"#/components/schemas/{self.name}"}
