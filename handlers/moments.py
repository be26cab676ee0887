"""Moments as people and programs write them, ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from bazar.errors import BadRequest
from handlers.kinds import Kind, Schema, Schemas

_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(
    r"(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?(Z|[+-]\d{2}:\d{2})?", re.ASCII
)


class Moment(Kind):
    """A moment, or a date, which is the moment when that day begins. It is in UTC unless it has an
    offset, which a date may have, too (XML Schema 1.1 part 2, sections 3.3.7 and 3.3.9). It is read
    as milliseconds since 1970: the next whole one."""

    def __call__(self, value: Any, place: str) -> int:
        form = _FORM.fullmatch(value) if isinstance(value, str) else None
        if form is None:
            hint = "; a + in an address is written %2B" if " " in str(value) else ""
            raise BadRequest(
                f"{place}: {str(value)[:40]!r} is no date as 2026-11-29, and no moment as"
                f" 2026-11-29T18:30:00+01:00{hint}"
            )
        date, time, offset = form.groups()
        try:
            at = datetime.fromisoformat(f"{date}{time or 'T00:00'}{offset or 'Z'}")
        except ValueError as error:
            raise BadRequest(f"{place}: {value!r} is no moment: {error}") from None
        return -((_BEGAN - at) // timedelta(milliseconds=1))

    def schema(self, shared: Schemas) -> Schema:
        examples = ["2026-11-29", "2026-11-29+01:00", "2026-11-29T18:30:00Z"]
        return {"type": "string", "format": "moment", "examples": examples}


MOMENT = Moment()
