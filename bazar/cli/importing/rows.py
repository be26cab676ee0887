"""Making books of a list's rows. Each row becomes a book, or is rejected with its problems, or is
left out."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bazar.amounts import NotAnAmount, Reading, TwoWays, price
from bazar.cli.importing import amounts, columns, isbns
from bazar.cli.importing.columns import CODE, COLUMNS, MONEY, TEXT, TRUTH
from bazar.cli.importing.isbns import NotAnIsbn
from bazar.cli.importing.layout import Layout
from bazar.cli.importing.markup import without_markup
from bazar.cli.importing.records import ListRecord, clean
from bazar.cli.importing.text import LOST
from bazar.errors import BadRequest
from handlers import validation

# First words of footer rows, in the first cell that is not empty: _FOOTER in rows that lack what a
# book has, _TOTAL in complete ones, too.
_FOOTER = re.compile(
    r"#|[-=*_.~ ]+$|[-=*]{2,}|\(?\d+ (books?|titles?|entries|items?|titel|livres|titres|libros|"
    r"títulos|libri|titoli)\b|((grand |sub ?)?total|sum|summe|zwischensumme|gesamt|gesamtsumme|"
    r"insgesamt|somme|suma|totale|totaal|totalt|итого|合計|end of|ende|eof|fin|page|seite|"
    r"generated|exported|printed|created|erstellt|exportiert|stand|source)(\W.*)?$",
    re.IGNORECASE | re.DOTALL,
)
_TOTAL = re.compile(
    r"((grand |sub ?)?total( g[ée]n[ée]ral)?|summe|gesamt|gesamtsumme|insgesamt|totale|totaal|"
    r"totalt|suma|razem|celkem|spolu|ukupno|összesen|toplam|yhteensä|σύνολο|итого|всього|合計|总计|總計|합계)"
    r" ?:?"
    r"|\(?\d+ (rows?|records?|zeilen|datensätze|lignes|filas|righe)\b( \w+)?\W*",
    re.IGNORECASE,
)
_FOOTER_CELLS = 3
# Values that mean empty. A name counts as empty only in these exact spellings, as some people are
# called Null; a title in none.
_NOTHING = {"", *"-–—?", "--", "n/a", "na", "n.a.", "#n/a", "null", "none", "nil", "nan", "\\n"}
NO_NAME = {*"-–—", "--", "n/a", "N/A", "#N/A", "NULL", "NaN", "nan", "\\N"}
_NO_OPTION = {"", "Default Title", "Default", "Regular"}
EMPTY, HEADER, FOOTER = "empty", "the header again", "below the list"
PICTURE, PRODUCT = "more of the product above", "a product of which only variants are sold"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row; `kind` is the same for all rows with this problem."""

    kind: str
    text: str


@dataclass(slots=True)
class Row:
    """One row of the list and its result: a book, problems, or the reason to leave it out. `cells`
    are the file's, and those that a variant shares with its product."""

    line: int
    cells: list[str]
    book: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)
    left_out: str | None = None
    named: bool = True  # whether it has a title of its own
    same: tuple[str, ...] = ()  # title, author and topic: equal for the same book

    def __str__(self) -> str:
        return "; ".join(problem.text for problem in self.problems)


