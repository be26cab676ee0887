"""A run as a readable sequence: one column per node, one line per event."""

from __future__ import annotations

import re


class Trace:
    """Collects what happened; `lines` draws the last of it."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str, str]] = []

    def add(self, time_s: float, who: str, text: str) -> None:
        self.events.append((time_s, who, text))

    def lines(self, last: int | None = None) -> list[str]:
        names = sorted({who for _, who, _ in self.events})
        short = {name: index for index, name in enumerate(names)}
        head = "".join(f"{name:12}" for name in names)
        shown = self.events if last is None else self.events[-last:]
        return [
            f"{'time':>8}  {head}",
            *(
                f"{time_s:8.3f}  {'.           ' * short[who]}{brief(text)}"
                for time_s, who, text in shown
            ),
        ]


_ENTRY = re.compile(r"Entry\(seq=(\d+), epoch=(\d+), keys=\(([^)]*)\).*?digest='(\w{0,6})\w*'\)")


def brief(text: str) -> str:
    """A message without what nobody reads."""
    text = _ENTRY.sub(r"\1@\2:\4[\3]", text)
    text = re.sub(r"version=1, |effects=None, |'", "", text)
    return text if len(text) < 230 else text[:230] + " ..."
