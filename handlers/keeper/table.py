"""Tables for a spreadsheet. One is whole or it is refused: what was cut off would look whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bazar.errors import BadRequest
from handlers.keeper.base import KeeperHandler
from storage import exports
from storage.exports import Record

ON_PAGE = 500
MOST_RECORDS = 10_000
MOST_BYTES = 16 << 20  # an order has up to 50 lines
MOST_PAGES = 40  # of those that are looked through for words some have little, or nothing
MARK = "\ufeff".encode()  # without it Excel takes UTF-8 for the letters of an older code

Page = tuple[Sequence[Record], str | None]
"""Records, and the place behind which there are more."""


async def send_table(
    handler: KeeperHandler,
    name: str,
    columns: Sequence[str],
    read: Callable[[str | None], Awaitable[Page]],
    instead: str,
) -> None:
    """Answer with a file of all that `read` returns, page by page, each behind the place that it
    is given. Raises BadRequest, which says what to do `instead`, where that is too much."""
    write = exports.as_csv(columns, for_spreadsheets=True)
    parts, count, size = [MARK + exports.head(columns)], 0, 0
    place: str | None = None
    for _ in range(MOST_PAGES):
        records, place = await read(place)
        count += len(records)
        if count > MOST_RECORDS:
            break
        parts.append(write(records))
        size += len(parts[-1])
        if size > MOST_BYTES:
            break
        if place is None:
            handler.set_header("Content-Type", "text/csv; charset=utf-8")
            handler.set_header("Content-Disposition", f'attachment; filename="{name}"')
            handler.finish(b"".join(parts))
            return
    raise BadRequest(f"{name}: that is more than one table holds, or looks through; {instead}")
