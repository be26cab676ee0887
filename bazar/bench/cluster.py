"""The shop of a cluster.json as processes of its own: on free ports, in a directory of its own."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from bazar.bench import processor
from bazar.bench.checkout import Checkout
from bazar.bench.children import Children
from bazar.bench.http_client import HOST, Answer, HTTPClient
from bazar.bench.place import DATABASE, Place
from bazar.errors import BadRequest, Unavailable

READY_S = 30.0
POLL_S = 0.05

SUPERVISOR = "supervisor"
LOWEST_PORT = 10_000
LOCAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")  # Linux: for outgoing connections


def free_ports(count: int) -> list[int]:
    """Return ports that are free, and outside the range of outgoing connections: a node that
    restarts must find its port still free."""
    below = int(LOCAL_PORTS.read_text("ascii").split()[0]) if LOCAL_PORTS.exists() else 32_768
    found: list[int] = []
    for port in random.sample(range(LOWEST_PORT, below), 50 * count):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    raise Unavailable(f"no {count} free ports from {LOWEST_PORT} to {below}")


class MeasuredShop:
    """One shop in `directory`, its processes among `children`.

    Its nodes and settings are those of the checkout's `model`, and `place` is where it keeps its
    state. `front_ends` is how many front ends it has; `roles`, if given, leaves out the nodes of
    all other roles.
    """

    def __init__(
        self,
        directory: Path,
        children: Children,
        checkout: Checkout,
        place: Place,
        *,
        front_ends: int = 1,
        roles: tuple[str, ...] = (),
    ) -> None:
        directory.mkdir(parents=True)
        self.children = children
        self.checkout = checkout
        self.path = directory / "cluster.json"
        self.data_dir = directory / "data"
        self._prefix = directory.name  # of its processes' names: several shops may run
        self._plain = json.loads(checkout.model.read_text("utf-8"))
        self._plain["data_dir"] = "data"
        if place.engine is not None:
            self._plain["engine"] = dict(place.engine)
        self._server = place.server
        self._supervised = False
        nodes = {
            name: {"role": node["role"]}
            for name, node in self._plain["nodes"].items()
            if node["role"] in roles or not roles
        }
        for number in range(2, front_ends + 1):
            nodes[f"frontend-{number}"] = {"role": "frontend"}
        for node, port in zip(nodes.values(), free_ports(len(nodes)), strict=True):
            node["port"] = port
        self._plain["nodes"] = nodes
        self._write()

    def _write(self) -> None:
        self.path.write_text(json.dumps(self._plain, indent=1), "utf-8")

    @property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        return self._plain["nodes"]  # type: ignore[no-any-return]

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text("ascii").split()[0]

    def port(self, name: str) -> int:
        if name not in self.nodes:
            raise BadRequest(f"{self.checkout.model}: has no {name}, which is measured")
        return int(self.nodes[name]["port"])

    def pid(self, name: str) -> int:
        """Return the process of a node, or of the supervisor. Raises Unavailable if it has ended,
        or is not started yet."""
        if name == SUPERVISOR or not self._supervised:
            return self.children.pid(self._child(name))
        pid = processor.started_by(self.pid(SUPERVISOR)).get(name)
        if pid is None:
            raise Unavailable(f"{name} is not started yet")
        return pid

    def _child(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def processor_times(self) -> processor.Times:
        """Return the processor time that its nodes have used, all of which must run, and their
        supervisor, and its database's server, whoever else uses that."""
        server = {} if self._server is None else {DATABASE: self._server}
        names = [*self.nodes, *([SUPERVISOR] if self._supervised else [])]
        return processor.read({**{name: self.pid(name) for name in names}, **server})

    # --- starting and stopping -------------------------------------------------------------------

    def start(self, *names: str, core: int | None = None, module: str | None = None) -> None:
        """Start these nodes (default: all), and wait until they are ready. The first node of each
        role is ready before the others start, so that it is always the primary that is measured."""
        wanted = names or tuple(self.nodes)
        firsts = {self.nodes[name]["role"]: name for name in reversed(wanted)}.values()
        for some in (firsts, [name for name in wanted if name not in firsts]):
            for name in some:
                self.launch(name, core=core, module=module)
            for name in some:
                self.wait_ready(name)

    def open(self) -> None:
        """Start all nodes as an operator does, by one supervisor."""
        self._supervised = True
        self._run(SUPERVISOR, [*self.checkout.command(), "--config", str(self.path)])

    def launch(self, name: str, *, core: int | None = None, module: str | None = None) -> None:
        """Start a node; `module` runs in place of run.py, with its flags."""
        node = self.nodes[name]
        flags = ("--config", self.path, "--role", node["role"], "--port", node["port"])
        self._run(name, [*self.checkout.command(module), *map(str, flags)], core=core)

    def _run(self, name: str, command: Sequence[str], *, core: int | None = None) -> None:
        self.children.start(
            *(self._child(name), command),
            core=core,
            environment=self.checkout.environment,
            directory=self.checkout.root,
        )

    def restart(self, name: str, *, core: int | None = None, entries: int | None = None) -> None:
        """Restart the node; `entries` is how many books and searches its cache holds then."""
        if entries is not None:
            caches = self._plain.setdefault("caches", {})
            caches["local"] = {**caches.get("local", {}), "entries": entries}
            self._write()
        self.stop(name)
        self.start(name, core=core)

    def stop(self, *names: str) -> None:
        wanted = names or (SUPERVISOR, *self.nodes)
        self.children.stop(*(self._child(name) for name in wanted))
        self._supervised &= SUPERVISOR not in wanted

    def wait_ready(self, name: str) -> None:
        """Wait until the node may answer reads by itself. Raises Unavailable if it may not in time,
        or has ended."""
        deadline = time.monotonic() + READY_S
        while not self.answers(name, "/readyz"):
            self.pid(SUPERVISOR if self._supervised else name)
            if time.monotonic() > deadline:
                raise Unavailable(f"{name} is not ready after {READY_S:.0f} s")
            time.sleep(POLL_S)

    def answers(self, name: str, path: str) -> bool:
        """Return whether the node has an answer for the path."""
        try:
            with HTTPClient(self.port(name), timeout_s=5.0) as caller:
                return caller.ask("GET", path).status == 200
        except Unavailable:
            return False

    # --- asking ----------------------------------------------------------------------------------

    def caller(self, name: str) -> HTTPClient:
        """Return a connection to a node, with the token that permits everything."""
        return HTTPClient(self.port(name), self.token)

    def update(self, book: int, **fields: Any) -> Answer:
        with self.caller("catalog-1") as caller:
            return caller.insist("PUT", f"/update/{book}", fields)

    def counts(self, books: list[int]) -> dict[int, int]:
        """Return how many copies of each book are in stock now."""
        with self.caller("catalog-1") as caller:
            return {
                book: int(caller.insist("GET", f"/info/{book}").json["count"]) for book in books
            }
