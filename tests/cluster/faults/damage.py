"""Files that are damaged while their node is down."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.cluster.cluster import until
from tests.cluster.faults.shop import Shop


async def lose_wal_tail(shop: Shop) -> str | None:
    return await _damage(shop, "-wal", "lost its tail", _truncate)


async def flip_in_wal(shop: Shop) -> str | None:
    return await _damage(shop, "-wal", "has a flipped byte", _flip)


async def flip_in_file(shop: Shop) -> str | None:
    return await _damage(shop, "", "has a flipped byte", _flip)


async def flip_in_row(shop: Shop) -> str | None:
    return await _damage(shop, "", "has a flipped letter", _flip_letter)


async def _damage(
    shop: Shop, suffix: str, words: str, act: Callable[[Shop, Path], bool]
) -> str | None:
    """Damage one replica's file while the node is down, alone or with all others. Another member of
    the in-sync set is whole, or there would be nothing to repair it from."""
    role = shop.rng.choice(("catalog", "order"))
    name = shop.rng.choice(shop.cluster.group(role))
    down = shop.rng.choice(("alone", "group", "all"))
    names = {"alone": [name], "group": shop.cluster.group(role)}.get(down, list(shop.cluster.roles))
    path = shop.database(name)
    path = path.with_name(path.name + suffix)
    with shop.occupied(*shop.cluster.roles):
        await shop.settle()
        with contextlib.suppress(AssertionError):
            await until(lambda: path.exists() and path.stat().st_size, "it is written to", 5.0)
        async with shop.down(names, signal.SIGKILL):
            done = shop.members(role) != {name} and path.exists() and act(shop, path)
            if done:
                shop.tell(f"{path.name} {words}; {down} was down")
            else:
                size = path.stat().st_size if path.exists() else 0
                shop.tell(f"{path.name} stays: {size} bytes, in sync {shop.members(role)}")
        await shop.settle()
        shop.collect(name)
    return name if done else None


def _truncate(shop: Shop, path: Path) -> bool:
    size = path.stat().st_size
    if not size:
        return False
    os.truncate(path, shop.rng.randrange(size))
    return True


def _flip(shop: Shop, path: Path) -> bool:
    size = path.stat().st_size
    return bool(size) and _change(shop, path, shop.rng.randrange(size))


def _flip_letter(shop: Shop, path: Path) -> bool:
    """Flip a letter that SQLite itself does not check: inside the text of a row."""
    content = path.read_bytes()
    places = [
        place
        for word in (b"edition", b"Systems", b'"unit_cost"')
        for place in _places(content, word)
    ]
    return bool(places) and _change(shop, path, shop.rng.choice(places))


def _change(shop: Shop, path: Path, place: int) -> bool:
    with path.open("r+b") as file:
        file.seek(place)
        [old] = file.read(1)
        file.seek(place)
        file.write(bytes([old ^ 1 << shop.rng.randrange(8)]))
    return True


def _places(content: bytes, word: bytes) -> list[int]:
    starts = itertools.accumulate(
        itertools.repeat(word), lambda at, w: content.find(w, at + 1), initial=-1
    )
    next(starts)
    return list(itertools.takewhile(lambda at: at >= 0, starts))
