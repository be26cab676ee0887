"""Faults of disks: they are full, slow, or fail. The shop has small disks of its own."""

from __future__ import annotations

from tests.cluster.disks import fill, injecting
from tests.cluster.faults.shop import Shop


async def fill_disk(shop: Shop) -> str | None:
    names = [name for name in sorted(shop.disks) if name not in shop.busy]
    if not names:
        return None
    name = shop.rng.choice(names)
    with shop.occupied(name):
        shop.tell(f"the disk of {name} is full")
        ballast = shop.disks[name] / "ballast"
        try:
            fill(ballast)
            await shop.lasts(1, 4)
        finally:
            ballast.unlink(missing_ok=True)
        await shop.back(name)
    return name


async def fsync_fails(shop: Shop) -> str | None:
    return await _strace(shop, "error=EIO", "fsync fails at", 0.5, 2.0)


async def fsync_is_slow(shop: Shop) -> str | None:
    delay_us = shop.rng.randrange(20_000, 900_000)
    words = f"fsync takes {delay_us / 1e6:.2f} s at"
    return await _strace(shop, f"delay_enter={delay_us}", words, 2.0, 5.0)


async def _strace(shop: Shop, what: str, words: str, low: float, high: float) -> str | None:
    replicas = [*shop.cluster.group("catalog"), *shop.cluster.group("order")]
    name = shop.victim(replicas)
    pid = None if name is None else shop.cluster.running().get(name)
    if name is None or pid is None:
        return None
    with shop.occupied(name):
        shop.tell(f"{words} {name}")
        async with injecting(pid, f"fsync,fdatasync:{what}"):
            await shop.lasts(low, high)
        await shop.back(name)
    return name
