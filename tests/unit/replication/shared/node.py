"""One node over a database in memory, in time that is simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from bazar.config import NodeConfig, ReplicationConfig
from bazar.errors import Unavailable
from bazar.replication.messages import (
    FOLLOWER,
    WIRE_VERSION,
    Ack,
    ArbiterId,
    Entry,
    Grant,
    Hello,
    Mark,
    Message,
    Prepare,
    Renew,
    decode,
    encode,
)
from bazar.replication.part import Wiring
from bazar.replication.shared.hold import Tempo
from bazar.replication.shared.replica import SharedReplica
from bazar.replication.store import Answer, Operation
from bazar.rpc.frames import FrameConnection
from tests.unit.replication.shared.memory import MemoryDatabase
from tests.unit.replication.steps import HERE
from tests.world.lab import Lab
from tests.world.world import Process

TEMPO = Tempo(primary_lease_s=2.1, pause_s=0.25)  # no tick falls upon its end
SETTINGS = ReplicationConfig(lease_s=0.5, ack_timeout_s=0.1)
HOME = ArbiterId(f"{HERE.digest}-one", HERE.place)
PEER = NodeConfig("catalog-2", "catalog", 8002, number=2)
OFFSET_S = 1000.0  # no clock begins at zero
LATEST_S = 120.0

Made = TypeVar("Made")


def played(
    make: Callable[[Process], Made],
) -> Callable[[Callable[[Made], Coroutine[Any, Any, None]]], Callable[[], None]]:
    """Make tests of what is made so, in a process of its own."""

    def decorate(play: Callable[[Made], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        def test() -> None:
            ends: list[BaseException | None] = []

            async def run(process: Process) -> None:
                try:
                    await play(make(process))
                except BaseException as error:
                    ends.append(error)
                else:
                    ends.append(None)

            with Lab() as lab:
                process = lab.process("one", offset=OFFSET_S)
                process.loop.spawn(lambda: run(process))
                while not ends:
                    assert lab.now < LATEST_S, "it never comes to an end"
                    lab.run(lab.now + 0.1)
                if ends[0] is not None:
                    raise ends[0]

        test.__name__, test.__doc__ = play.__name__, play.__doc__
        return test

    return decorate


class Feed(FrameConnection):
    """One end of a feed: what it is sent, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Message] = []
        self.grants = False  # whether each renewal is answered

    def send(self, frame: bytes) -> None:
        if self.closed:
            return
        message = decode(frame)
        self.said.append(message)
        if self.grants and isinstance(message, Renew):
            granted = Grant(3, message.number, SETTINGS.lease_s)
            asyncio.get_running_loop().call_soon(self.says, granted)

    def close(self) -> None:
        self.closed = True

    def resume(self) -> None: ...

    def says(self, message: Message) -> None:
        """Have the node hear this from the other end."""
        self.on_frame(encode(message))

    def heard(self, kind: type[Message]) -> list[Any]:
        """All that was said of this kind."""
        return [message for message in self.said if isinstance(message, kind)]


class Subscribed(Feed):
    """The feed of another node that follows this one; it acknowledges what it is told."""

    def __init__(self, node: Node, name: str, kind: str = FOLLOWER) -> None:
        super().__init__()
        self.node = node
        self.name = name
        self.acks = True
        self.number = node.replica.open_feed(self)
        self.kind = kind

    def hello(self, epoch: int = 0, epoch_id: str = "") -> None:
        mark = Mark(0, "")
        self.says(
            Hello(
                *(WIRE_VERSION, self.kind, self.name, f"run of {self.name}", "", epoch),
                *(mark, mark, epoch_id, self.node.replica.home),
            )
        )

    def says(self, message: Message) -> None:
        self.node.replica.feed_message(self.number, encode(message))

    def renew(self) -> None:
        self.says(Renew(len(self.said)))

    def send(self, frame: bytes) -> None:
        super().send(frame)
        message = decode(frame)
        if self.acks and isinstance(message, Prepare):
            asyncio.get_running_loop().call_soon(self.says, Ack(message.entries[-1].mark))


class Node:
    """A node, and what it was wired to."""

    def __init__(self, process: Process, *seeds: str) -> None:
        self.process = process
        self.database = MemoryDatabase()
        self.register, self.store = self.database.register, self.database.store
        self.store.seeds = [{"op": seed} for seed in seeds]
        self.fatal: list[str] = []
        self.told: list[Entry] = []
        self.forwarded: list[Operation] = []
        self.knocks: list[Answer] = []
        self.knock_answer: Answer = {}
        self.dialed: list[Feed] = []  # the feeds at which it follows others
        self.reached = False  # whether others can be
        self.installing: Callable[[], Coroutine[Any, Any, None]] = self.installed
        self.installs = 0
        self.replica = SharedReplica(
            Wiring(
                NodeConfig("catalog-1", "catalog"),
                [PEER],
                SETTINGS,
                token="token",
                dial=self.dial,
                run="run",
                clock=process.time,
                forward=self.forward,
                knock=self.knock,
                on_commit=self.told.extend,
                on_install=self.install,
                on_fatal=lambda error: self.fatal.append(str(error)),
            ),
            *(self.database, TEMPO, HERE),
        )

    async def dial(self, node: NodeConfig, path: str, token: str, timeout_s: float) -> Feed:
        if not self.reached:
            raise OSError("refused")
        feed = Feed()
        self.dialed.append(feed)
        return feed

    async def forward(self, node: NodeConfig, operation: Operation) -> Answer:
        self.forwarded.append(operation)
        return {"by": node.name}

    async def knock(self, node: NodeConfig, knock: Answer) -> Answer:
        self.knocks.append(knock)
        return self.knock_answer

    async def install(self) -> None:
        self.installs += 1
        await self.installing()

    async def installed(self) -> None: ...

    @property
    def now(self) -> float:
        return self.process.time()

    async def leads(self) -> None:
        """Start, and return once it is primary."""
        await self.replica.start()
        await self.replica.leading.wait()

    async def until(self, holds: Callable[[], object]) -> float:
        """Return how long it takes until `holds`."""
        began = self.now
        while not holds():  # noqa: ASYNC110 - any condition, in time that is simulated
            await asyncio.sleep(0.01)
        return self.now - began

    async def write(self, name: str = "sell", timeout_s: float = 60.0) -> Answer:
        return await self.replica.write({"op": name}, timeout_s)

    def begin(self, name: str) -> asyncio.Task[Answer]:
        return asyncio.create_task(self.write(name))

    def follower(self, name: str = PEER.name, kind: str = FOLLOWER) -> Subscribed:
        """One that has joined, and has a lease."""
        feed = Subscribed(self, name, kind)
        feed.hello()
        feed.renew()
        return feed

    def tags(self) -> Sequence[str]:
        """What was written, as this node was told."""
        return [tag for entry in self.told for tag in entry.tags]


async def refused(write: asyncio.Task[Answer], kind: type[Exception] = Unavailable) -> str:
    """Return why a write was refused."""
    try:
        answer = await write
    except kind as error:
        return str(error)
    raise AssertionError(f"it was answered: {answer}")
