"""What a book is found by: the terms of its title, author, ISBN and topic, whatever indexes them.

A term of the title is a token (`letters.py`), or a word without the sign inside of it. One of the
author begins with AUTHOR, the ISBN with ISBN, the topic's number with TOPIC, and a hash of the
whole title with WHOLE.

All books that are found have all the words, so how rare a word is says nothing. What tells them
apart, best first: (0) the title is what was typed, or the ISBN; (1) all are words of the title;
(2) all are words of title or author; (3) the words of the title begin so; (4) those of title or
author do. Within a rank the shorter title comes first, as more of it was asked for, then the lower
number (`paging.py`).

The terms of a book that is retired have RETIRED in front: so nothing finds it but a search that
asks for these, and a search for what is on sale does not go through them (S8).
"""

from __future__ import annotations

import hashlib

from storage import letters

FIELDS = ("title", "author", "isbn", "catalog_id", "retired")  # what terms are made of

# What each term begins with; no token of `letters.py` begins so.
TITLE, AUTHOR, ISBN, TOPIC, WHOLE, RETIRED = "", "@", "#", "$", "=", "!"


def whole_title(tokens: list[str]) -> str:
    """Return the term of a whole title."""
    return WHOLE + hashlib.blake2b(" ".join(tokens).encode(), digest_size=6).hexdigest()


def is_whole(term: str) -> bool:
    """Return whether nobody types the beginning of a term."""
    return term.removeprefix(RETIRED)[0] in (ISBN, TOPIC, WHOLE)


def terms_of(
    title: str, author: str | None, isbn: str | None, topic: int, retired: int | None
) -> str:
    """Return the terms of a book, with spaces between them.

    >>> terms_of("Émile", "J.-J. Rousseau", "9780306406157", 2, None)
    'emile =fd9275c3e043 @j @j @rousseau #9780306406157 $2'
    >>> terms_of("Émile", None, None, 2, 1)
    '!emile !=fd9275c3e043 !$2'
    """
    tokens = letters.tokens(title)
    found = [*tokens, *letters.joined(title), whole_title(tokens)]
    if author is not None:
        found += [AUTHOR + term for term in letters.tokens(author) + letters.joined(author)]
    if isbn is not None:
        found.append(ISBN + isbn)
    found.append(f"{TOPIC}{topic}")
    mark = RETIRED if retired else ""
    return " ".join(mark + term for term in found)
