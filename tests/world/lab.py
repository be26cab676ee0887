"""A small world for the tests of the parts that worlds are made of."""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Mapping
from types import TracebackType
from typing import Any

from tests.world.files import Files
from tests.world.network import Network
from tests.world.system import SYSTEM
from tests.world.world import Process, World

DATA = "/data"
PORT = 80


class Lab(World):
    """A network, the files of one machine, and a list of notes."""

    def __init__(
        self, seed: object = 0, silent: Mapping[str, Container[int]] | None = None
    ) -> None:
        super().__init__(seed, silent)
        draw = self.tape("network").random
        self.network = Network(self)
        self.network.delay = lambda: 0.001 + 0.01 * draw()
        self.files = SYSTEM.files = Files(self)
        self.files.make_directory(DATA)
        self.notes: list[str] = []
        self._all: list[Process] = []

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._all:
            process.loop.dispose()
        if error is None:
            assert not self.error, self.error

    def process(self, name: str, *, rate: float = 1.0, offset: float = 0.0) -> Process:
        process = Process(self, name, rate=rate, offset=offset)
        process.loop.network = self.network
        self._all.append(process)
        return process

    def start(
        self, work: Callable[[Process], Coroutine[Any, Any, Any]], name: str = "one"
    ) -> Process:
        """Run `work` in a process of its own."""
        process = self.process(name)
        process.loop.spawn(lambda: work(process))
        return process

    def do(self, work: Callable[[], Coroutine[Any, Any, Any]], process: Process) -> None:
        """Run `work` in a process, until nothing happens for a while."""
        process.loop.spawn(work)
        self.run(self.now + 10.0)

    def note(self, what: object) -> None:
        self.notes.append(str(what))

    def say(self, who: str, text: str) -> None:
        self.note(f"{who} {text}")


def call(process: Process, function: Callable[..., Any], *args: Any) -> Any:
    """Return what `function` returns in a step of this process."""
    found: list[Any] = []
    process.loop.post(lambda: found.append(function(*args)))
    process.world.run(process.world.now + 1.0)
    return found[0]


def play(work: Callable[[Process], Coroutine[Any, Any, None]], for_s: float = 9.0) -> None:
    """Run `work` to its end, in virtual time."""
    ended: list[Process] = []

    async def run(process: Process) -> None:
        await work(process)
        ended.append(process)

    with Lab() as lab:
        lab.start(run)
        lab.run(for_s)
    assert ended, f"it has not ended in {for_s} s"
