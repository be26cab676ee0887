"""Read ISBNs as people, libraries and spreadsheets write them.

`ISBN 0-306-40615-2`, `[0306406152]`, `9780306406157 (pbk.) : £12`, `'9780306406157`, several in a
cell, of which the first counts; `306406152` and `9780306406157.0`, of which a spreadsheet has made
numbers. What one has rounded (`9.78E+12`) is lost.
"""

from __future__ import annotations

import re

from storage.isbn import isbn13

_ROUNDED = re.compile(r"9[.,]7\d*e\+?\d+", re.IGNORECASE)
_NUMBER = re.compile(r"(\d{7,13}[0-9X]?)\.0+", re.IGNORECASE)
_SHORT = re.compile(r"\d{6,8}[0-9X]", re.IGNORECASE)  # of ten, without the zeros before them
_ONE = re.compile(
    r"(?<![0-9])(?:97[89](?:[ -]?[0-9]){10}|[0-9](?:[ -]?[0-9]){8}[ -]?[0-9X])(?![0-9X])",
    re.IGNORECASE,
)


class NotAnIsbn(ValueError):
    """A cell holds no ISBN; the message continues a sentence that begins with the cell."""


def isbn(cell: str) -> str | None:
    """Return the 13 digits of the first ISBN in a cell, None if all are zeros. Raises NotAnIsbn.

    >>> isbn("[0306406152]"), isbn("306406152"), isbn("0000000000")
    ('9780306406157', '9780306406157', None)
    """
    text = _NUMBER.sub(r"\1", cell.strip("[]'\" "))
    if not text.strip("0-"):
        return None
    if _SHORT.fullmatch(text):
        text = text.rjust(10, "0")
    for one in (text, *_ONE.findall(text)):
        if (digits := isbn13(one)) is not None:
            return digits
    if _ROUNDED.fullmatch(text):
        raise NotAnIsbn(
            "was rounded by a spreadsheet, its digits are lost: export the column as text, or do"
            " without it (--ignore)"
        )
    raise NotAnIsbn("is no ISBN: 10 or 13 digits, the last digit is a check digit")


def is_isbn(value: str) -> bool:
    """Return whether the cell holds an ISBN."""
    try:
        return isbn(value) is not None
    except NotAnIsbn:
        return False
