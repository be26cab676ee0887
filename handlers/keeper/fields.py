"""What a keeper types into a form, read field by field: what can't be read comes back as it was
typed, with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bazar.amounts import NotAnAmount, Reading, TwoWays, bare, price
from bazar.errors import BadRequest
from handlers.kinds import Integer, Kind, Schema, Schemas
from handlers.validation import AMOUNT, TEXT, Isbn
from storage.catalog import MAX_AMOUNT

_NO_DIGITS = re.compile("[^0-9]+")
_COPIES = re.compile(r"[+-]?[0-9]{1,60}", re.ASCII)


class Price(Kind):
    """Money in cents, as people write it in units.

    >>> [PRICE.typed(text, "Price") for text in ("12.50", "12,5", "$1,234.50", "€ 12")]
    [1250, 1250, 123450, 1200]
    """

    def __call__(self, value: Any, place: str) -> int:
        if isinstance(value, int) and value > MAX_AMOUNT:
            raise BadRequest(f"{place}: is more than {MAX_AMOUNT // 100:,}.00")
        return int(AMOUNT(value, place))

    def typed(self, text: str, place: str) -> int:
        shown = f"{place}: {text[:40]!r}"
        try:
            return self(price(text, Reading(None)), place)
        except TwoWays as error:
            whole = _NO_DIGITS.sub("", bare(text)[0])
            raise BadRequest(f"{shown} {error}: type {whole}.00 if it has no cents") from error
        except NotAnAmount as error:
            raise BadRequest(f"{shown} {error}: a price is such as 12.50") from error

    @staticmethod
    def text(cents: int) -> str:
        """Return a price as it stands in a form."""
        return f"{cents // 100}.{cents % 100:02}"

    def schema(self, shared: Schemas) -> Schema:
        said = "As people write it: 12.50, or € 12,50."
        return {"type": "string", "minLength": 1, "description": said}


class Copies(Integer):
    """A number of copies, which may have a sign."""

    def typed(self, text: str, place: str) -> int:
        text = text.replace("\N{MINUS SIGN}", "-")
        if not _COPIES.fullmatch(text):
            raise BadRequest(f"{place}: {text[:40]!r} is not a whole number such as 5")
        return self(int(text), place)


class Added(Copies):
    """A number of copies that come or go."""

    def __call__(self, value: Any, place: str) -> int:
        if value == 0:
            raise BadRequest(f"{place}: 0 changes nothing")
        return super().__call__(value, place)


class OrNothing(Kind):
    """A value that is not known where nothing is typed."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def __call__(self, value: Any, place: str) -> Any:
        return None if value == "" else self._kind(value, place)

    def typed(self, text: str, place: str) -> Any:
        return None if text == "" else self._kind.typed(text, place)

    def schema(self, shared: Schemas) -> Schema:
        return {"anyOf": [{"const": ""}, self._kind.schema(shared)]}


PRICE = Price()


@dataclass(frozen=True, slots=True)
class Field:
    """An input of a form. `hint` says what to type; `keys` is what a phone shows for it; `text` is
    how a value stands there."""

    name: str
    label: str
    kind: Kind
    hint: str = ""
    keys: str = "text"
    text: Callable[[Any], str] = str

    @property
    def is_optional(self) -> bool:
        return isinstance(self.kind, OrNothing)

    def shown(self, book: Mapping[str, Any]) -> str:
        """Return what the input has at first."""
        value = book.get(self.name)
        return "" if value is None else self.text(value)


TITLE = Field("title", "Title", TEXT)
AUTHOR = Field("author", "Author", OrNothing(TEXT), "Several with commas; empty if not known.")
ISBN = Field("isbn", "ISBN", OrNothing(Isbn()), "10 or 13 digits; empty if there is none.")
TOPIC = Field("topic", "Topic", TEXT, "One that is there, or a new one.")
COST = Field("cost", "Price", PRICE, "In dollars, such as 12.50.", "decimal", Price.text)
COUNT = Field("count", "Copies in stock", Copies(0, MAX_AMOUNT), keys="numeric")
COUNT_ADD = Field(
    "count_add",
    "Copies to add",
    OrNothing(Added(-MAX_AMOUNT, MAX_AMOUNT)),
    "How many have come in; with a minus sign, how many are missing.",
)


@dataclass(slots=True)
class Typed:
    """What was typed: by field the text, and the value that it means or else the reason why it
    means none."""

    texts: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Sequence[Field], texts: Mapping[str, str]) -> Typed:
        """Read the fields; spaces around what is typed mean nothing."""
        typed = cls(dict(texts))
        for one in fields:
            text = texts[one.name].strip()
            if not text and not one.is_optional:
                typed.refuse(one, "nothing is typed here")
                continue
            try:
                value = one.kind.typed(text, one.label)
            except BadRequest as error:
                typed.refuse(one, str(error).removeprefix(f"{one.label}: "))
            else:
                typed.values[one.name] = value
        return typed

    def refuse(self, one: Field, reason: str) -> None:
        """Have the form come back, with this beside the field."""
        self.reasons[one.name] = f"{reason[:1].upper()}{reason[1:]}."
