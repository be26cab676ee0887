"""Files that are deleted while nodes have them open (R8, T0, L5)."""

from __future__ import annotations

from tests.cluster.faults.shop import Shop


async def delete_database(shop: Shop) -> str | None:
    """Delete a database: its node leaves, and comes back empty. The others of the in-sync set are
    whole."""
    name = shop.rng.choice([*shop.cluster.group("catalog"), *shop.cluster.group("order")])
    suffixes = shop.rng.choice((("",), ("-wal",), ("", "-wal", "-shm")))
    database = shop.database(name)
    files = [database.with_name(database.name + suffix) for suffix in suffixes]
    with shop.occupied(*shop.cluster.roles):
        await shop.settle()
        pid = shop.cluster.running()[name]
        shop.tell(f"deleted below {name}: {', '.join(file.name for file in files)}")
        for file in files:
            file.unlink()
        await shop.wait(lambda: pid not in shop.cluster.all_processes(), f"{name} leaves")
        await shop.settle()
        shop.collect(name)
    return name


async def delete_membership(shop: Shop) -> str | None:
    """Delete the membership's file: the primary makes it anew."""
    return await _delete(shop, "members")


async def delete_lock(shop: Shop) -> str | None:
    """Delete the lock's file: the next node that tries makes another, and leads instead of the
    primary."""
    return await _delete(shop, "lock")


async def _delete(shop: Shop, kind: str) -> str:
    role = shop.rng.choice(("catalog", "order"))
    with shop.occupied(*shop.cluster.roles):
        await shop.settle()
        shop.tell(f"{role}.{kind} is deleted")
        (shop.cluster.data_dir / f"{role}.{kind}").unlink()
        await shop.wait(lambda: shop.primary(role), f"somebody holds the lock of {role}")
        await shop.settle()
    return role
