"""The report: how a list is understood, and the result for its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bazar.amounts import EITHER, WHOLE, price
from bazar.cli.importing.columns import COLUMNS
from bazar.cli.importing.layout import DELIMITERS, NAMES, Layout
from bazar.cli.importing.reading import BookList
from bazar.cli.importing.rows import EMPTY, Row
from handlers import validation

MAX_SHOWN = 20
MAX_KINDS = 30
OTHERS = "other reasons"
SHOWN = ("title", "author", "topic", "cost", "count", "retired")


@dataclass(slots=True)
class Tally:
    """The result for the rows; only the first problems are kept."""

    created: int = 0
    known: int = 0
    retired: int = 0  # of these
    twice: int = 0  # in the list itself
    checked: int = 0  # good rows
    rejected: int = 0
    shown: list[tuple[int, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)  # of rows that are not shown
    left_out: Counter[str] = field(default_factory=Counter)
    # Of rows that are left out, except empty ones.
    examples: list[str] = field(default_factory=list)
    _first_id: int | None = None  # the first id that was made for this list

    def reject(self, row: Row) -> None:
        self.rejected += 1
        if len(self.shown) < MAX_SHOWN:
            self.shown.append((row.line, str(row)))
            return
        for problem in row.problems:
            kind = problem.kind
            if kind not in self.kinds and len(self.kinds) >= MAX_KINDS:
                kind = OTHERS
            self.kinds[kind] += 1

    def done(self, row: Row, book: int, created: bool, retired: bool) -> None:
        """Note that the shop has this row's book, which was there, and `retired`, unless it was
        created. Ids grow: an id that is not new, but at least the first one made for this list,
        belongs to a row above."""
        if created:
            self.created += 1
            self._first_id = book if self._first_id is None else self._first_id
        elif self._first_id is None or book < self._first_id:
            self.known += 1
            self.retired += retired
            if retired and not (row.book or {}).get("retired"):
                self._example(f"line {row.line}: is book {book}, which is retired, and stays so")
        else:
            self.twice += 1
            self._example(f"line {row.line}: is the same book as a row above, which counts")

    def _example(self, text: str) -> None:
        if len(self.examples) < MAX_SHOWN:
            self.examples.append(text)

    def leave_out(self, row: Row) -> None:
        reason = row.left_out or EMPTY
        self.left_out[reason] += 1
        if reason != EMPTY:
            first = next((cell for cell in row.cells if cell.strip()), "")
            self._example(f"line {row.line}: left out, as {reason}: {first[:40]!r}")

    def faults(self, name: object) -> Iterator[str]:
        """Yield what was wrong: the first rows, then how often each problem occurred."""
        for line, reason in sorted(self.shown):
            yield f"{name}:{line}: {reason}"
        if self.rejected > len(self.shown):
            yield f"… and {self.rejected - len(self.shown):,} rows more:"
            for kind, times in self.kinds.most_common():
                yield f"  {times:,} × {kind}"

    def summary(self, dry_run: bool) -> str:
        parts = [f"{self.checked:,} good"]
        if not dry_run:
            retired = f", {self.retired:,} of them retired" if self.retired else ""
            known = f"{self.known:,} there already (left as they are{retired})"
            parts = [f"{self.created:,} created", known]
        if self.twice:
            parts.append(f"{self.twice:,} twice in the list")
        parts.append(f"{self.rejected:,} rejected")
        left = ", ".join(f"{times:,} {reason}" for reason, times in self.left_out.items())
        return ", ".join(parts) + (f"; left out: {left}" if left else "")


def describe(books: BookList) -> Iterator[str]:
    """Yield what was understood, a line for each thing, with the option that changes it."""
    encoding, layout, defaults = books.encoding, books.layout, books.defaults
    yield _line("encoding", f"{encoding.name}, {encoding.why} (--encoding)")
    delimiter = NAMES.get(layout.delimiter, repr(layout.delimiter))
    yield _line("separator", f"{delimiter} (--delimiter)")
    above = f"; the {layout.line - 1} above it are left out" if layout.line > 1 else ""
    yield _line("header", f"line {layout.line}{above}")
    for ours in COLUMNS:
        place = layout.chosen.places.get(ours)
        if ours not in validation.FIELD_RULES:
            continue
        origin = "none" if place is None else layout.name(place)
        if (other := layout.chosen.instead.get(ours)) is not None:
            origin += f", or {layout.name(other)} where it is empty"
        if defaults.get(ours) is not None:
            shown = money(defaults[ours]) if ours == "cost" else repr(defaults[ours])
            origin = (
                f"always {shown}" if place is None else f"{origin}, or {shown} where it is empty"
            )
        yield _line(ours, f"{origin}{_manner(ours, place, books)}")
    if layout.chosen.options:
        told = ", ".join(map(layout.name, layout.chosen.options))
        yield _line("variants", f"of a book have {told} behind the title")
    elif layout.chosen.formats:
        told = layout.name(layout.chosen.formats[0])
        yield _line("variants", f"of a book, one below the other, have {told} behind the title")
    if left := list(_left(layout)):
        yield _line("ignored", ", ".join(left))
    if len(books.evidence.currencies) > 1:
        seen = ", ".join(f"{name} ({times:,})" for name, times in books.evidence.currencies.items())
        yield _line("beware", f"prices are in several currencies, the shop has one: {seen}")


def _line(name: str, value: str) -> str:
    return f"  {name:10} {value}"


def _manner(ours: str, place: int | None, books: BookList) -> str:
    layout, reading, evidence = books.layout, books.reading, books.evidence
    if ours == "author" and place is not None and layout.family_first:
        return f", with what stands behind {layout.family_first!r} before it"
    if ours != "cost" or place is None or not evidence.shapes:
        return ""
    # Show whole numbers first: they are the most likely to be misread.
    kinds = [kind for kind in (WHOLE, EITHER, ".", ",") if kind in evidence.first]
    examples = []
    for kind in kinds[:2] if reading.cents else kinds:
        try:
            cell = evidence.first[kind][1]
            examples.append(f"{cell!r} is {money(price(cell, reading))}")
        except ValueError:
            continue
    if reading.cents:
        rule = "whole numbers are cents"
    elif reading.decimal is not None:
        rule = f"decimal sign {reading.decimal!r}"
    elif evidence.shapes["."]:
        rule = "decimal sign '.' or ',', each as it stands"
    else:
        rule = "whole numbers are not cents"
    return f": {rule} (--decimal); {', '.join(examples)}"


def _left(layout: Layout) -> Iterator[str]:
    chosen = layout.chosen
    used = {place for ours, place in chosen.places.items() if ours in validation.FIELD_RULES}
    used |= {*(chosen.options or chosen.formats[:1]), *chosen.instead.values()}
    by_place = {place: ours for ours, place in chosen.places.items()}
    for place in range(layout.width):
        if place in used:
            continue
        name = layout.name(place)
        if place in by_place:
            yield f"{name} (is {by_place[place]}, which the shop's books do not have)"
        elif place in chosen.passed_over:
            yield f"{name} (may be {chosen.passed_over[place]}, too: --map)"
        else:
            yield name


def show_rows(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        book = row.book or {}
        parts = [repr(book["title"]), book.get("author") or "no author", book["topic"]]
        others = [f"{k} {v}" for k, v in book.items() if k not in SHOWN]
        parts += [*others, money(book["cost"]), f"{book['count']} in stock"]
        if book.get("retired"):
            parts.append("retired")
        yield f"  line {row.line}: {', '.join(parts)}"


def money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"


def again(books: BookList, given: Iterable[str]) -> list[str]:
    """Return the options by which a file of rejected rows is read as its list was; `given` are
    those that the keeper gave. A separator that is found without being named is not: a spreadsheet
    may save the rows with another."""
    layout, reading, evidence = books.layout, books.reading, books.evidence
    options = [*given]
    if layout.delimiter not in DELIMITERS:
        options += ["--delimiter", layout.delimiter]
    if not evidence.shapes:
        return options
    if reading.cents:
        return [*options, "--decimal", "cents"]
    if reading.decimal is None and (evidence.shapes["."] or evidence.shapes[","]):
        return options  # each price as it stands
    return [*options, "--decimal", reading.decimal or "."]
