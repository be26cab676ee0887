"""What a service manager, such as systemd, is told: the protocol of sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def tell(state: str) -> None:
    """Tell `READY=1`, say, to whoever has started this process and wants to hear it. A manager that
    is not there any more keeps nobody from serving."""
    address = os.environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # of Linux's abstract namespace
        address = f"\0{address[1:]}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.setblocking(False)
        end.sendto(state.encode(), address)
