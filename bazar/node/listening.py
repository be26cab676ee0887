"""The sockets of a node: bound anew, or those that its supervisor holds for it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator

from tornado.netutil import bind_sockets

from bazar.certificate import Certificate
from bazar.config import NodeConfig
from bazar.errors import Busy, ConfigError
from bazar.http.handshakes import NewContext

LISTEN_VARIABLE = "BAZAR_LISTEN"


def listen(node: NodeConfig) -> list[socket.socket]:
    """Return the node's sockets: those that its supervisor holds for it, so that a restart refuses
    no connection, or else newly bound. Raises ConfigError, and Busy if the port is taken."""
    inherited = os.environ.pop(LISTEN_VARIABLE, None)
    if inherited is not None:
        return [socket.socket(fileno=int(number)) for number in inherited.split(",")]
    with contextlib.ExitStack() as bound:
        sockets = [bound.enter_context(one) for one in listen_for_clients(node)]
        sockets += listen_for_metrics(node)
        bound.pop_all()
    return sockets


def listen_for_clients(node: NodeConfig) -> list[socket.socket]:
    """Return sockets on the node's own ports, which its other processes may listen on, too. Raises
    as `listen`."""
    doors = [(node.port, node.bind)]
    if node.https is not None:
        doors.append((node.https.port, node.https.bind))
    with contextlib.ExitStack() as bound:
        sockets = [
            bound.enter_context(one)
            for port, bind in doors
            for one in _bind(node, port, bind, node.processes > 1)
        ]
        bound.pop_all()
    return sockets


def listen_for_metrics(node: NodeConfig) -> list[socket.socket]:
    """Return sockets on the port where everybody is told the node's figures, if it has one. Raises
    as `listen`."""
    return _bind(node, node.metrics_port, node.metrics_bind) if node.metrics_port else []


def _bind(node: NodeConfig, port: int, bind: str, shared: bool = False) -> list[socket.socket]:
    try:
        return bind_sockets(port, bind, reuse_port=shared)
    except OSError as error:
        kind = Busy if error.errno == errno.EADDRINUSE else ConfigError
        raise kind(
            f"{node.name}: cannot listen on {bind}:{port}: {error.strerror or error}"
        ) from error


def secured(
    node: NodeConfig, sockets: Iterable[socket.socket], *, for_nodes: bool = False
) -> Iterator[tuple[socket.socket, NewContext | None]]:
    """Yield each socket with what its connections are encrypted with: on the node's own ports, not
    on those that only this machine reaches. With `for_nodes` their clients show a certificate.
    Raises ConfigError where that for customers can't be read."""
    shown: Certificate | None = None
    for one in sockets:
        port = one.getsockname()[1]
        if node.https is not None and port == node.https.port:
            shown = shown or node.https.certificate()
            yield one, shown.serving
        elif node.tls is not None and port == node.port:
            yield one, node.tls.serving_nodes if for_nodes else node.tls.serving
        else:
            yield one, None
