"""Makes the index of words anew where a program of another version has made it."""

from __future__ import annotations

from storage import letters
from storage.paging import BELOW_ALL
from storage.postgresql.books import SCHEMA
from storage.postgresql.schema import CHECK_S, TIMEOUT_S, check_leading, leading
from storage.postgresql.search_index import put
from storage.postgresql.session import Session, Statement
from storage.postgresql.transaction import BEGIN, COMMIT, ROLLBACK, check_committed
from storage.terms import FIELDS

SLICE_BOOKS = 2000

_UPTO = f"{letters.VERSION}, up to book "
_MADE = Statement(f"SELECT value FROM {SCHEMA}.meta WHERE name = 'words'")
_SET_MADE = f"UPDATE {SCHEMA}.meta SET value = $1 WHERE name = 'words'"
_NAMES = "id", *FIELDS
_SLICE = f"SELECT {', '.join(_NAMES)} FROM {SCHEMA}.books WHERE id > $1 ORDER BY id LIMIT $2"


async def learn(session: Session, epoch_id: str) -> bool:
    """Make the index of the next slice of books, as an act of the primary of this epoch, unless all
    of it is this program's already. Return whether it is then; a search finds nothing before. Call
    it once before the first batch of an epoch: what that writes goes into the same index. Raises
    FatalError where the epoch is over."""
    reply = await session.run(*BEGIN, leading(SCHEMA, epoch_id), _MADE, timeout_s=CHECK_S)
    *_, led, [(made_by,)] = (result.rows for result in reply.results)
    await check_leading(session, SCHEMA, led)
    if made_by == letters.VERSION:
        await session.run(ROLLBACK, timeout_s=CHECK_S)  # COMMIT would wait for a standby
        return True
    upto = int(made_by.removeprefix(_UPTO)) if made_by.startswith(_UPTO) else BELOW_ALL
    slice_of = Statement(_SLICE, (upto, SLICE_BOOKS))
    [result] = (await session.run(slice_of, timeout_s=TIMEOUT_S)).results
    books = [dict(zip(_NAMES, row, strict=True)) for row in result.rows]
    done = len(books) < SLICE_BOOKS
    set_made = Statement(_SET_MADE, (letters.VERSION if done else f"{_UPTO}{books[-1]['id']}",))
    check_committed(await session.run(*put(books), set_made, COMMIT, timeout_s=TIMEOUT_S))
    return done
