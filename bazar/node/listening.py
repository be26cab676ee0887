"""The sockets of a node: bound anew, or those that its supervisor holds for it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator

from tornado.netutil import bind_sockets

from bazar.config import NodeConfig
from bazar.errors import Busy, ConfigError
from bazar.tls import Credentials

LISTEN_VARIABLE = "BAZAR_LISTEN"


def listen(node: NodeConfig) -> list[socket.socket]:
    """Return the node's sockets: those that its supervisor holds for it, so that a restart refuses
    no connection, or else newly bound. Raises ConfigError, and Busy if the port is taken."""
    inherited = os.environ.pop(LISTEN_VARIABLE, None)
    if inherited is not None:
        return [socket.socket(fileno=int(number)) for number in inherited.split(",")]
    try:
        return bind_sockets(node.port, node.bind, reuse_port=node.processes > 1)
    except OSError as error:
        kind = Busy if error.errno == errno.EADDRINUSE else ConfigError
        raise kind(
            f"{node.name}: cannot listen on {node.bind}:{node.port}: {error.strerror or error}"
        ) from error


def secured(
    node: NodeConfig, sockets: Iterable[socket.socket]
) -> Iterator[tuple[socket.socket, Credentials | None]]:
    """Yield each socket with what its connections are encrypted with: on the node's own port, not
    on those that only this machine reaches."""
    for one in sockets:
        yield one, node.tls if one.getsockname()[1] == node.port else None
