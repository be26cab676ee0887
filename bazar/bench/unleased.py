"""A front end whose cached reads do not check their lease, to measure what that check costs. It
serves old books when its lease is lost, so it is a program of the benchmark, not a setting of the
shop.

    python -m bazar.bench.unleased --config … --role frontend --port …      # run.py's flags
"""

from __future__ import annotations

import runpy
from typing import Any

from bazar.bench.children import ROOT
from bazar.cache import Cache, LRUStore


def find(self: Cache, store: LRUStore, key: str, now: float) -> Any | None:
    """Do what `Cache.find` does, without its check of the lease."""
    item = store.get(key, now)
    if item is None:
        return None
    self.counters.hits += 1
    return item.value


if __name__ == "__main__":
    Cache.find = find  # type: ignore[method-assign]
    runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
