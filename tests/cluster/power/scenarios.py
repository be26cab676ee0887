"""What happens to a shop while it is recorded, and where its power is cut."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.cluster.cluster import SHORT_LEASES, until
from tests.cluster.commands import command
from tests.cluster.power.disk import Names, State
from tests.cluster.power.recording import Event, Kind
from tests.cluster.power.stage import PATIENCE_S, SETTINGS, Recording, Stage, Window

MANY = 60  # purchases of each buyer, where there are to be many
CHECKPOINTED = 100  # and where SQLite is to move its WAL into the database meanwhile
AFTERWARDS_NS = 20_000_000


async def first_start(directory: Path, shim: Path) -> Recording:
    """Record from an empty directory to the first purchases."""
    async with Stage(directory, shim, SETTINGS) as stage:
        async with stage.window():
            await stage.shop.start_supervised(wait=False)
            await stage.open()
            async with stage.load() as load:
                await load.flowing(time.monotonic(), MANY // 3)
        return await stage.cut()


async def steady_sales(directory: Path, shim: Path) -> Recording:
    async with Stage(directory, shim, SETTINGS) as stage:
        await stage.shop.start_supervised(wait=False)
        await stage.open()
        async with stage.window(), stage.load() as load:
            await load.flowing(time.monotonic(), MANY)
        return await stage.cut()


async def take_over(directory: Path, shim: Path) -> Recording:
    """Record while primaries are killed, each as soon as all is well again."""
    async with Stage(directory, shim, SETTINGS) as stage:
        await stage.shop.start_supervised(wait=False)
        await stage.open()
        async with stage.load() as load:
            for role in ("catalog", "order", "catalog"):
                async with stage.window():
                    await stage.shop.kill(await stage.shop.primary(role))
                    await load.flowing(time.monotonic(), MANY // 6)
                    await stage.shop.ready(deadline_s=PATIENCE_S)
        return await stage.cut()


async def checkpoints(directory: Path, shim: Path) -> Recording:
    """Record enough sales to have each WAL moved into its database, and old entries deleted."""
    settings = {"replication": {**SHORT_LEASES, "log_entries": 100}}
    async with Stage(directory, shim, settings) as stage:
        await stage.shop.start_supervised(wait=False)
        await stage.open()
        began = time.monotonic_ns()
        async with stage.load() as load:
            await load.flowing(time.monotonic(), CHECKPOINTED)
        recording = await stage.cut()
        recording.windows = checkpoints_in(recording.events, began)
        assert recording.windows, "no WAL was moved into its database"
        return recording


def checkpoints_in(events: Sequence[Event], since: int) -> list[Window]:
    """Return the windows from the first page that is written to a database to a moment after the
    last."""
    databases: set[int] = set()
    windows: list[Window] = []
    for event in events:
        if event.kind == Kind.OPEN:
            (databases.add if event.path.endswith(".db") else databases.discard)(event.inode)
        elif event.kind == Kind.WRITE and event.inode in databases and event.began > since:
            began = event.began
            if windows and event.began <= windows[-1][1]:
                began = windows.pop()[0]
            windows.append((began, event.ended + AFTERWARDS_NS))
    return windows


async def paused_follower(directory: Path, shim: Path) -> Recording:
    """Record a follower that falls out of the in-sync set, and comes back."""
    settings = {**SETTINGS, "supervisor": {"hang_s": 60}}
    async with Stage(directory, shim, settings) as stage:
        shop = stage.shop
        await shop.start_supervised(wait=False)
        await stage.open()
        async with stage.load() as load:
            for role in ("catalog", "order"):
                primary, follower = await shop.primary(role), await shop.follower(role)
                async with stage.window():
                    await shop.pause(follower)
                    await until(partial(members, stage, primary, 1), f"{follower} is out")
                    await load.flowing(time.monotonic(), MANY // 6)
                    shop.resume(follower)
                    await until(partial(members, stage, primary, 2), f"{follower} is in again")
        return await stage.cut()


async def members(stage: Stage, primary: str, count: int) -> bool:
    status = await stage.shop.status(primary)
    return status is not None and len(status.get("members", ())) == count


async def promoted(directory: Path, shim: Path) -> Recording:
    """Record the promotion of an order replica that had fallen behind. The one that was ahead
    returns to it, and gets a shorter log. No order is lost: they are made from the sales (S2)."""
    async with Stage(directory, shim, SETTINGS) as stage:
        shop = stage.shop
        await shop.start(wait=False)
        await stage.open()
        ahead, behind = await shop.primary("order"), await shop.follower("order")
        await shop.kill(behind)
        async with stage.load() as load:
            await load.flowing(time.monotonic(), MANY // 2)
        await shop.kill(ahead)
        promoted = await command(shop, "promote", behind, "--force")
        assert promoted.returncode == 0, promoted.stderr
        await shop.start(behind)
        count = "SELECT count(*) FROM orders"
        await until(
            lambda: shop.query(behind, count) == shop.query(ahead, count), "every sale is an order"
        )
        async with stage.window():
            await shop.start(ahead)
            assert await shop.primary("order") == behind
            async with stage.load() as load:
                await load.flowing(time.monotonic(), MANY // 6)
        return await stage.cut()


async def second_cut(directory: Path, shim: Path) -> Recording:
    """Record a second power cut while a shop recovers."""
    before = await steady_sales(directory.with_name(directory.name + "-before"), shim)
    rng = random.Random(0)
    (began, ended), disk = before.windows[0], before.disk()
    cut = rng.randint(began, ended)
    for event in before.events:
        if event.ended <= cut:
            disk.feed(event)
    state = disk.state(rng, Names.JOURNAL)
    return await recovery(directory, shim, state, before, cut)


async def recovery(
    directory: Path, shim: Path, state: State, before: Recording, cut: int, hurt: str = ""
) -> Recording:
    bought = before.acknowledged(cut)
    async with Stage(directory, shim, SETTINGS, state, bought, hurt) as stage:
        async with stage.window():
            await stage.shop.start_supervised(wait=False)
            await stage.open()
            async with stage.load() as load:
                await load.flowing(time.monotonic(), MANY // 6)
        return await stage.cut()


async def set_aside(directory: Path, shim: Path) -> Recording:
    """Record a database that has lost its end: the note of how far it had come shows that, and the
    file is set aside."""
    before = await steady_sales(directory.with_name(directory.name + "-before"), shim)
    state = {
        str(path.relative_to(before.root)): path.read_bytes()
        for path in before.root.glob("data/*")
        if not path.name.endswith("-shm")
    }
    wal = state["data/catalog-2.db-wal"]
    state["data/catalog-2.db-wal"] = wal[: len(wal) * 3 // 4]
    return await recovery(directory, shim, state, before, time.monotonic_ns(), "catalog-2")


SCENARIOS: Mapping[str, Callable[[Path, Path], Awaitable[Recording]]] = {
    "first start": first_start,
    "steady sales": steady_sales,
    "take-over": take_over,
    "checkpoints": checkpoints,
    "paused follower": paused_follower,
    "promoted": promoted,
    "second cut": second_cut,
    "set aside": set_aside,
}
