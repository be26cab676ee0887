"""The result of a section as a table and as figures, and the machine it was measured on."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bazar.table import table


@dataclass(slots=True)
class Section:
    """The result of one section. `figures` become JSON, and plots are drawn from them."""

    name: str
    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    failed: bool = False
    """Whether a result is wrong, not only slow."""

    def __str__(self) -> str:
        shown = table([self.header, *self.rows])
        return "\n".join([f"{self.name}: {self.title}", "", shown, *self.notes])


def number(value: float) -> str:
    """Return the number with commas between thousands.

    >>> number(61234.5)
    '61,234'
    """
    return f"{value:,.0f}"


def ms(value: float | None) -> str:
    """Return milliseconds with three significant digits.

    >>> ms(0.0612), ms(1.234), ms(12.3), ms(250.4), ms(None)
    ('0.061', '1.23', '12.3', '250', '-')
    """
    if value is None:
        return "-"
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def ratio(value: float) -> str:
    """Return the ratio with three significant digits.

    >>> ratio(0.961), ratio(15.32), ratio(120.7)
    ('0.96', '15.3', '121')
    """
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def machine() -> dict[str, Any]:
    """Return the machine that the figures belong to."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "uvloop": importlib.util.find_spec("uvloop") is not None,
        "load_average": round(os.getloadavg()[0], 2),
    }


def _cores() -> int:
    return os.cpu_count() or 1


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8", errors="replace").split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe(found: dict[str, Any]) -> str:
    loop = "uvloop" if found["uvloop"] else "asyncio's own loop (uvloop is not installed)"
    return (
        f"{found['cores']} cores ({found['processor']}), {found['system']}, "
        f"Python {found['python']}, {loop}; load average {found['load_average']} at the start"
    )
