"""The columns of a book, and their names in other programs.

A further field of books needs only its line in `COLUMNS`. It is filled as soon as the shop's books
have it (`FIELD_RULES` in `handlers/validation.py`); until then the report says that it is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from bazar.cli.importing import names
from bazar.cli.importing.isbns import is_isbn
from bazar.errors import BadRequest
from handlers import validation
from storage.isbn import isbn13

TEXT, MONEY, NUMBER, CODE, TRUTH = "text", "money", "number", "code", "truth"
LESS = 1000  # more than there are names of one column


@dataclass(frozen=True, slots=True)
class Column:
    """One of our columns. `names` are its names in other programs, the most trusted first: of two
    in one list the first is taken. A column by one of its `doubtful` names must have values of the
    right form."""

    kind: str
    names: str
    default: str | None = None  # the option that replaces the column
    doubtful: str = ""
    optional: bool = False


COLUMNS: Mapping[str, Column] = {
    "title": Column(TEXT, names.TITLE),
    "author": Column(TEXT, names.AUTHOR, optional=True),
    "topic": Column(TEXT, names.TOPIC, default="--topic"),
    "cost": Column(MONEY, names.COST, default="--cost"),
    "count": Column(NUMBER, names.COUNT, default="--stock"),
    "isbn": Column(
        CODE,
        names.ISBN,
        doubtful=names.BARCODE,
        optional=True,
    ),
    "retired": Column(TRUTH, names.RETIRED, optional=True),
}

_OPTION = re.compile(r"option ?\d ?value|(variation|variant) (name|title)")
_BRACKETS = re.compile(r"\([^)]*\)|\[[^]]*\]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words(name: str) -> list[str]:
    """Return the words of a column's name without case and accents, `UnitPrice` as `unit_price`."""
    plain = unicodedata.normalize("NFKD", _CAMEL.sub(" ", name))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return re.findall(r"[^\W_]+", plain.casefold())


def spellings(name: str) -> Iterator[str]:
    """Yield the spellings by which to look up a column's name: all its words, then without those in
    brackets, then without those that mean nothing here (`Variant Price`, `Price in EUR`)."""
    name = unicodedata.normalize("NFKC", name)
    for text in dict.fromkeys((name, _BRACKETS.sub(" ", name))):
        found = words(text)
        yield "".join(found)
        yield "".join(word for word in found if word not in _NOISE)


def in_cents(name: str) -> bool:
    return any(word in _CENTS for word in words(name))


def _keys(listed: str) -> dict[str, int]:
    """Return each name, with its place in the order of trust."""
    found: dict[str, int] = {}
    for name in listed.split(","):
        found.setdefault("".join(words(name)), len(found))
    return found


_NAMES = {ours: _keys(column.names) for ours, column in COLUMNS.items()}
_DOUBTFUL = {ours: _keys(column.doubtful) for ours, column in COLUMNS.items() if column.doubtful}
_PRODUCT, _PARENT, _FORMATS = map(_keys, (names.PRODUCT, names.PARENT, names.FORMAT))
_NOISE, _CENTS = _keys(names.NOISE), _keys(names.CENTS)
_SALE, _USUAL = _keys(names.SALE), _keys(names.USUAL)
_TRUTHS = dict.fromkeys(_keys(names.TRUE), True) | dict.fromkeys(_keys(names.FALSE), False)


def known(name: str) -> dict[str, int]:
    """Return which of our columns a name means, and how much to trust that (0: most). Few names
    mean two: a Spanish `nombre` is a title, a French one a number. A name that must be shortened is
    trusted less than any that need not be."""
    for shortened, spelling in enumerate(spellings(name)):
        found = {ours: keys[spelling] for ours, keys in _NAMES.items() if spelling in keys}
        if found:
            return {ours: trust + shortened * LESS for ours, trust in found.items()}
    return {}


def _has_digit(value: str) -> bool:
    return any(map(str.isdigit, value))


def _doubtful(name: str, ours: str, values: Sequence[str]) -> bool:
    given = [value.strip("'") for value in values if value]
    named = _is_of(_DOUBTFUL[ours], name)
    return named and bool(given) and all(isbn13(value) is not None for value in given)


def truth(text: str) -> bool | None:
    """Return what a cell says, in whatever language; None if that is not known.

    >>> truth("TRUE"), truth("Falsch"), truth("perhaps")
    (True, False, None)
    """
    return _TRUTHS.get("".join(words(text)))


_FITS: Mapping[str, Callable[[str], bool]] = {
    TEXT: bool,
    MONEY: _has_digit,
    NUMBER: _has_digit,
    CODE: is_isbn,
    TRUTH: lambda value: truth(value) is not None,
}


def _is_of(listed: Mapping[str, int], name: str) -> bool:
    return any(spelling in listed for spelling in spellings(name))


