"""The judging of a sample: a copy of the tree for each thread, and verdicts as they come."""

from __future__ import annotations

import queue
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from tests import product
from tests.mutants.judge import Judges, Verdict
from tests.mutants.mutant import Mutant
from tests.mutants.reached import UNSTEADY, Reach, measure, measure_seeds, sound, test_files
from tests.mutants.state import Verdicts
from tests.mutants.tree import Tree

SEEDS = 25  # measured at a time

Item = TypeVar("Item")
Result = TypeVar("Result")


class Bench:
    """So many copies of a tree. As a context manager it removes them at the end."""

    def __init__(self, root: Path, state: Path, jobs: int, say: Callable[[str], None]) -> None:
        self.say = say
        self.trees: list[Tree] = []
        self.place = Path(tempfile.mkdtemp(prefix="bazar-mutants-"))
        self.place.chmod(0o711)  # a database server that tests start runs as another user
        try:
            self.trees.append(Tree.copied(root, self.place / "0"))
            for number in range(1, jobs):
                self.trees.append(self.trees[0].clone(self.place / str(number)))
            self.state = state / self.trees[0].digest()
            self.state.mkdir(parents=True, exist_ok=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for tree in self.trees:
            tree.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def tests(self) -> Reach:
        """Return what the tests execute in this tree: measured once, file by file."""
        place = self.state / "reach"
        place.mkdir(exist_ok=True)
        files = [file for file in test_files(self.trees[0]) if not sound(place / _measured(file))]
        if files:
            self.say(f"running the tests of {len(files)} files, to see what they execute")

        def measured(tree: Tree, file: Path) -> None:
            fresh = tree.path.with_name(_measured(file))
            measure(tree, file, fresh)
            fresh.replace(place / fresh.name)

        for _ in self._each(measured, files):
            pass
        return self._trusted(Reach.joined(map(Reach.read, sorted(place.glob("*.json")))))

    def seeds(self, base: str, count: int, kinds: Sequence[bool]) -> dict[bool, Reach]:
        """Return what so many seeds execute in this tree, for each kind: are they of shops over a
        database? It is measured once, some of them at a time."""
        parts = [range(first, min(first + SEEDS, count)) for first in range(0, count, SEEDS)]

        def place(kind: bool, part: range) -> Path:
            name = "over-database" if kind else "seeds"
            return self.state / f"{name}-{base}-{part.start}-{part.stop}.json"

        todo = [(k, part) for k in kinds for part in parts if not place(k, part).exists()]
        if todo:
            number = sum(len(part) for _, part in todo)
            self.say(f"running {number} seeds, to see what they execute")

        def measured(tree: Tree, item: tuple[bool, range]) -> None:
            over_database, part = item
            final = place(over_database, part)
            fresh = tree.path.with_name(final.name)
            measure_seeds(tree, f"{base} {part.start}", len(part), over_database, fresh)
            fresh.replace(final)

        for _ in self._each(measured, todo):
            pass
        return {
            kind: self._trusted(Reach.joined(Reach.read(place(kind, part)) for part in parts))
            for kind in kinds
        }

    def _trusted(self, reach: Reach) -> Reach:
        """Return it, and say what is wrong with it. Raises OSError where that is too much."""
        for name in reach.failing:
            self.say(f"fails as it is, and judges nothing: {name}")
        if len(reach.failing) > UNSTEADY:
            raise OSError("too much fails as it is")
        return reach

    def judged(
        self, mutants: Sequence[Mutant], base: str, seeds: int
    ) -> Iterator[tuple[Mutant, Verdict]]:
        """Yield each mutant's verdict: first those known from an earlier run."""
        verdicts = Verdicts(self.state / f"{base}-{seeds}.jsonl")
        todo: list[Mutant] = []
        for mutant in mutants:
            if mutant.key in verdicts.known:
                yield mutant, verdicts.known[mutant.key]
            else:
                todo.append(mutant)
        if todo:
            kinds = sorted({product.over_database(mutant.file) for mutant in todo})
            judges = Judges(self.tests(), self.seeds(base, seeds, kinds) if seeds else {})
            for mutant, verdict in self._each(judges.judge, todo):
                verdicts.add(mutant, verdict)
                yield mutant, verdict

    def _each(
        self, work: Callable[[Tree, Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Do the work for each item, in whichever tree is free."""
        free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for tree in self.trees:
            free.put(tree)

        def do(item: Item) -> Result:
            tree = free.get()
            try:
                return work(tree, item)
            finally:
                free.put(tree)

        with ThreadPoolExecutor(len(self.trees)) as pool:
            running = {pool.submit(do, item): item for item in items}
            try:
                for future in as_completed(running):
                    yield running[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise


def _measured(tests: Path) -> str:
    """Return the name of the file that holds what these tests execute."""
    return f"{'-'.join(tests.with_suffix('').parts)}.json"
