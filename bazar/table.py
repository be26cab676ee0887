"""A table as text."""

from __future__ import annotations

from collections.abc import Sequence


def table(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; those that hold figures stand to the right. The first
    line is the header.

    >>> print(table([("what", "ms"), ("a hit", "0.05"), ("a miss", "-")]))
    what      ms
    a hit   0.05
    a miss     -
    """
    columns = range(len(lines[0]))
    widths = [max(len(line[column]) for line in lines) for column in columns]
    to_the_right = [all(_is_figure(line[column]) for line in lines[1:]) for column in columns]
    shown = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, to_the_right, strict=True)
        )
        for line in lines
    )
    return "\n".join(line.rstrip() for line in shown)


def _is_figure(cell: str) -> bool:
    return cell == "-" or cell.lstrip("≥<±").replace(" ", "")[:1].isdigit()
