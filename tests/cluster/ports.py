"""Ports that stay a test's own, from their choice until the test ends."""

from __future__ import annotations

import socket

from bazar.bench.cluster import free_ports

HOST = "127.0.0.1"


def hold(count: int) -> list[socket.socket]:
    """Return sockets bound to free ports, on which only a node may listen.

    Sharing an address needs the consent of both sides: our sockets give it only once they are
    bound, a listener always does, and other processes that look for a free port do not.
    """
    held: list[socket.socket] = []
    while len(held) < count:
        [port] = free_ports(1)
        one = socket.socket()
        try:
            one.bind((HOST, port))
        except OSError:  # another process was quicker
            one.close()
            continue
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.append(one)
    return held


def number(held: socket.socket) -> int:
    port: int = held.getsockname()[1]
    return port
