"""The product's files that the proof is about: mutants are drawn from them, and their branches
counted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The protocol over one database, and what it stores there: proved by a simulation of its own.
OVER_DATABASE = ("bazar/replication/shared/*.py", "storage/postgresql/*.py")

# The protocol, what drives it, what it stores, and the handlers that read or sell.
PATTERNS = (
    *OVER_DATABASE,
    "bazar/replication/*.py",
    "bazar/cache.py",
    "bazar/rpc/{batcher,client,frames,pool,sending}.py",
    "storage/{books,catalog,images,orders,working_set}.py",
    "storage/sqlite/{books,catalog,compare,integrity,log_table,orders}.py",
    "storage/sqlite/{replica_file,replicated_store,search,state_tables}.py",
    "handlers/{catalog,orders,frontend}/*.py",
    "handlers/{replicated,calls,feed}.py",
)


def spread(pattern: str) -> list[str]:
    """`a/{b,c}.py` as the two patterns it stands for."""
    before, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    names, _, after = rest.partition("}")
    return [before + name + after for name in names.split(",")]


def over_database(file: str) -> bool:
    """Return whether only shops over a database execute this file."""
    return any(Path(file).match(pattern) for pattern in OVER_DATABASE)


def files(root: Path = ROOT, patterns: Iterable[str] = PATTERNS) -> list[str]:
    """The files there are, relative to `root`; a pattern that fits none is passed over."""
    found = {
        path.relative_to(root).as_posix()
        for pattern in patterns
        for part in spread(pattern)
        for path in root.glob(part)
    }
    return sorted(found)
