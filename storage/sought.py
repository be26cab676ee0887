"""What a book must have to be found, for each rank (`terms.py`), whatever looks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from storage import letters
from storage.isbn import isbn13
from storage.letters import Phrase
from storage.terms import AUTHOR, ISBN, RETIRED, TITLE, TOPIC, whole_title


@dataclass(frozen=True, slots=True)
class Sought:
    """Terms that follow each other in a book; the last one may go on if it is only `begun`."""

    terms: tuple[str, ...]
    begun: bool = False

    @property
    def pattern(self) -> str:
        """A regular expression for the text of a book's terms, with a space at either end."""
        return re.escape(f" {' '.join(self.terms)}{'' if self.begun else ' '}")


Choice = tuple[Sought, ...]  # one of them does


def ranks(typed: str, *, retired: bool = False) -> Iterator[list[Choice]]:
    """Yield for each rank what a book must have, the best first: one of each choice. What the last
    one finds is all that is found: of what is on sale, or of what is retired (S8)."""
    for choices in _ranks(typed):
        yield [tuple(map(_retired, choice)) for choice in choices] if retired else choices


def _retired(sought: Sought) -> Sought:
    return replace(sought, terms=tuple(RETIRED + term for term in sought.terms))


def _ranks(typed: str) -> Iterator[list[Choice]]:
    phrases = letters.phrases(typed)
    if not phrases:
        return
    isbn = isbn13(typed)
    number: Choice = () if isbn is None else (Sought((ISBN + isbn,)),)
    yield [(Sought((whole_title(letters.tokens(typed)),)), *number)]
    yield [_whole(one, TITLE) for one in phrases]
    yield [_whole(one, TITLE) + _whole(one, AUTHOR) for one in phrases]
    yield [_begun(one, TITLE) for one in phrases]
    yield [_begun(one, TITLE) + _begun(one, AUTHOR) + number for one in phrases]


def of_topics(topics: Iterable[int]) -> Choice:
    """Return what the books of these topics have."""
    return tuple(Sought((f"{TOPIC}{number}",)) for number in topics)


def fitting(choices: Iterable[Choice]) -> Callable[[str], bool]:
    """Return what tells whether a book with these terms has one of each choice."""
    fits = [re.compile(pattern_of(choice)).search for choice in choices]
    return lambda terms: all(fit(f" {terms} ") for fit in fits)


def pattern_of(choice: Choice) -> str:
    """Return a regular expression for the text of the terms of a book that has one of a choice."""
    return "|".join(one.pattern for one in choice)


def _whole(phrase: Phrase, mark: str) -> Choice:
    """Return the phrase as it is, or joined; a single character of a run begins its pair."""
    return _terms(phrase, mark, phrase.single)


def _begun(phrase: Phrase, mark: str) -> Choice:
    """Return the phrase with its last word begun, or joined."""
    return _terms(phrase, mark, phrase.open)


def _terms(phrase: Phrase, mark: str, begun: bool) -> Choice:
    sought = Sought(tuple(mark + token for token in phrase.tokens), begun)
    if phrase.joined is None:
        return (sought,)
    return sought, Sought((mark + phrase.joined,))
