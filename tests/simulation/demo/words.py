"""What messages, requests and answers are called in a drawing."""

from __future__ import annotations

from typing import Any

from bazar.replication.messages import (
    Ack,
    Commit,
    Entry,
    Hello,
    Message,
    NotPrimary,
    Prepare,
    Release,
    Revoke,
    Snapshot,
    Tail,
    Welcome,
)

GONE = "connection refused"
UNTITLED = "first"  # the title of a book that nobody has changed


def said(message: Message) -> str:
    """A message of the feed; nothing for leases, which are asked for all the time."""
    match message:
        case Prepare(entries):
            return f"prepare {_entries(entries)}"
        case Ack(mark):
            return f"ack {mark.seq}"
        case Commit(mark):
            return f"commit {mark.seq}"
        case Hello():
            return f"hello: I have entry {message.committed.seq}"
        case Welcome():
            return f"welcome to epoch {message.epoch}"
        case NotPrimary():
            return "not the primary"
        case Snapshot() | Release() | Revoke() | Tail():
            return type(message).__name__.lower()
        case _:
            return ""


def _entries(entries: tuple[Entry, ...]) -> str:
    shown = (f"{entry.seq}: {', '.join(entry.keys)}" for entry in entries)
    return ", ".join(shown) or "(nothing new)"


def asked(method: str, args: tuple[Any, ...]) -> str:
    """A request."""
    if method in ("get", "read"):
        return f"{_subject(args[0])}?"
    if method == "sell":
        key, book = args
        return f"buy 1 of book {book} (key {key})"
    op, hops = args
    words = f"buy {op.quantity} of book {op.book}"
    if op.kind == "update":
        words = f"rename book {op.book} to {op.key!r}"
    return f"passes on: {words}" if hops else words


def answered(method: str, args: tuple[Any, ...], status: int, value: Any) -> str:
    """Its answer."""
    if status != 200:
        return value if value == GONE else f"{status} {value}"
    if method == "sell":
        again = " (replayed)" if value.get("replayed") else ""
        return f"200 sold, {value['lines'][0]['new_count']} left{again}"
    if method == "write":
        op = args[0]
        return f"200 sold, {value} left" if op.kind == "buy" else f"200 renamed to {value!r}"
    question = args[0]
    if question[0] == "row":
        return f"{_subject(question)}: {_book(value)}"
    books = ", ".join(f"{row[2]} of book {book}" for book, row in value)
    return f"{_subject(question)}: {books or 'nothing'}"


def _subject(question: tuple[Any, ...]) -> str:
    return question[1].replace(":", " ") if question[0] == "row" else f"search {question[1]}"


def _book(row: Any) -> str:
    title, _, count = row
    return f"{count} left" if title == UNTITLED else f"{title!r}, {count} left"
