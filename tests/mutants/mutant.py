"""One mutant: a place in a file, and its replacement."""

from __future__ import annotations

from dataclasses import dataclass, replace

UNCHANGED = "unchanged"  # the operator of a copy that must survive


@dataclass(frozen=True, slots=True)
class Mutant:
    """`start` and `end` count bytes; `before` and `after` are the lines that change, as one. Where
    the change is noticed, a line from the first to the last of `lines` is executed; None: at an
    import."""

    file: str
    function: str
    line: int
    operator: str
    start: int
    end: int
    replacement: str
    before: str
    after: str
    lines: tuple[int, int] | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line} {self.function or '(module)'}"
        what = "unchanged" if self.unchanged else f"{self.before}  ->  {self.after}"
        return f"{where}: {what}"

    @property
    def key(self) -> str:
        """Return the identity of the mutant in one tree."""
        return f"{self.file}:{self.start}-{self.end}:{self.operator}:{self.replacement}"

    @property
    def unchanged(self) -> bool:
        return self.operator == UNCHANGED

    @property
    def name(self) -> tuple[str, str, str, str]:
        """Return the mutant's name, which stays the same when its lines move."""
        return self.file, self.function, self.before, self.after

    def copy(self) -> Mutant:
        """Return the unchanged copy at the same place."""
        return replace(self, operator=UNCHANGED, replacement="", after=self.before)

    def applied(self, source: bytes) -> bytes:
        if self.unchanged:
            return source
        return source[: self.start] + self.replacement.encode() + source[self.end :]