def recognized(header: Sequence[str]) -> int:
    """Return how many of our columns a header seems to name."""
    return len({next(iter(found)) for name in header if (found := known(name))})


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of the file's columns (by place) is which of ours."""

    places: Mapping[str, int]
    passed_over: Mapping[int, str]  # means one of ours as well, but another was taken
    options: Sequence[int]
    formats: Sequence[int]
    product: int | None  # the column that is the same in all rows of a product
    parent: int | None  # the column with the number of another row
    numbers: Sequence[int]
    instead: Mapping[str, int]  # where a row has no value in ours


def choose(
    header: Sequence[str],
    samples: Sequence[Sequence[str]],
    told: Mapping[str, int],
    ignored: set[int],
) -> Chosen:
    """Find our columns in a header: those that the keeper has `told`, and the best known of the
    others. `samples` are the values of each column in the first rows; a column without any value
    that is wanted is taken last."""
    ranked: dict[str, list[tuple[bool, int, int]]] = {}
    options = {p for p, name in enumerate(header) if _OPTION.fullmatch(" ".join(words(name)))}
    for place, name in enumerate(header):
        if place in ignored or place in told.values() or place in options:
            continue
        values = samples[place]
        found = known(name) or {o: 4 * LESS for o in _DOUBTFUL if _doubtful(name, o, values)}
        for ours, trust in found.items():
            fit = any(map(_FITS[COLUMNS[ours].kind], values))
            ranked.setdefault(ours, []).append((not fit, trust, place))
    places = dict(told)
    for ours in COLUMNS:
        for _, _, place in sorted(ranked.get(ours, ())):
            if place not in places.values():
                places.setdefault(ours, place)
    instead: dict[str, int] = {}
    if "cost" not in told and "cost" in places and _is_of(_SALE, header[places["cost"]]):
        for unfit, _, place in sorted(ranked["cost"]):
            if not unfit and _is_of(_USUAL, header[place]):
                instead.setdefault("cost", place)
    passed_over = {
        place: ours
        for ours, candidates in ranked.items()
        for _, _, place in candidates
        if place not in {*places.values(), *instead.values()}
    }
    free = [p for p in range(len(header)) if p not in ignored and p not in places.values()]
    called = {place: next(spellings(header[place])) for place in range(len(header))}
    return Chosen(
        {ours: places[ours] for ours in COLUMNS if ours in places},
        passed_over,
        [p for p in free if p in options],
        sorted((p for p in free if called[p] in _FORMATS), key=lambda p: _FORMATS[called[p]]),
        next((p for p in free if called[p] in _PRODUCT), None),
        next((p for p in free if called[p] in _PARENT), None),
        [p for p, name in called.items() if name in ("id", "sku")],
        instead,
    )


def find_place(header: Sequence[str], wanted: str, option: str) -> int:
    """Return the first of `find_places`."""
    return min(find_places(header, wanted, option))


def find_places(header: Sequence[str], wanted: str, option: str) -> set[int]:
    """Return where the file's columns of this name are: as it is written, or else apart from case,
    accents and spaces; or `#3`, the third. Raises BadRequest, which names similar columns."""
    stripped = [name.strip() for name in header]
    keys = ["".join(words(name)) for name in stripped]
    key = "".join(words(wanted))
    found = {p for p, name in enumerate(stripped) if name == wanted.strip()}
    found = found or {p for p, its in enumerate(keys) if its == key and key}
    if found:
        return found
    if re.fullmatch(r"#[1-9]\d{0,3}", wanted) and int(wanted[1:]) <= len(header):
        return {int(wanted[1:]) - 1}
    close = get_close_matches(key, keys, n=3)
    hint = (
        f"; did you mean {', '.join(repr(stripped[keys.index(k)]) for k in close)}?"
        if close
        else ""
    )
    raise BadRequest(f"{option}: the list has no column {wanted!r}{hint}")


def read_map(header: Sequence[str], given: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return what `--map OURS=THEIRS` says, also if it is reversed, and what is wrong with it."""
    told: dict[str, int] = {}
    wrong = []
    for pair in given:
        left, _, right = pair.partition("=")
        if left.strip() not in COLUMNS:
            right, _, left = pair.rpartition("=")
        ours = left.strip()
        try:
            if ours not in COLUMNS or not right:
                names_of_ours = ", ".join(COLUMNS)
                raise BadRequest(f"--map {pair}: must be OURS=THEIRS, ours are {names_of_ours}")
            place = find_place(header, right, f"--map {pair}")
            if ours in told or place in told.values():
                raise BadRequest(f"--map {pair}: one of both is mapped already")
            told[ours] = place
        except BadRequest as error:
            wrong.append(str(error))
    return told, wrong


def fields() -> list[str]:
    """Return those of our columns that the shop's books have."""
    return [ours for ours in COLUMNS if ours in validation.FIELD_RULES]
