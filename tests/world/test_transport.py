"""A protocol is called in the same way and order over real sockets and in a world."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tests.world.lab import PORT, Lab
from tests.world.world import Process

PATIENCE_S = 60.0
MUCH = bytes(8 << 20)  # more than any kernel's buffers take
VAR: ContextVar[str] = ContextVar("VAR", default="nobody")


class End(asyncio.Protocol):
    """Records its calls."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.log: list[str] = []
        self.received = 0
        self.on_made: Callable[[], Any] = lambda: None
        self.on_data: Callable[[], Any] = lambda: None
        self.keep_open = False
        self._changed: asyncio.Future[None] | None = None

    def note(self, what: str) -> None:
        if what != "data" or self.log[-1] != "data":  # the number of pieces is not promised
            self.log.append(what)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed

    async def over(self) -> None:
        await self.until(lambda: self.log[-1].startswith("lost"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.note("made")
        self.on_made()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.note("data")
        self.on_data()

    def eof_received(self) -> bool:
        self.note("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, error: Exception | None) -> None:
        broken = isinstance(error, ConnectionError)  # reset, or a broken pipe
        self.note(f"lost {'by the other end' if broken else repr(error)}")


@dataclass
class Scene:
    """Two ends of a connection that is not made yet."""

    port: int = PORT
    nobody: int = 81
    travel_s: float = 0.0
    """How long sent bytes travel. Over a real loopback they arrive at once."""
    here: End = field(default_factory=End)
    there: End = field(default_factory=End)
    failures: list[str] = field(default_factory=list)

    async def dial(self) -> None:
        VAR.set("dialer")
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self.here, "127.0.0.1", self.port)
        self.here.note("returned")

    async def listen(self) -> Any:
        VAR.set("listener")
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: self.there, "127.0.0.1", self.port)

    async def met(self) -> None:
        await self.dial()
        await self.there.until(lambda: bool(self.there.log))

    @property
    def told(self) -> dict[str, list[str]]:
        return {"here": self.here.log, "there": self.there.log, "failures": self.failures}


Play = Callable[[Scene], Awaitable[None]]


def real(play: Play) -> dict[str, list[str]]:
    async def run() -> dict[str, list[str]]:
        scene, loop = Scene(port=0), asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: scene.failures.append(repr(what["exception"])))
        closed = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        scene.nobody = closed.sockets[0].getsockname()[1]
        closed.close()
        server = await loop.create_task(scene.listen())
        scene.port = server.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(PATIENCE_S):
                await play(scene)
            return deepcopy(scene.told)
        finally:
            server.close()
            for end in (scene.here, scene.there):
                if end.log and not end.log[-1].startswith("lost"):
                    end.transport.abort()
            await asyncio.sleep(0)

    return asyncio.run(run())


def simulated(play: Play, seed: int) -> dict[str, list[str]]:
    with Lab(seed) as lab:
        scene = Scene(travel_s=1.0)

        async def run(process: Process) -> None:
            await process.loop.create_task(scene.listen())
            async with asyncio.timeout(PATIENCE_S):
                await play(scene)
            lab.note("played")

        lab.start(run)
        lab.run(PATIENCE_S + 1.0)
        if lab.error:
            scene.failures.append(lab.error.partition(": ")[2])
            lab.error = ""
        assert lab.notes == ["played"]
        return scene.told


async def greets_at_once(scene: Scene) -> None:
    scene.there.on_made = lambda: scene.there.transport.write(b"hello")
    await scene.dial()
    await scene.here.until(lambda: scene.here.received == 5)


async def closes_with_much_unsent(scene: Scene) -> None:
    here, there = scene.here, scene.there
    there.on_made = lambda: there.transport.pause_reading()
    await scene.met()
    here.transport.write(MUCH)
    here.transport.close()
    here.transport.write(b"more")  # while something is unsent, this is sent too
    there.transport.resume_reading()
    await there.over()
    await here.over()
    assert there.received == len(MUCH) + 4


