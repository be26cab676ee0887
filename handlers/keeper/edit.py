"""A change of a book, as its form has it.

Two keepers may change a book at the same time. The form has the book's tag, and what each field had
when it was shown. So what was not touched is not written, and what somebody else has changed
meanwhile is not written over: it is shown beside what was typed. A sale in between changes the tag,
too; it is nobody's edit, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bazar.http.response import entity_tag, render
from handlers.keeper.fields import Field, Typed
from handlers.keeper.forms import CHANGEABLE, TAG, WAS

Book = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that somebody else has changed: what it had at first and has now, and what was typed;
    None where it was not touched."""

    label: str
    was: str
    now: str
    typed: str | None


@dataclass(frozen=True, slots=True)
class Edit:
    """The tag of the book that the form has shown, what each field had, and what was typed."""

    etag: str
    was: Mapping[str, str]
    typed: Typed

    @classmethod
    def of(cls, book: Book) -> Edit:
        """Return what the form has at first."""
        shown = _shown(book)
        return cls(tag_of(book), shown, Typed(dict(shown)))

    @classmethod
    def read(cls, form: Callable[[str], str]) -> Edit:
        """Read the form; what was not touched is as good as it was. Raises BadRequest, for what
        nobody types."""
        was = {one.name: form(f"{WAS}{one.name}") for one in CHANGEABLE}
        texts = {one.name: form(one.name) for one in CHANGEABLE}
        touched = [one for one in CHANGEABLE if _differ(texts[one.name], was[one.name])]
        return cls(TAG(form("etag"), "etag"), was, Typed.read(touched, texts))

    @property
    def changes(self) -> Mapping[str, Any]:
        """Return what is to be written."""
        return self.typed.values

    def is_in(self, book: Book) -> bool:
        """Return whether the book has all of it already: sent twice, it is done once."""
        return all(book.get(name) == value for name, value in self.changes.items())

    def clashes(self, book: Book) -> list[Clash]:
        """Return what somebody else has changed since the form was shown."""
        now = _shown(book)
        return [
            Clash(one.label, self.was[one.name], now[one.name], self._typed(one))
            for one in CHANGEABLE
            if now[one.name] != self.was[one.name]
        ]

    def over(self, book: Book) -> Edit:
        """Return the form once more, over the book as it is now, with what was typed."""
        now = _shown(book)
        mine = {one.name: text for one in CHANGEABLE if (text := self._typed(one)) is not None}
        return Edit(tag_of(book), now, Typed({**now, **mine}))

    def _typed(self, one: Field) -> str | None:
        return self.typed.texts[one.name] if one.name in self.changes else None


def tag_of(book: Book) -> str:
    """Return the tag of a book, as every node names it."""
    return entity_tag(render(book))


def _shown(book: Book) -> dict[str, str]:
    return {one.name: one.shown(book) for one in CHANGEABLE}


def _differ(typed: str, was: str) -> bool:
    return typed.strip() != was.strip()
