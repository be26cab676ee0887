"""What carries messages between nodes and servers: in order, each at its own time, or not at all
while the way is cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.world.database.database import Database
    from tests.world.world import Process


class Pipe:
    """One direction of a connection. What is sent while the way is cut arrives once it is mended,
    as TCP has it, unless one of the ends has given up before."""

    def __init__(
        self,
        database: Database,
        way: tuple[str, str],
        process: Process,
        receive: Callable[[Any], None],
    ) -> None:
        self.way = way
        """The names of its ends, from and to."""
        self._database = database
        self._world = database.world
        self._process = process
        self._receive = receive
        self._under_way: deque[Any] = deque()
        self._held = 0
        """How many messages would have arrived, if the way were not cut."""
        self._arrival = 0.0
        self.closed = False

    def send(self, message: Any, late_s: float = 0.0) -> None:
        """Send a message, which is `late_s` later than it must be."""
        if not self.closed:
            self._under_way.append(message)
            self._travel(late_s)

    def _travel(self, late_s: float = 0.0) -> None:
        at = self._world.now + self._database.pace.travel() + late_s
        self._arrival = max(self._arrival, at)
        self._world.due(self._arrival, self._process, self._arrive)

    def _arrive(self) -> None:
        if not self._under_way:
            return  # it was dropped
        if self.way in self._database.cuts:
            self._held += 1
            return
        self._receive(self._under_way.popleft())

    def mend(self) -> None:
        """Go on, after the way was cut."""
        held, self._held = self._held, 0
        for _ in range(held):
            self._travel()

    def stall(self, for_s: float) -> None:
        """Let nothing that is sent from now on arrive for a while."""
        self._arrival = max(self._arrival, self._world.now + for_s)

    def close(self) -> None:
        """Send nothing more; what is under way arrives."""
        self.closed = True

    def drop(self) -> None:
        """Let nothing more arrive."""
        self.closed = True
        self._under_way.clear()
