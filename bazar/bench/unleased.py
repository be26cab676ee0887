"""A front end whose cached reads don't look at their lease: what looking costs. It serves old books
when its lease is lost, so this is a program of the benchmark's, and no setting of the shop's.

    python -m bazar.bench.unleased --config … --role frontend --port …      # run.py's flags
"""

from __future__ import annotations

import runpy
from typing import Any

from bazar.bench.children import ROOT
from bazar.cache import Cache, Shelf


def find(self: Cache, shelf: Shelf, key: str, now: float) -> Any | None:
    """`Cache.find` but for its first question."""
    item = shelf.get(key, now)
    if item is None:
        return None
    self.counters.hits += 1
    return item.value


if __name__ == "__main__":
    Cache.find = find  # type: ignore[method-assign]
    runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
