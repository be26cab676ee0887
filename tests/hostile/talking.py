"""Talks with a node, byte by byte, and what it has answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.cluster.client import TIMEOUT_S

BY_DESIGN = (503, 504)
WAITS_S = 0.5  # for what is never complete


@dataclass
class Heard:
    """How many talks there were, with which statuses in answer, and what should not have been."""

    talks: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        statuses = ", ".join(f"{count}x {one}" for one, count in sorted(self.statuses.items()))
        answers = self.statuses.total()
        return f"{self.talks} talks, {answers} answers, {len(self.failures)} wrong ({statuses})"


async def talk(port: int, sent: bytes, random: Random, heard: Heard) -> None:
    """Send this, whole or in pieces, and hear the node to its end; or hang up somewhere."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), TIMEOUT_S)
    hangs_up = random.random() < 0.15
    if hangs_up:
        sent = sent[: random.randrange(len(sent))]
    cuts = sorted(random.sample(range(len(sent)), min(len(sent), random.choice((0, 0, 1, 5)))))
    answer = b""
    try:
        for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            writer.write(sent[begin:end])
            await writer.drain()
            await asyncio.sleep(0)  # the others talk between two pieces
        async with asyncio.timeout(0 if hangs_up else WAITS_S):
            while piece := await reader.read(1 << 16):
                answer += piece
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    heard.talks += 1
    for status in statuses(answer):
        heard.statuses[status] += 1
        if status >= 500 and status not in BY_DESIGN:
            heard.failures.append(f"port {port}: {status} to {sent!r}: {answer!r}")


def statuses(answer: bytes) -> list[int]:
    """The statuses of the answers that are whole. One to a HEAD has no body."""
    found = []
    while answer.startswith(b"HTTP/1.1 "):
        head, _, answer = answer.partition(b"\r\n\r\n")
        found.append(int(head[9:12]))
        length = head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
        if length and not answer.startswith(b"HTTP/1.1 "):
            answer = answer[int(length) :]
    return found
