"""How a list's columns of prices and of copies are to be read (`bazar/amounts.py`).

The rule, for a list's column of prices as a whole:
- its decimal sign is the one that its prices show: the sign before the last one or two digits, or
  the later one of both signs. If prices show both kinds, each price is read by itself.
- a single sign before exactly three digits (`1.234`) is read by that. If the column shows no
  decimal sign, it separates thousands, provided that there are smaller whole numbers, too. Else the
  keeper is asked.
- whole numbers are whole units (`15` is 15.00), unless the column's name says cents, or is `cost`,
  as in our own files, and has only whole numbers. For a `cost` with both the keeper is asked.
`--decimal` answers for all: `.` or `,` (prices are in units), or `cents`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bazar.amounts import (
    COMMA,
    DIGIT,
    EITHER,
    MAX_DIGITS,
    POINT,
    UNDIVIDED,
    WHOLE,
    NotAnAmount,
    Reading,
    bare,
    shape,
    split_number,
)
from bazar.errors import BadRequest

CENTS = "cents"
DECIMALS = (POINT, COMMA, CENTS)


@dataclass(slots=True)
class Evidence:
    """What a column of prices shows: how many of each shape, and the first, with its line."""

    shapes: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)  # signs that may separate thousands
    currencies: Counter[str] = field(default_factory=Counter)
    undivided: bool = False  # a currency without cents

    def add(self, line: int, cell: str) -> None:
        try:
            number, currency = bare(cell)
        except NotAnAmount:
            return
        kind = shape(number)
        self.shapes[kind] += 1
        self.first.setdefault(kind, (line, cell))
        if kind == EITHER:
            self.groups.add("," if "," in number else ".")
            self.undivided |= currency.casefold() in UNDIVIDED
        if currency and (currency in self.currencies or len(self.currencies) < 10):
            self.currencies[currency] += 1


def decide(evidence: Evidence, name: str, says_cents: bool, told: str | None) -> Reading:
    """Decide how to read the prices of a column, which the file calls `name`. Raises BadRequest
    with a question if the values do not show it."""
    shapes, first = evidence.shapes, evidence.first
    if told is not None:
        return Reading(None, cents=True) if told == CENTS else Reading(told, strict=True)
    if says_cents:
        return Reading(None, cents=True)
    signs = [sign for sign in (POINT, COMMA) if shapes[sign]]
    if name.casefold() == "cost":
        if not signs and (shapes[WHOLE] or not shapes[EITHER]):
            return Reading(None, cents=True)
        if shapes[WHOLE] and signs:
            raise BadRequest(
                f"prices: column {name!r} has whole numbers ({_seen(first, WHOLE)}) and decimal"
                f" signs ({_seen(first, signs[0])}): say --decimal cents if whole numbers are"
                f" cents, or --decimal {signs[0]} if they are not"
            )
    if signs:
        return Reading(signs[0] if len(signs) == 1 else None)
    if shapes[EITHER]:
        [group, *others] = sorted(evidence.groups)
        if others or not (shapes[WHOLE] or evidence.undivided):
            decimal = COMMA if group == "." else POINT
            raise BadRequest(
                f"prices: {_seen(first, EITHER)} can be read in two ways: say --decimal {decimal}"
                f" if {group!r} parts thousands, or --decimal {group} if it is the decimal sign"
            )
        return Reading(COMMA if group == "." else POINT)
    return Reading(None)


def _seen(first: Mapping[str, tuple[int, str]], kind: str) -> str:
    line, cell = first[kind]
    return f"line {line}: {cell[:40]!r}"


def whole_number(cell: str, reading: Reading) -> int:
    """Return a number of copies; spreadsheets write 3 as 3.0, too. `10+` and `>10` are ten that
    there are for certain. Raises NotAnAmount."""
    if cell.isdecimal() and cell.isascii() and len(cell) <= MAX_DIGITS:
        return int(cell)
    if not DIGIT.search(cell):  # in stock, yes
        raise NotAnAmount("is not a number: --ignore its column, and --stock N is one for all")
    number, _ = bare(cell.strip("+>≥ "), counted=True)
    decimal = reading.decimal
    if decimal is None and shape(number) == EITHER and not number.endswith("000"):
        decimal = COMMA if "." in number else POINT  # there is no part of a copy
    whole, fraction = split_number(number, Reading(decimal))
    if fraction.strip("0"):
        raise NotAnAmount("is not a whole number")
    return whole
