"""A deliberate fault: one rule taken out of the code.

A mutation is a few lines of a function, as they stand and as they are without the rule. It is
compiled in place of the original for as long as `applied` lasts. All are of the product.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Edit = tuple[Any, str, str, str]  # owner (a class or a module), function, before, after


def compiled(owner: Any, name: str, changes: list[tuple[str, str]]) -> Any:
    """The function with those pieces of its source replaced."""
    original = inspect.getattr_static(owner, name)
    plain = inspect.unwrap(getattr(original, "__func__", getattr(original, "fget", original)))
    source = textwrap.dedent(inspect.getsource(plain))
    for before, after in changes:
        if source.count(before) != 1:
            raise LookupError(f"{name} has no such piece any more, or several: {before!r}")
        source = source.replace(before, after)
    # `super()` looks for the class in a cell of this name.
    made = f"def _make(__class__):\n{textwrap.indent(source, '    ')}\n    return {name}"
    scope: dict[str, Any] = {}
    exec(compile(made, "<mutation>", "exec"), plain.__globals__, scope)
    return scope["_make"](owner)


@dataclass(frozen=True)
class Mutation:
    """What is taken away, by which rule it is there, and the focus that meets it most often."""

    name: str
    rule: str
    edits: tuple[Edit, ...]
    focus: str = ""
    shop: bool = False
    """Whether it takes a whole shop to meet it, and not the replicas of one group alone."""
    near: int = 0
    """A seed that met it once: tests look from there on, which is no promise that it still does."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        changes: dict[tuple[Any, str], list[tuple[str, str]]] = {}
        for owner, name, before, after in self.edits:
            changes.setdefault((owner, name), []).append((before, after))
        with ExitStack() as stack:
            for (owner, name), pieces in changes.items():
                stack.enter_context(patch.object(owner, name, compiled(owner, name, pieces)))
            yield


def mutation(name: str, rule: str, *edits: Edit, focus: str = "", near: int = 0) -> Mutation:
    return Mutation(name, rule, edits, focus, near=near)


def shop(name: str, rule: str, *edits: Edit, focus: str = "", near: int = 0) -> Mutation:
    """A mutation that it takes a whole shop to meet."""
    return Mutation(name, rule, edits, focus, shop=True, near=near)
