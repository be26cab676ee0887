"""Our own load generator, a process of its own: `python -m bazar.bench.load_client`.

It reads a load as JSON from its standard input, and writes the result to its standard output. It is
one loop over plain sockets: with asyncio, most of the time of a request would be asyncio's.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bazar.bench.http_client import HOST, READ_BYTES, answer_size
from bazar.latency_histogram import FINE, LatencyHistogram

CONNECT_S = 5.0
DRAIN_S = 12.0  # longer than the shop's own deadline of a purchase
WAIT_S = 0.05
PAUSE_S = 0.01  # after a connection that could not be made


@dataclass(slots=True, eq=False)
class LoadConnection:
    """One client: it sends a request, waits for its answer, sends the next."""

    socket: socket.socket
    sent_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)


class LoadClient:
    """`plain` has port, connections, seconds, warm_s, requests (taken in turn), count (None: any
    number) and collect (the field to keep of each 200's JSON, or "")."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self._plain = plain
        self._requests = [text.encode("latin-1") for text in plain["requests"]]
        self._next = plain.get("first", 0)
        self._left = plain["count"] or sys.maxsize
        self._selector = selectors.DefaultSelector()
        self._busy: set[LoadConnection] = set()
        self._sending = True
        self._measure_from = self._measure_to = 0.0
        self.latency = LatencyHistogram(FINE)
        self.statuses: Counter[int] = Counter()
        self.answers = 0
        self.hits = 0
        self.errors = 0
        self.unknown = 0  # sent, but not answered
        self.collected: list[Any] = []

    def run(self) -> dict[str, Any]:
        began, cpu_s = time.perf_counter(), time.process_time()
        self._measure_from = began + self._plain["warm_s"]
        self._measure_to = self._measure_from + self._plain["seconds"]
        for _ in range(self._plain["connections"]):
            self._open()
        while self._busy:
            now = time.perf_counter()
            if now >= self._measure_to or self._left == 0:
                self._sending = False  # but wait for the answers that are due
            if now >= self._measure_to + DRAIN_S:
                break
            for key, _ in self._selector.select(WAIT_S):
                self._read(key.data)
        self.unknown += len(self._busy)
        cpu = (time.process_time() - cpu_s) / (time.perf_counter() - began)
        ended = min(time.perf_counter(), self._measure_to)
        return {
            "latency": self.latency.counts,
            "seconds": max(ended - self._measure_from, 1e-9),
            "cpu": cpu,
            "statuses": self.statuses,
            "answers": self.answers,
            "hits": self.hits,
            "errors": self.errors,
            "unknown": self.unknown,
            "collected": self.collected,
        }

    def _open(self) -> None:
        try:
            made = socket.create_connection((HOST, self._plain["port"]), CONNECT_S)
        except OSError:
            self.errors += 1
            time.sleep(PAUSE_S)
            if self._sending and time.perf_counter() < self._measure_to:
                self._open()
            return
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(CONNECT_S)
        connection = LoadConnection(made)
        self._selector.register(made, selectors.EVENT_READ, connection)
        self._busy.add(connection)
        self._send(connection)

    def _send(self, connection: LoadConnection) -> None:
        if not self._sending or self._left == 0:
            self._close(connection)
            return
        self._left -= 1
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        connection.sent_at = time.perf_counter()
        try:
            connection.socket.sendall(request)
        except OSError:
            self._broken(connection)

    def _read(self, connection: LoadConnection) -> None:
        try:
            more = connection.socket.recv(READ_BYTES)
        except OSError:
            more = b""
        if not more:
            self._broken(connection)
            return
        received = connection.received
        received += more
        size = answer_size(received)
        if size is None or len(received) < size:
            return
        now = time.perf_counter()
        self._answered(received, now - connection.sent_at, now)
        received.clear()
        self._send(connection)

    def _answered(self, received: bytearray, seconds: float, now: float) -> None:
        self.answers += 1
        status = int(received[9:12])
        if status == 200 and self._plain["collect"]:  # of the warm-up too
            body = bytes(received).partition(b"\r\n\r\n")[2]
            self.collected.append(json.loads(body)[self._plain["collect"]])
        if status == 504:
            self.unknown += 1
        if not self._measure_from <= now < self._measure_to:
            return
        self.statuses[status] += 1
        if status == 200:
            self.latency.add(1000 * seconds)
            self.hits += b"\r\nX-Cache: hit\r\n" in received

    def _broken(self, connection: LoadConnection) -> None:
        self.errors += 1
        self.unknown += 1
        self._close(connection)
        if self._sending:
            self._open()

    def _close(self, connection: LoadConnection) -> None:
        self._busy.discard(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()


if __name__ == "__main__":
    json.dump(LoadClient(json.load(sys.stdin)).run(), sys.stdout)