class Rows:
    """A list's rows, read one by one; of the other rows only the neighbours are known."""

    def __init__(
        self, layout: Layout, reading: Reading, defaults: Mapping[str, int | str | None]
    ) -> None:
        self._layout = layout
        self._reading = reading
        self._defaults = defaults
        self._places = {ours: layout.chosen.places.get(ours) for ours in columns.fields()}
        self._family_first = layout.family_first
        self._instead = layout.chosen.instead
        self._product: Row | None = None  # a copy of the last row with a title of its own

    def read(self, records: Iterable[ListRecord]) -> Generator[Row]:
        """Yield the result for each record. Rows that are left out may come a little early."""
        self._product = None
        before: Row | None = None
        row: Row | None = None
        for record in records:
            after = self._prepare(record)
            if after.left_out is not None:
                yield after
                continue
            if row is not None:
                yield self._finish(before, row, after)
            before, row = row, after
        if row is not None:
            yield self._finish(before, row, None)

    # --- a row by itself -------------------------------------------------------------------------

    def _prepare(self, record: ListRecord) -> Row:
        """Return the row with all its cells, and those that it shares with its product."""
        row = Row(record.line, record.cells)
        if record.error is not None:
            row.problems.append(Problem(record.error.partition(":")[0], record.error))
            return row
        width = self._layout.width
        extra = [cell for cell in row.cells[width:] if clean(cell)]
        if extra:
            text = f"has {len(row.cells)} cells, the header {width}"
            row.problems.append(Problem("has more cells than the header", text))
            return row
        del row.cells[width:]
        row.cells += [""] * (width - len(row.cells))
        row.left_out = self._why_left_out(row)
        if row.left_out is None:
            self._share(row)
        row.same = tuple(self._of(row, "title", "author", "topic"))
        return row

    def _cell(self, row: Row, place: int | None) -> str:
        return "" if place is None or place >= len(row.cells) else clean(row.cells[place])

    def _of(self, row: Row, *ours: str) -> list[str]:
        return [self._cell(row, self._places.get(name)) for name in ours]

    def _why_left_out(self, row: Row) -> str | None:
        if self._layout.is_ours:
            return None
        title, author, topic = self._of(row, "title", "author", "topic")
        place = self._places["title"]
        if place is not None and title == self._layout.header[place]:
            return HEADER if list(map(clean, row.cells)) == self._layout.header else None
        if author or topic:
            return None
        filled = [cell for cell in map(clean, row.cells) if cell]
        if not filled:
            return EMPTY
        if len(filled) > _FOOTER_CELLS or title not in ("", filled[0]):
            return None
        needed = [name for name in ("topic", "cost", "count") if self._places[name] is not None]
        if _TOTAL.fullmatch(filled[0]):
            return FOOTER
        return FOOTER if not all(self._of(row, *needed)) and _FOOTER.match(filled[0]) else None

    def _share(self, row: Row) -> None:
        """Fill a variant's cells from its product, which stands above it."""
        [title] = self._of(row, "title")
        chosen = self._layout.chosen
        product, above = self._product, None
        if product is not None:
            key, parent = self._cell(row, chosen.product), self._cell(row, chosen.parent)
            repeats = not title and key and key == self._cell(product, chosen.product)
            if repeats or (parent and parent in self._numbers(product)):
                above = product
        if above is None:
            if title and (chosen.product is not None or chosen.parent is not None):
                self._product = replace(row, cells=list(row.cells))
            return
        row.named = False
        if not title and not self._priced(row) and not any(self._of(row, "count")):
            row.left_out = PICTURE
            return
        for ours in ("title", "author", "topic"):
            place = self._places[ours]
            if place is not None and not clean(row.cells[place]):
                row.cells[place] = above.cells[place]

    def _priced(self, row: Row) -> bool:
        return any(self._of(row, "cost")) or bool(self._cell(row, self._instead.get("cost")))

    def _numbers(self, product: Row) -> set[str]:
        chosen = self._layout.chosen
        found = {self._cell(product, place) for place in chosen.numbers}
        return found | {f"id:{number}" for number in found}

    # --- a row among its neighbours --------------------------------------------------------------

    def _finish(self, before: Row | None, row: Row, after: Row | None) -> Row:
        if row.problems:
            return row
        if row.named and after is not None and not after.named and self._is_head(row):
            row.left_out = PRODUCT
            return row
        place = self._places["title"]
        label = self._label(before, row, after)
        if place is not None and label and (title := clean(row.cells[place])):
            said = title.rstrip(")").endswith(label.rstrip(")"))
            row.cells[place] = title if said else f"{title} ({label})"
        book: dict[str, Any] = {}
        for ours in self._places:
            try:
                value = self._value(ours, self._given(row, ours))
                if value is not None:
                    book[ours] = validation.FIELD_RULES[ours](value, ours)
            except BadRequest as error:
                row.problems.append(Problem(str(error), str(error)))
            except (NotAnAmount, NotAnIsbn) as error:
                cell = clean(self._given(row, ours))[:40]
                row.problems.append(Problem(f"{ours}: {error}", f"{ours}: {cell!r} {error}"))
        row.book = None if row.problems else book
        return row

    def _is_head(self, row: Row) -> bool:
        """Return whether the row has no price and no options, where other rows of the list have
        them."""
        known = self._places["cost"] is not None
        return known and not self._priced(row) and not self._options(row)

    def _options(self, row: Row) -> str:
        options = [self._cell(row, place) for place in self._layout.chosen.options]
        return " / ".join(option for option in options if option not in _NO_OPTION)

    def _label(self, before: Row | None, row: Row, after: Row | None) -> str:
        """Return how a variant differs from the others: by its options in a shop system, or else by
        its format, if neighbours are the same book in other formats."""
        label = self._options(row)
        if label or not self._layout.chosen.formats:
            return label
        place = self._layout.chosen.formats[0]
        own = self._cell(row, place)
        others = [one for one in (before, after) if one is not None and one.same == row.same]
        return own if any(self._cell(one, place) != own for one in others) else ""

    def _given(self, row: Row, ours: str) -> str:
        """Return the cell that counts, as it stands."""
        place = self._places[ours]
        cell = "" if place is None else row.cells[place]
        if ours in self._instead and not clean(cell):
            return row.cells[self._instead[ours]]
        return cell

    def _value(self, ours: str, cell: str) -> Any:
        """Return the value of a cell. Raises BadRequest, NotAnAmount or NotAnIsbn."""
        column = COLUMNS[ours]
        if column.kind == TEXT and cell and self._layout.is_ours:
            return cell
        text = clean(cell)
        if column.kind != TEXT:
            nothing = text.casefold() in _NOTHING
        else:
            text = without_markup(text)
            nothing = not text or (ours != "title" and text in NO_NAME)
        if nothing:
            default = self._defaults.get(ours)
            if default is None and not column.optional:
                raise BadRequest(f"{ours}: is missing")
            return default
        if column.kind == CODE:
            return isbns.isbn(text)
        if column.kind == TRUTH:
            if (known := columns.truth(text)) is None:
                raise BadRequest(f"{ours}: {text[:40]!r} is neither true nor false")
            return known
        if column.kind != TEXT:
            read = price if column.kind == MONEY else amounts.whole_number
            try:
                return read(text, self._reading)
            except TwoWays as error:
                raise NotAnAmount(f"{error}: say --decimal") from error
        if not text.isascii() and LOST.search(text):
            raise BadRequest(
                f"{ours}: has a character that can't be read in the list's encoding: --encoding"
            )
        place, width = self._places[ours] or 0, self._layout.width
        first, *others = cell.strip().split("\n")
        if others and width > 2 and first.count(self._layout.delimiter) == width - 1 - place:
            raise BadRequest(f"{ours}: holds lines that look like rows: a quote may be left open")
        if ours == "author" and self._family_first and text.count(self._family_first) == 1:
            family, _, given = text.partition(self._family_first)
            return f"{given.strip()} {family.strip()}".strip()
        return text
