"""The result of a sample, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.mutants.equivalent import Equivalent
from tests.mutants.judge import Verdict
from tests.mutants.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Report:
    """The verdicts, and the reasons of the mutants that are equivalent and were not judged."""

    verdicts: Mapping[Mutant, Verdict]
    equivalents: Mapping[Mutant, Equivalent]

    def _of(self, *, unchanged: bool, killed: bool) -> list[tuple[Mutant, Verdict]]:
        return [
            (mutant, verdict)
            for mutant, verdict in self.verdicts.items()
            if mutant.unchanged is unchanged and bool(verdict.kind) is killed
        ]

    @property
    def survivors(self) -> list[Mutant]:
        found = [mutant for mutant, _ in self._of(unchanged=False, killed=False)]
        return sorted(found, key=lambda mutant: (mutant.file, mutant.start))

    @property
    def unreliable(self) -> list[tuple[Mutant, Verdict]]:
        """Unchanged copies that a judge has killed."""
        return self._of(unchanged=True, killed=True)

    def summary(self) -> dict[str, Any]:
        killed = self._of(unchanged=False, killed=True)
        copies = sum(mutant.unchanged for mutant in self.verdicts)
        judged = len(self.verdicts) - copies
        return {
            "drawn": len(self.verdicts) + len(self.equivalents),
            "killed": len(killed),
            "killed_by": dict(Counter(verdict.judge for _, verdict in killed)),
            "kinds": dict(Counter(verdict.kind for _, verdict in killed)),
            "survived": len(self.survivors),
            "survived_percent": _percent(len(self.survivors), judged),
            "equivalent": len(self.equivalents),
            "equivalent_percent": _percent(len(self.equivalents), judged + len(self.equivalents)),
            "seconds": {
                name: _middle_and_most([verdict.seconds for _, verdict in found])
                for name, found in (
                    ("killed", killed),
                    ("survived", self._of(unchanged=False, killed=False)),
                )
            },
            "unchanged": copies,
            "unchanged_survived": copies - len(self.unreliable),
        }

    def lines(self) -> Iterator[str]:
        summary = self.summary()
        files: dict[str, Counter[bool]] = {}
        for mutant, verdict in self.verdicts.items():
            if not mutant.unchanged:
                files.setdefault(mutant.file, Counter())[bool(verdict.kind)] += 1
        yield f"{'file':36} drawn  survived"
        for file, found in sorted(files.items()):
            yield f"{file:36} {found.total():5}  {found[False]:8}"
        hung = [mutant for mutant, verdict in self.verdicts.items() if verdict.kind == "hang"]
        yield from _section("killed by time:", hung)
        yield from _section("survived:", self.survivors)
        unsteady = Counter(test for verdict in self.verdicts.values() for test in verdict.unsteady)
        counted = [f"{test} ({count})" for test, count in unsteady.items()]
        yield from _section("failed once, and not twice:", counted)
        wrong = [f"{copy} by {found.judge}: {found.detail}" for copy, found in self.unreliable]
        yield from _section("UNRELIABLE, for what was killed is unchanged:", wrong)
        yield ""
        yield (
            f"drawn {summary['drawn']}, killed {summary['killed']}"
            f" (by {_listed(summary['killed_by'])}; as {_listed(summary['kinds'])})"
        )
        yield (
            f"survived {summary['survived']} ({summary['survived_percent']} % of those that are not"
            f" equivalent), equivalent {summary['equivalent']} ({summary['equivalent_percent']} %)"
        )
        for how, (middle, most) in summary["seconds"].items():
            yield f"who {how} took {middle} s (median), {most} s at the most"
        yield f"unchanged {summary['unchanged']}, of which survived {summary['unchanged_survived']}"

    def plain(self) -> dict[str, Any]:
        """Return the report as plain values, for `--json` and for `--again`."""
        judged = [
            {**asdict(mutant), **asdict(verdict)} for mutant, verdict in self.verdicts.items()
        ]
        equal = [
            {**asdict(mutant), "kind": "equivalent", "detail": one.reason}
            for mutant, one in self.equivalents.items()
        ]
        return {"summary": self.summary(), "mutants": judged + equal}


def _middle_and_most(seconds: list[float]) -> tuple[float, float]:
    return (round(median(seconds), 1), max(seconds)) if seconds else (0.0, 0.0)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "nobody"


def _section(title: str, found: list[Any]) -> Iterator[str]:
    if found:
        yield f"\n{title}"
        yield from (f"  {one}" for one in found)
