"""Where the shops that are measured keep their state: in files of their own, or in a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATABASE = "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Place:
    """Says where one shop keeps its state. `engine` stands in its cluster.json; None: in files.
    `server` is the first process of its database's server, where that is on this machine."""

    engine: Mapping[str, Any] | None = None
    server: int | None = None


Places = Callable[[Path], AbstractContextManager[Place]]
"""Makes a place for one shop, by the cluster.json whose settings it has, and takes it away."""
