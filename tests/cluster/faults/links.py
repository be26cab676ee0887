"""Faults of the links between nodes."""

from __future__ import annotations

from typing import Any

from tests.cluster.faults.shop import Shop

TOLD_S = 5.0
LONGEST_MS = 700


async def cut(shop: Shop) -> str | None:
    return await _disturb(shop, do="cut")


async def slow(shop: Shop) -> str | None:
    return await _disturb(shop, do="slow", delay_ms=shop.rng.randint(1, LONGEST_MS))


async def _disturb(shop: Shop, **how: Any) -> str | None:
    """Disturb one link for a while, through any front end."""
    replicas = sorted(n for n, role in shop.cluster.roles.items() if role != "frontend")
    one = shop.rng.choice(replicas)
    other = shop.rng.choice(sorted(shop.cluster.roles.keys() - {one}))
    link = {"between": [one, other]}
    if not await _tell(shop, {**link, **how}):
        return None
    shop.tell(f"link {one} - {other}: {how}")
    await shop.lasts(0, 4 * shop.cluster.lease_s)
    await _tell(shop, {**link, "do": "mend"})  # if nobody hears that it mends by itself
    return f"{one} - {other}"


async def _tell(shop: Shop, body: dict[str, Any]) -> bool:
    """Return whether both ends have been told."""
    through = shop.rng.choice(shop.cluster.group("frontend"))
    try:
        async with shop.cluster.client(through, with_token=True) as client:
            return (await client.post("/cluster/links", body, timeout_s=TOLD_S)).status == 200
    except OSError:
        return False
