"""A body as a JSON object, read strictly (RFC 8259)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from bazar.errors import BadRequest


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object, `{}` for no body. Refuses what parsers read differently: duplicate names,
    NaN, infinities, lone surrogates."""
    if not body:
        return {}
    try:
        decoded = body.decode("utf-8")
        plain = json.loads(
            decoded,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if "\\" in decoded:  # UTF-8 itself has none
            json.dumps(plain, ensure_ascii=False).encode("utf-8")  # fails for lone surrogates
    except UnicodeEncodeError:
        raise BadRequest("body: holds a lone surrogate") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"body: is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BadRequest("body: is nested too deeply") from None
    except ValueError as error:
        raise BadRequest(f"body: is not JSON: {error}") from None
    if not isinstance(plain, dict):
        raise BadRequest("body: must be a JSON object")
    return plain


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:40]!r} is given twice")
    return plain


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large")
    return number
