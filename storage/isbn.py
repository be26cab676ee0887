"""ISBNs: numbers of editions of books, whose last digit checks the others."""

from __future__ import annotations

import re
import unicodedata

_LABEL = re.compile(r"^\s*isbn(?:-?1[03])?\s*:?", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s\u2010-\u2015\u2212-]")
_TEN = re.compile(r"[0-9]{9}[0-9X]", re.ASCII)
_THIRTEEN = re.compile(r"97[89][0-9]{10}", re.ASCII)


def isbn13(text: str) -> str | None:
    """Return the 13 digits of an ISBN of 10 or 13, with or without hyphens; None if it is none.

    >>> isbn13("0-306-40615-2"), isbn13("ISBN 978-0-306-40615-7"), isbn13("0-306-40615-3")
    ('9780306406157', '9780306406157', None)
    """
    digits = _BETWEEN.sub("", _LABEL.sub("", unicodedata.normalize("NFKC", text))).upper()
    if _TEN.fullmatch(digits):
        total = sum((10 - place) * _value(digit) for place, digit in enumerate(digits))
        return _checked(f"978{digits[:9]}") if total % 11 == 0 else None
    if _THIRTEEN.fullmatch(digits) and _checked(digits[:12]) == digits:
        return digits
    return None


def _value(digit: str) -> int:
    return 10 if digit == "X" else int(digit)


def _checked(twelve: str) -> str:
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(twelve))
    return f"{twelve}{-total % 10}"
