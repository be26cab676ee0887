"""Limits that a process reaches: descriptors, and the reader of its log."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal

from tests.cluster.faults.shop import SUPERVISOR, Shop

FILES = 200  # that each process of a shop may have open, if that is drawn
IDLE = 2 * FILES
DIAL_S = 1.0
PIPE_BYTES = 4096  # the least possible, so that a stalled reader is noticed soon


async def hold_idle(shop: Shop) -> str | None:
    """Open more connections to a port than it may hold, and send nothing on them."""
    name = shop.victim()
    if name is None:
        return None
    with shop.occupied(name), contextlib.ExitStack() as idle:
        shop.tell(f"{IDLE} idle connections to {name}")
        for _ in range(IDLE):
            with contextlib.suppress(OSError):
                async with asyncio.timeout(DIAL_S):
                    _, writer = await asyncio.open_connection("127.0.0.1", shop.cluster.ports[name])
                idle.callback(writer.close)
        await shop.lasts(0.5, 3)
        await shop.back(name)  # new clients are answered, too
    return name


async def lose_reader(shop: Shop) -> str | None:
    """End the reader of a log."""
    return await _read_through_pipe(shop, stalls=False)


async def stall_reader(shop: Shop) -> str | None:
    """Pause the reader of a log for a while."""
    return await _read_through_pipe(shop, stalls=True)


async def _read_through_pipe(shop: Shop, *, stalls: bool) -> str | None:
    """Read one node's log through a pipe for a while; below a supervisor, the log of all nodes."""
    name = SUPERVISOR if shop.supervised else shop.victim()
    if name is None:
        return None
    names = list(shop.cluster.roles) if shop.supervised else [name]
    reading, writing = os.pipe()
    with shop.occupied(*names), os.fdopen(reading, "rb") as reader:
        shop.tell(f"the reader of {name}'s log {'stalls' if stalls else 'goes'}")
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        shop.stderr[name] = writing
        async with shop.down(names, signal.SIGTERM):
            pass
        del shop.stderr[name]
        os.close(writing)
        if not stalls:
            reader.close()
        await shop.lasts(1, 4)
        await shop.back(*names)
        rest = asyncio.create_task(asyncio.to_thread(reader.read)) if stalls else None
        async with shop.down(names, signal.SIGTERM):
            pass
        if rest is not None:
            with (shop.cluster.directory / f"{name}.log").open("ab") as log:
                log.write(await rest)
    return name
