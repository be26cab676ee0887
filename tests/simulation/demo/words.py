"""The names of messages, requests and answers in a drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bazar.errors import BazarError
from bazar.replication.messages import (
    Ack,
    Commit,
    Entry,
    Grant,
    Hello,
    Message,
    NotPrimary,
    Prepare,
    Renew,
    Welcome,
)
from handlers.paths import FORWARDED_PATH
from tests.simulation.wire import Answers, Calls, Said

Item = Mapping[str, Any]

UNTITLED = "first"  # how a title begins that no client has changed


def said(what: Said) -> list[str]:
    """Return what passes between two nodes, a line for each item."""
    match what:
        case Calls(path, items):
            passes = "passes on: " if path == FORWARDED_PATH else ""
            return [passes + asked(item) for item in items]
        case Answers(to, results):
            return [
                answered(item, shown(item, result))
                for item, result in zip(to.items, results, strict=True)
            ]
        case str():
            return []  # the beginning of a connection is not shown
    words = told(what)
    return [words] if words else []


def told(message: Message) -> str:
    """Return the name of a feed's message; nothing for leases, which are renewed all the time."""
    match message:
        case Prepare(entries):
            return f"prepare {listed(entries) or '(nothing new)'}"
        case Ack(mark) | Commit(mark):
            return f"{type(message).__name__.lower()} {mark.seq}"
        case Hello():
            return f"hello: I have entry {message.committed.seq}"
        case Welcome():
            return f"welcome to epoch {message.epoch}"
        case NotPrimary(_, hint):
            return f"not me: ask {hint}" if hint else "not me"
        case Renew() | Grant():
            return ""
    return type(message).__name__.lower()


def listed(entries: Iterable[Entry]) -> str:
    return ", ".join(f"{entry.seq}: {', '.join(entry.tags) or 'epoch begins'}" for entry in entries)


def asked(item: Item) -> str:
    """Return the name of a request."""
    match item:
        case {"op": "sell", "key": key, "lines": [{"book": book, "quantity": quantity}]}:
            return f"buy {quantity} of book {book} (key {key})"
        case {"op": "update", "book": book, "fields": {"title": title}}:
            return f"rename book {book} to {title}"
    return f"{_subject(item)}?"


def shown(item: Item, result: Item) -> Any:
    """Return the answer to a call's item as a client sees it: the text of an error, a write's whole
    answer, or the only field of a read's answer."""
    if "error" in result:
        return f"{result['error']['status']} {result['error']['message']}"
    answer = result["answer"]
    return answer if "key" in item else next(iter(answer.values()))


def answered(item: Item, found: Any) -> str:
    """Return the name of an answer."""
    match item["op"], found:
        case _, BazarError():
            return f"{found.status} {found}"
        case _, str():
            return found
        case "sell", _:
            again = " (replayed)" if found.get("replayed") else ""
            return f"200 sold, {found['lines'][0]['new_count']} left{again}"
        case "update", _:
            return f"200 renamed to {found['book']['title']}"
        case "info", _:
            title = "" if found["title"].startswith(UNTITLED) else f"{found['title']}, "
            return f"{_subject(item)}: {title}{found['count']} left"
    books = ", ".join(f"{book['count']} of book {book['id']}" for book in found)
    return f"{_subject(item)}: {books or 'nothing'}"


def _subject(item: Item) -> str:
    match item:
        case {"op": "info", "book": book}:
            return f"book {book}"
        case {"op": "search", "topic": topic}:
            return f"search {topic}"
    return str(item["op"])
