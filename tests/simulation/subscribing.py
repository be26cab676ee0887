"""What replica and front end share: finding the primary, and carrying out a feed's effects."""

from __future__ import annotations

from bazar.replication.effects import Close, Effect, Send
from bazar.replication.messages import Message
from bazar.replication.subscriber import Subscriber
from tests.simulation.world import Connection, Node, Process, World

HELLO_TIMEOUT_S = 4.0  # an answer may take a lease: it waits for a batch boundary


class SubscribingProcess(Process):
    """A process that follows a group's feed."""

    subscriber: Subscriber

    def __init__(self, world: World, node: Node) -> None:
        super().__init__(world, node)
        self.feed: Connection | None = None
        self._connecting = False
        self._turn = world.below(3)
        self._opened_at = 0.0

    def follows(self) -> bool:
        """Whether it wants a feed."""
        return True

    def find_primary(self) -> None:
        """Try the nodes of the group, the hinted one first, until one welcomes us."""
        if self.feed is not None or self._connecting or not self.follows():
            return
        others = [node for node in self.node.group.replicas if node is not self.node]
        if not others:
            return
        hinted = [node for node in others if node.name == self.subscriber.hint]
        self._turn += 1
        target = hinted[0] if hinted else others[self._turn % len(others)]
        self.subscriber.hint = None
        self._connecting = True
        self.world.connect(self, target)

    def opened(self, connection: Connection) -> None:
        self._connecting = False
        if connection.closed[0]:
            self._again()
        elif not self.follows():
            connection.end(self)
        else:
            self.feed = connection
            self._opened_at = self.now()
            self.perform(self.subscriber.connected(connection.id, self.now()))

    def refused(self) -> None:
        self._connecting = False
        self._again()

    def lost(self, connection: Connection) -> None:
        if connection is self.feed:
            self.feed = None
            self.subscriber.disconnected(connection.id)
            self._again()

    def _again(self) -> None:
        self.world.after(0.02 + 0.08 * self.world.random(), self, self.find_primary)

    def received(self, connection: Connection, message: Message) -> None:
        if connection is self.feed:
            self.perform(self.subscriber.receive(connection.id, message, self.now()))

    def end_feed(self) -> None:
        if self.feed is not None:
            feed, self.feed = self.feed, None
            self.subscriber.disconnected(feed.id)
            feed.end(self)

    def tick_subscriber(self) -> None:
        now = self.now()
        waits = self.feed is not None and not self.subscriber.welcomed
        if waits and now > self._opened_at + HELLO_TIMEOUT_S:
            self.end_feed()
            self._again()
            return
        self.perform(self.subscriber.tick(now))

    def perform(self, effects: list[Effect]) -> None:
        aims = self.world.profile.aims
        for effect in effects:
            if not self.alive:
                return
            match effect:
                case Send(feed, message):
                    connection = self.connections.get(feed)
                    if connection is not None:
                        connection.send(self, message)
                case Close(feed, reason):
                    connection = self.connections.get(feed)
                    if connection is not None:
                        self.say(f"closes [{feed}]: {reason}")
                        connection.end(self)
                        if connection is self.feed:
                            self.feed = None
                            self._again()
                case _:
                    self.carry_out(effect)
            if aims:
                self.world.aim(self.node, effect)

    def carry_out(self, effect: Effect) -> None:
        raise NotImplementedError
