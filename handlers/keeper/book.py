"""Adding a book, changing it, restocking it, and taking it from sale.

Each form has a key in its address, by which it is done once: after a double click, a reload, or the
back button, whose page is the same form again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bazar.errors import (
    BadRequest,
    Conflict,
    Indeterminate,
    KeyReused,
    OutOfStock,
    PreconditionFailed,
    Unavailable,
)
from bazar.replication.store import Answer
from handlers.keeper import forms
from handlers.keeper.base import KeeperHandler
from handlers.keeper.edit import Book, Edit, tag_of
from handlers.keeper.fields import COUNT_ADD, Field, Typed
from handlers.keeper.forms import BOOKS_PATH, CHANGEABLE, DONE, NEW, SURE
from handlers.storefront.base import new_key
from handlers.storefront.rendering import link
from handlers.validation import NEW_BOOK

TOPICS_PROPOSED = 200
MOST_SALES_BETWEEN = 10  # while one change is written
SENT_BEFORE = (
    "This form was sent before, with something else in it, and that was done. If this is to be"
    " done, too, send it once more."
)
NOT_SURE = "It stays on sale until you say that you mean it."
SOLD_BETWEEN = "It is being sold all the time. What you typed is kept: send it once more."


class BookHandler(KeeperHandler):
    async def paint_form(
        self, template: str, fields: Sequence[Field], status: int, **values: Any
    ) -> None:
        """Answer with a page that has a form of these fields, with topics to choose from, where
        these can be had."""
        topics: list[str] = []
        with contextlib.suppress(Unavailable):
            page, _ = await self.service.topics().answered(self.note)
            topics = [one["topic"] for one in json.loads(page.body)]
        self.set_status(status)
        if status >= 400:
            values["title"] = f"Error: {values['title']}"
        known = {"fields": fields, "key": self.given["key"], "told": None}
        proposed = topics if len(topics) <= TOPICS_PROPOSED else []
        self.paint(template, **{**known, "topics": proposed, **values})

    def done(self, number: int, did: str, answer: Answer) -> None:
        """Lead to the book, and say what was done."""
        did = "again" if answer.get("replayed") else did
        self.go(link(f"{BOOKS_PATH}/{number}", key=new_key(), did=did))


class NewBookPage(BookHandler):
    @forms.NEW_BOOK_PAGE
    async def get(self) -> None:
        if self.keyed():
            await self._show(Typed({one.name: "" for one in NEW}))

    @forms.MAKE_BOOK
    async def post(self) -> None:
        typed = Typed.read(NEW, {one.name: self.form(one.name) for one in NEW})
        if typed.reasons:
            await self._show(typed, 400)
            return
        books = [NEW_BOOK(typed.values, "body")]
        try:
            answer = await self.change({"op": "create", "key": self.given["key"], "books": books})
        except KeyReused as refusal:
            await self._show(typed, refusal.status, key=new_key(), told=SENT_BEFORE)
            return
        [made] = answer["books"]
        if made["created"]:
            self.done(made["id"], "made", answer)
        else:
            await self._show(typed, 409, key=new_key(), same=made)

    async def _show(self, typed: Typed, status: int = 200, **more: Any) -> None:
        values = {"title": "Add a book", "typed": typed, "same": None, **more}
        await self.paint_form("new.html", NEW, status, **values)


class BookPage(BookHandler):
    @forms.BOOK_PAGE
    async def get(self, number: int) -> None:
        did = self.given["did"]
        if self.keyed(did=did):
            await self._show(await self._book(number), did=DONE.get(did))

    @forms.CHANGE_BOOK
    async def post(self, number: int) -> None:
        match self.form("do"):
            case "change":
                texts = {COUNT_ADD.name: self.form(COUNT_ADD.name)}
                await self._save(number, Edit.read(self.form), Typed.read([COUNT_ADD], texts))
            case "retire" if SURE not in self.fields(SURE):
                await self._show(await self._book(number), 400, told=NOT_SURE)
            case "retire":
                await self._retire(number, retired=True)
            case "return":
                await self._retire(number, retired=False)
            case _:
                raise BadRequest("do: must be change, retire or return")

    async def _save(self, number: int, edit: Edit, copies: Typed) -> None:
        """Add the copies, then write what was touched: all of it was typed into one form. Sent once
        more, each is found done."""
        if edit.typed.reasons or copies.reasons:
            await self._show(await self._book(number), 400, edit=edit, restock=copies)
            return
        added = {}
        if copies.values[COUNT_ADD.name] is not None:
            found = await self._restock(number, edit, copies)
            if found is None:
                return
            added = found
        if edit.changes:
            try:
                await self._change(number, edit, added)
            except Unavailable as error:
                if added:  # to say that nothing was changed would be wrong
                    raise Indeterminate(str(error)) from error
                raise
        else:
            self.done(number, "restocked" if added else "nothing", added)

    async def _change(self, number: int, edit: Edit, added: Answer) -> None:
        """Write what was touched, unless somebody else has changed the book meanwhile."""
        etag = edit.etag
        for _ in range(MOST_SALES_BETWEEN):
            # With another tag it is another request, and has another key (S1).
            key = f"{self.given['key']}.{etag}"
            try:
                answer = await self._update(number, key, edit.changes, if_match=[etag])
            except (PreconditionFailed, KeyReused):
                book = await self._book(number)
            else:
                is_new = added and not added.get("replayed")
                self.done(number, "both" if is_new else "changed", answer)
                return
            if edit.is_in(book):
                self.done(number, "again", {})
                return
            clashes = edit.clashes(book)
            if clashes:
                break
            etag = tag_of(book)
        told = None if clashes else SOLD_BETWEEN
        again = {"edit": edit.over(book), "clashes": clashes, "key": new_key()}
        await self._show(book, 412, told=told, added=bool(added), **again)

    async def _restock(self, number: int, edit: Edit, copies: Typed) -> Answer | None:
        """Add the copies. Where they are refused, show the form with all that was typed."""
        more: dict[str, Any] = {}
        try:
            return await self._update(number, self.given["key"], copies.values)
        except OutOfStock as refusal:
            [now] = refusal.details["books"]
            status = refusal.status
            copies.refuse(COUNT_ADD, f"only {now['count']:,} are there")
        except Conflict as refusal:
            status = refusal.status
            copies.refuse(COUNT_ADD, "so many are more than the shop can count")
        except KeyReused as refusal:
            status, more = refusal.status, {"key": new_key(), "told": SENT_BEFORE}
        await self._show(await self._book(number), status, edit=edit, restock=copies, **more)
        return None

    async def _retire(self, number: int, *, retired: bool) -> None:
        """Take the book from sale, or bring it back, whatever else was changed meanwhile (S8)."""
        try:
            answer = await self._update(number, self.given["key"], {"retired": retired})
        except KeyReused as refusal:
            again = {"key": new_key(), "told": SENT_BEFORE}
            await self._show(await self._book(number), refusal.status, **again)
        else:
            self.done(number, "retired" if retired else "returned", answer)

    async def _update(
        self, number: int, key: str, fields: Mapping[str, Any], **conditions: Any
    ) -> Answer:
        operation = {"op": "update", "key": key, "book": number, "fields": fields}
        return await self.change({**operation, **conditions})

    async def _book(self, number: int) -> Book:
        found = await self.read({"op": "info", "book": number})
        book: Book = found["book"]
        return book

    async def _show(self, book: Book, status: int = 200, **more: Any) -> None:
        shown = {
            **{"title": book["title"], "book": book, "edit": Edit.of(book)},
            **{"restock": Typed({COUNT_ADD.name: ""}), "added": False, "clashes": [], "did": None},
        }
        await self.paint_form("book.html", [COUNT_ADD, *CHANGEABLE], status, **{**shown, **more})
