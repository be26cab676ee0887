"""Parameters of statements as the server reads them: as text, of the type that the statement says.

A parameter's type is never guessed from its value: `$1` is what the statement needs in its place,
and `$1::bigint[]` where that is not plain (`unnest`). So an empty list is no other statement than a
full one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})


def encode(params: Sequence[Any]) -> list[bytes | None]:
    """Return the parameters as they are sent. Raises ValueError for a text that PostgreSQL can't
    keep, and TypeError for anything but texts, integers, booleans, None, and lists of these."""
    return [
        None if value is None else _text(value, number).encode()
        for number, value in enumerate(params, 1)
    ]


def _text(value: Any, number: int) -> str:
    if isinstance(value, str):
        return _storable(value, number)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"{{{','.join(_element(each, number) for each in value)}}}"
    raise TypeError(f"${number} is a {type(value).__name__}: it has no text that is agreed upon")


def _element(value: Any, number: int) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{_storable(value, number).translate(QUOTED)}"'
    if isinstance(value, int):
        return _text(value, number)
    raise TypeError(f"${number} has a {type(value).__name__} in its list")


def _storable(text: str, number: int) -> str:
    """Refuse NUL: libpq would end the text there, without a word."""
    if "\0" in text:
        raise ValueError(f"${number} has a NUL character, which PostgreSQL can't keep")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"${number} has half a surrogate pair, which is no text") from error
    return text
