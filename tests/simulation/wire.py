"""What nodes send to each other, put together again from the bytes that travel between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from bazar.replication.messages import Message, decode
from bazar.rpc.frames import FrameConnection
from tests.world.network import Stream


@dataclass(frozen=True, slots=True)
class Calls:
    """Items that one node sends to a path of another."""

    path: str
    items: list[Any]

    def __str__(self) -> str:
        return f"{self.path} {self.items}"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to them: one for each, or one error for all."""

    to: Calls
    results: list[dict[str, Any]]

    def __str__(self) -> str:
        return f"{self.to.path}: {self.results}"


Said = str | Message | Calls | Answers
"""The first line of a connection's head, a message of a feed, or calls and their answers."""


class Wire:
    """A listener to a network (`Network.seen`) that calls `heard` for everything sent over it, when
    it is sent: `heard(from, to, what, when it arrives)`."""

    def __init__(self, heard: Callable[[Stream, Stream, Said, float], None]) -> None:
        self._heard = heard
        self._heads: dict[Stream, bytes] = {}
        self._frames: dict[Stream, FrameConnection] = {}  # as the other end reads them
        self._asked: dict[tuple[Stream, int], Calls] = {}
        self._arrives_s = 0.0  # of the frame that is read

    def __call__(self, sender: Stream, to: Stream, data: bytes, arrives_s: float) -> None:
        self._arrives_s = arrives_s
        if sender not in self._frames:
            self._heads[sender] = self._heads.get(sender, b"") + data
            head, end, data = self._heads[sender].partition(b"\r\n\r\n")
            if not end:
                return
            self._heard(sender, to, first_line(head), arrives_s)
            self._frames[sender] = FrameConnection(partial(self._frame, sender, to))
        self._frames[sender].data_received(data)

    def leads_to(self, stream: Stream, path: str) -> bool:
        """Return whether this end has asked for a connection to `path`."""
        return first_line(self._heads.get(stream, b"")) == f"GET {path}"

    def _frame(self, sender: Stream, to: Stream, frame: bytes) -> None:
        plain = orjson.loads(frame)
        said: Said
        if "type" in plain:
            said = decode(frame)
        elif "path" in plain:
            said = self._asked[sender, plain["id"]] = Calls(plain["path"], plain["items"])
        else:
            asked = self._asked.pop((to, plain["id"]))
            error = {"error": plain.get("error")}
            said = Answers(asked, plain.get("results") or [error] * len(asked.items))
        self._heard(sender, to, said, self._arrives_s)


def first_line(head: bytes) -> str:
    """Return what a request asks for, or how it was answered."""
    return head.partition(b"\r\n")[0].decode("latin-1").removesuffix(" HTTP/1.1")
