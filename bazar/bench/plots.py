"""The figures as curves, SVG and PNG, drawn by matplotlib, which is an extra."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bazar.errors import ConfigError

FORMATS = ("svg", "png")
SIZE_IN = (7.0, 5.0)
DPI = 150

Figures = Mapping[str, Any]


def check() -> None:
    """Raise ConfigError if matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--plot: needs matplotlib: pip install -e '.[plot]'")


def draw(sections: Figures, directory: Path) -> list[Path]:
    """Draw every curve that these sections have figures for; return the files."""
    check()
    import matplotlib

    matplotlib.use("agg")  # no display is needed
    matplotlib.rcParams["svg.hashsalt"] = "bazar"  # the same figures give the same file
    from matplotlib import pyplot

    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for name, fill in (
        ("latency-sequential", _sequential),
        ("latency-hits", _hits),
        ("throughput", _throughput),
        ("hit-ratio", _hit_ratio),
    ):
        figure, axes = pyplot.subplots(figsize=SIZE_IN, layout="constrained")
        if fill(sections, axes):
            axes.grid(alpha=0.3)
            for suffix in FORMATS:
                path = directory / f"{name}.{suffix}"
                figure.savefig(path, dpi=DPI, metadata={"Date": None} if suffix == "svg" else None)
                made.append(path)
        pyplot.close(figure)
    return made


def _curves(axes: Any, found: Iterator[tuple[str, Figures]]) -> bool:
    """Draw the cumulative distributions of latencies. Return whether there are any."""
    any_drawn = False
    for label, quantiles in found:
        axes.plot(list(quantiles.values()), [float(one) for one in quantiles], label=label)
        any_drawn = True
    axes.set(xscale="log", xlabel="milliseconds", ylabel="share of requests answered within")
    if any_drawn:
        axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return any_drawn


def _sequential(sections: Figures, axes: Any) -> bool:
    axes.set_title("One request after the other")
    rows = sections.get("timings", {})
    # Replicas are alike: show one of each.
    shown = ((label, row) for label, row in rows.items() if not label.endswith("replica 2"))
    return _curves(axes, ((label, row["quantiles_ms"]) for label, row in shown))


def _hits(sections: Figures, axes: Any) -> bool:
    axes.set_title("A cached book, 32 connections")
    rows = sections.get("hits", {})
    return _curves(axes, ((label, row["quantiles_ms"]) for label, row in rows.items()))


def _throughput(sections: Figures, axes: Any) -> bool:
    rows = {**sections.get("throughput", {}), **sections.get("purchases", {})}
    rows.pop("checked", None)
    for label, by_connections in rows.items():
        connections = [int(one) for one in by_connections]
        axes.plot(connections, [r["per_s"] for r in by_connections.values()], "o-", label=label)
    axes.set(xscale="log", yscale="log", xlabel="connections", ylabel="requests a second")
    axes.set_title("Throughput")
    if rows:
        axes.legend(fontsize="small")
        axes.set_xticks(connections, [str(one) for one in connections])
        axes.minorticks_off()
    return bool(rows)


def _hit_ratio(sections: Figures, axes: Any) -> bool:
    rows = sections.get("caching", {})
    entries = [int(one) for one in rows]
    measured = [row["hit_ratio"] for row in rows.values()]
    theory = [row["expected_hit_ratio"] for row in rows.values()]
    axes.plot(entries, theory, "--", label="hit ratio, LRU in theory")
    axes.plot(entries, measured, "o-", label="hit ratio")
    axes.set(xscale="log", xlabel="cache entries", ylabel="hit ratio", ylim=(0, 1.02))
    axes.set_title("Readers of 100,000 books by Zipf's law")
    slow = axes.twinx()
    slow.plot(entries, [r["p50_ms"] for r in rows.values()], "s:", color="tab:red", label="median")
    slow.set_ylabel("median milliseconds", color="tab:red")
    axes.legend(fontsize="small", loc="upper center")
    return bool(rows)