async def aborts_with_much_unsent(scene: Scene) -> None:
    here, there = scene.here, scene.there
    there.on_made = lambda: there.transport.pause_reading()
    await scene.met()
    here.transport.write(MUCH)
    here.transport.abort()
    here.note("aborted")
    await here.over()
    there.transport.resume_reading()
    await there.over()
    assert 0 < there.received < len(MUCH)


async def closes_behind_what_nobody_has_read(scene: Scene) -> None:
    here, there = scene.here, scene.there
    there.on_made = lambda: there.transport.pause_reading()
    await scene.met()
    here.transport.write(b"unread")
    await asyncio.sleep(scene.travel_s)
    there.transport.close()
    await here.over()


async def writes_to_an_end_that_is_closed(scene: Scene) -> None:
    here, there = scene.here, scene.there
    here.keep_open = True
    await scene.met()
    there.transport.close()
    await here.until(lambda: "eof" in here.log)
    while not here.log[-1].startswith("lost"):
        here.transport.write(b"anybody there?")
        await asyncio.sleep(0)


async def answers_behind_the_end(scene: Scene) -> None:
    """`eof_received` returns nothing: the transport closes itself."""
    await scene.met()
    scene.there.transport.write(b"bye")
    scene.there.transport.close()
    await scene.here.over()
    await scene.there.over()
    assert scene.here.received == 3


async def closes_again_and_again(scene: Scene) -> None:
    await scene.met()
    for _ in range(2):
        scene.here.transport.close()
        scene.here.transport.abort()
    await scene.there.over()
    await scene.here.over()
    scene.here.transport.abort()
    await asyncio.sleep(0)


async def pauses_while_it_reads(scene: Scene) -> None:
    here, there = scene.here, scene.there
    there.on_data = lambda: there.transport.pause_reading()
    await scene.met()
    here.transport.write(b"one")
    await there.until(lambda: there.received == 3)
    here.transport.write(b"two")
    here.transport.close()
    await here.over()
    await asyncio.sleep(scene.travel_s)
    there.note("goes on")  # the end has arrived, and no callback has reported it
    there.on_data = lambda: None
    there.transport.resume_reading()
    await there.over()


async def fails_to_read(scene: Scene) -> None:
    def fail() -> None:
        raise ValueError("not what I expected")

    scene.there.on_data = fail
    await scene.met()
    scene.here.transport.write(b"?")
    await scene.here.over()
    await scene.there.over()


async def is_pushed_back(scene: Scene) -> None:
    here, there = scene.here, scene.there
    there.on_made = lambda: there.transport.pause_reading()
    await scene.met()
    here.transport.write(MUCH)
    here.note("written")
    there.transport.resume_reading()
    await here.until(lambda: "resume" in here.log)
    await there.until(lambda: there.received == len(MUCH))


async def is_refused(scene: Scene) -> None:
    scene.port = scene.nobody
    with pytest.raises(ConnectionRefusedError):
        await scene.dial()


async def remembers_who_began(scene: Scene) -> None:
    here, there = scene.here, scene.there
    here.on_data = lambda: here.note(f"in the context of the {VAR.get()}")
    there.on_data = lambda: there.note(f"in the context of the {VAR.get()}")
    await asyncio.create_task(scene.met())
    VAR.set("bystander")
    here.transport.write(b"1")
    await there.until(lambda: there.received == 1)
    there.transport.write(b"2")
    await here.until(lambda: here.received == 1)
    here.transport.pause_reading()
    here.transport.resume_reading()
    there.transport.write(b"3")
    await here.until(lambda: here.received == 2)


PLAYS = (
    greets_at_once,
    closes_with_much_unsent,
    aborts_with_much_unsent,
    closes_behind_what_nobody_has_read,
    writes_to_an_end_that_is_closed,
    answers_behind_the_end,
    closes_again_and_again,
    pauses_while_it_reads,
    fails_to_read,
    is_pushed_back,
    is_refused,
    remembers_who_began,
)


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
def test_is_told_what_asyncio_tells(play: Play) -> None:
    expected = real(play)
    for seed in range(5):
        assert simulated(play, seed) == expected
