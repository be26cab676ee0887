"""The mutants of the product: what is changed, what is not, and that the judges can be trusted."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import select
import shutil
import sys
import tempfile
import threading
import unittest
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

from tests import product
from tests.mutants.__main__ import main
from tests.mutants.equivalent import Equivalent
from tests.mutants.equivalents import ALL
from tests.mutants.mutant import Mutant
from tests.mutants.operators import mutants
from tests.mutants.reached import Reach
from tests.mutants.sample import candidates, draw, stale
from tests.mutants.tree import Tree


def changes(source: str) -> set[str]:
    """What mutants make of a line."""
    return {mutant.after for mutant in mutants("a.py", source.encode())}


class OperatorsTest(unittest.TestCase):
    def test_branches_become_constant(self) -> None:
        self.assertEqual(changes("if a:\n    b"), {"if True:", "if False:"})
        self.assertEqual(changes("while a:\n    b"), {"while True:", "while False:"})
        self.assertEqual(changes("x(b if a else c)") - {"pass"}, {
            "x(b if True else c)", "x(b if False else c)",
        })  # fmt: skip
        self.assertEqual(changes("def f():\n    b = [a for a in c if a]"), {
            "b = [a for a in c if True]", "b = [a for a in c if False]",
        })  # fmt: skip
        guarded = "match a:\n    case b if c:\n        d"
        self.assertEqual(changes(guarded), {"case b if True:", "case b if False:"})

    def test_operands_are_dropped(self) -> None:
        self.assertEqual(changes("def f():\n    return (a or b) and c"), {
            "return (True) and c", "return (a or b) and True",
            "return (False or b) and c", "return (a or False) and c",
        })  # fmt: skip

    def test_statements_are_left_out(self) -> None:
        source = "async def f(self):\n    await g(a,\n        b)\n    self.x = c\n    del d[e]\n"
        self.assertEqual(changes(source), {"pass"})
        befores = [mutant.before for mutant in mutants("a.py", source.encode())]
        self.assertEqual(befores, ["await g(a, b)", "self.x = c", "del d[e]"])

    def test_a_plain_name_is_no_state_nor_is_what_a_constructor_sets(self) -> None:
        self.assertEqual(changes("def f():\n    a = b\n    a, self.c = d"), set())
        self.assertEqual(changes("class A:\n    def __init__(self):\n        self.a = b"), set())

    def test_comparisons_move(self) -> None:
        for old, new in (("<", "<="), (">=", ">"), ("==", "!="), ("is", "is not"),
                         ("is  not", "is"), ("not in", "in"), ("in", "not in")):  # fmt: skip
            self.assertEqual(changes(f"def f():\n    return (a) {old} (b)"), {
                f"return (a) {new} (b)"
            })  # fmt: skip
        twice = changes("def f():\n    return a < b < c")
        self.assertEqual(twice, {"return a <= b < c", "return a < b <= c"})

    def test_a_comment_between_operands_is_no_operator(self) -> None:
        [mutant] = mutants("a.py", b"def f():\n    return (a  # a < b\n        > b)")
        self.assertEqual(mutant.after, ">= b)")

    def test_values_move(self) -> None:
        self.assertEqual(changes("def f():\n    return a + b"), {"return a - b"})
        self.assertEqual(changes("def f(a):\n    a += b"), {"a -= b", "pass"})
        self.assertEqual(changes("def f():\n    return min(a, 1)"), {
            "return max(a, 1)", "return min(a, 2)",
        })  # fmt: skip
        self.assertEqual(changes("def f(a=True): ..."), {"def f(a=False): ..."})

    def test_an_optional_answer_is_none(self) -> None:
        self.assertEqual(changes("def f() -> int | None:\n    return a"), {"return None"})
        self.assertEqual(changes("def f() -> int:\n    return a"), set())
        self.assertEqual(changes("def f() -> int | None:\n    return None"), set())

    def test_what_no_behaviour_rests_on_is_not_drawn(self) -> None:
        for source in (
            "LIMIT = 10",
            "class A:\n    x: int = 1",
            "def f(a: Literal[1]) -> Literal[2]:\n    assert a > 1, 1 + a",
            "def f():\n    log.info(a + b)\n    self.note(min(a, b))\n    handler.note(1)",
            "def f():\n    if a > 1:\n        log.info(a)\n        self.note(b)",
            "def f():\n    return f'{a + 1}' + b",
            "class A:\n    def __repr__(self):\n        return a + b",
            "@dataclass(frozen=True)\nclass A: ...",
            "if __name__ == '__main__':\n    main(1)",
            "if TYPE_CHECKING:\n    import a",
            "def f():\n    return zip(a, b, strict=True)",
            "def f():\n    return round(a, 3)",
        ):
            self.assertEqual(changes(source), set(), source)

    def test_what_only_looks_like_a_log_is_drawn(self) -> None:
        self.assertEqual(changes("def f():\n    self._reached.note(a)"), {"pass"})
        for more in ("\n        b", "\n    else:\n        b"):
            source = f"def f():\n    if a:\n        log.info(a){more}"
            self.assertEqual(changes(source), {"if True:", "if False:"})

    def test_the_rest_of_the_file_stays_as_it_is(self) -> None:
        source = "# ä\nx('ü' if a else 'ö', \tb)  # é\n".encode()
        found = {mutant.applied(source).decode() for mutant in mutants("a.py", source)}
        self.assertIn("# ä\nx('ü' if True else 'ö', \tb)  # é\n", found)

    def test_each_mutant_of_the_product_is_python_and_another(self) -> None:
        file = "bazar/cache.py"
        source = (product.ROOT / file).read_bytes()
        for mutant in mutants(file, source):
            mutated = mutant.applied(source)
            self.assertNotEqual(ast.dump(ast.parse(mutated)), ast.dump(ast.parse(source)), mutant)

    def test_what_is_executed_where_a_change_is_noticed(self) -> None:
        source = """\
            @x(True)
            def f(a=True):
                if (a and
                        b):
                    g(c,
                        d)
                elif e: h()
                match i:
                    case j if (k or
                            l):
                        m()
                return [n for n in
                        o if n]
            def p(): q()
            r()
            """
        found: dict[str, set[tuple[int, int] | None]] = {}
        for mutant in mutants("a.py", dedent(source).encode()):
            found.setdefault(mutant.before, set()).add(mutant.lines)
        self.assertEqual(found, {
            "def f(a=True):": {(3, 13)}, "if (a and": {(3, 4)}, "if (a and b):": {(3, 4)},
            "b):": {(3, 4)}, "g(c, d)": {(5, 6)}, "elif e: h()": {(7, 7)},
            "case j if (k or": {(9, 10)}, "case j if (k or l):": {(9, 10)}, "l):": {(9, 10)},
            "m()": {(11, 11)}, "o if n]": {(12, 13)}, "def p(): q()": {(14, 14)}, "r()": {None},
        })  # fmt: skip


class SampleTest(unittest.TestCase):
    def setUp(self) -> None:
        self.every = candidates(product.ROOT, ["bazar/cache.py", "bazar/rpc/pool.py"])

    def test_a_larger_sample_goes_on_from_a_smaller(self) -> None:
        large = draw(self.every, 130, 7)
        self.assertEqual(large[:30], draw(self.every, 30, 7))
        self.assertNotEqual(large, draw(self.every, 130, 8))
        unchanged = [number for number, mutant in enumerate(large) if mutant.unchanged]
        self.assertEqual(unchanged, [0, 60, 120])

    def test_an_unchanged_copy_is_the_source(self) -> None:
        self.assertEqual(self.every[0].copy().applied(b"abc" * 9999), b"abc" * 9999)

    def test_every_equivalent_is_a_mutant_of_the_code(self) -> None:
        every = candidates(product.ROOT, product.files())
        self.assertEqual(stale(every, ALL), [])

    def test_every_pattern_names_files(self) -> None:
        found = product.files()
        self.assertIn("bazar/replication/primary.py", found)
        self.assertIn("handlers/frontend/upstream.py", found)
        self.assertNotIn("bazar/config.py", found)


class ReachTest(unittest.TestCase):
    mutant = Mutant("bazar/cache.py", "Cache.find", 7, "branch", 0, 1, "True", "", "", (7, 9))

    def test_nearest_first_then_the_fastest(self) -> None:
        seconds = {
            "tests/unit/test_shop.py::slow": 3.0,
            "tests/unit/test_a.py::other": 1.0,
            "tests/unit/test_cache.py::near": 9.0,
            "tests/unit/test_cache.py::near_elsewhere": 9.0,
            "tests/unit/test_elsewhere.py::before": 0.1,
            "tests/unit/test_elsewhere.py::behind": 0.1,
        }
        executed = {
            "tests/unit/test_shop.py::slow": [3, 9, 12],
            "tests/unit/test_a.py::other": [7],
            "tests/unit/test_cache.py::near": [8],
            "tests/unit/test_elsewhere.py::before": [6],
            "tests/unit/test_elsewhere.py::behind": [6, 10],
        }
        reach = Reach(seconds, {"bazar/cache.py": executed})

        def tests(lines: tuple[int, int] | None) -> list[str]:
            mutant = replace(self.mutant, lines=lines)
            return [name.partition("::")[2] for name in reach.tests(mutant)]

        self.assertEqual(tests((7, 9)), ["near", "other", "slow", "near_elsewhere"])
        self.assertEqual(tests((20, 20)), ["near", "near_elsewhere"])
        self.assertEqual(
            tests(None), ["near", "near_elsewhere", "before", "behind", "other", "slow"]
        )
        self.assertEqual(len(Reach(seconds, {}).tests(self.mutant)), 6)

    def test_those_of_the_package_and_of_both_suites_are_near(self) -> None:
        seconds = {
            "tests/unit/test_a.py::fast": 0.1,
            "tests/http/test_orders.py::package": 9.0,
            "tests/unit/storage/test_service.py::name": 9.0,
        }
        mutant = replace(self.mutant, file="handlers/orders/service.py", lines=None)
        self.assertEqual(Reach(seconds, {}).tests(mutant)[-1], "tests/unit/test_a.py::fast")

    def test_what_several_have_in_common_concerns_each(self) -> None:
        seconds = dict.fromkeys(["a.py::one", "a.py::two", "b.py::one", "b.py::red"], 1.0)
        for name, expected in (
            ("a.py::", ["a.py::one", "a.py::two"]),
            ("b.py::", ["b.py::one"]),
            ("", ["a.py::one", "a.py::two", "b.py::one"]),
        ):
            reach = Reach(seconds, {"bazar/cache.py": {name: [8]}}, failing=["b.py::red"])
            self.assertEqual(reach.executing(self.mutant), expected)


TOY = {
    "bazar/__init__.py": "",
    "bazar/pool.py": """
        def left(count, sold):
            if sold > count:
                raise ValueError
            return count - sold

        def sell(lines):
            lines.append("sold")
        """,
    "tests/__init__.py": "",
    "tests/unit/test_stock.py": """
        import logging
        import threading
        import unittest
        from bazar.pool import left

        class StockTest(unittest.TestCase):
            def test_left(self):
                over = threading.Event()
                threading.Thread(target=over.wait).start()  # lives on where this fails
                logging.error("odd")  # and the log begins as what tells a failure does
                self.assertEqual(left(3, 1), 2)
                over.set()

            def test_refused(self):
                self.assertRaises(ValueError, left, 1, 2)
        """,
    "tests/simulation/focus.py": "FOCUSES = {'scarce': {}}",
    "tests/simulation/workers.py": "def rarely_collect(): ...",
    "tests/simulation/scenario.py": """
        from types import SimpleNamespace
        from bazar.pool import left

        def run(seed, focus):
            try:
                left(2, 2 if focus else 1)
            except ValueError:
                return SimpleNamespace(violation="I3: 2 of 2 are refused")
            return SimpleNamespace(violation="")
        """,
}


class WholeTest(unittest.TestCase):
    """The command, on a tree of a few lines."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name) / "toy"
        here = product.ROOT / "tests"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(here / "mutants", self.root / "tests" / "mutants", ignore=ignored)
        shutil.copy(here / "product.py", self.root / "tests")
        for name, text in TOY.items():
            self.write(name, text)
        self.json = Path(directory.name) / "found.json"
        self.state = Path(directory.name) / "state"

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), "utf-8")

    def run_main(self, *arguments: str, equivalents: tuple[Equivalent, ...] = ()) -> int:
        """Also keeps what it printed, and the verdicts by what was changed."""
        common = ("--files", "bazar/*.py", "--json", str(self.json), "--state", str(self.state))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            status = main([*arguments, *common, "--seeds", "2"], self.root, equivalents)
        self.printed = printed.getvalue()
        plain = json.loads(self.json.read_text("utf-8"))
        self.summary = plain["summary"]
        self.kinds = {mutant["after"]: mutant["kind"] for mutant in plain["mutants"]}
        return status

    def test_who_kills_what_and_what_survives(self) -> None:
        every = {
            "if True:": "test",
            "if False:": "test",
            "return count + sold": "test",
            "if sold >= count:": "invariant",
            "pass": "",
        }
        self.write("tests/unit/test_red.py", "def test_red():\n    assert False\n")
        self.assertEqual(self.run_main("--count", "9", "--seed", "3"), 0)
        self.assertIn("judges nothing: tests/unit/test_red.py::test_red", self.printed)
        unchanged = {after for after in self.kinds if after not in every}
        self.assertEqual({self.kinds.pop(after) for after in unchanged}, {""})
        self.assertEqual(self.kinds, {after: every[after] for after in self.kinds})
        self.assertIn("if sold >= count:", self.kinds)
        self.assertEqual(self.summary["survived"], 1)
        self.assertLess(0, self.summary["seconds"]["killed"][1])
        self.assertEqual(self.summary["unchanged_survived"], 1)
        self.assertIn(
            'survived (nobody executes it): bazar/pool.py:8 sell: lines.append("sold")  ->  pass',
            self.printed,
        )

        before, kinds = self.printed, dict(self.kinds)
        self.run_main("--count", "9", "--seed", "3")
        self.assertNotIn("to see what they execute", self.printed)  # all is known
        self.assertEqual({k: v for k, v in self.kinds.items() if k in kinds}, kinds)
        self.assertIn("running the tests of 2 files, to see what they execute", before)
        self.assertIn("running 2 seeds, to see what they execute", before)

        # Again, and this time somebody looks: the one that survived is killed.
        self.write("tests/unit/test_sell.py", """
            from bazar.pool import sell

            def test_sell():
                sell(lines := [])
                assert lines == ["sold"]
            """)  # fmt: skip
        self.run_main("--again", str(self.json))
        self.assertEqual(self.kinds, {"pass": "test"})

    def test_an_equivalent_is_listed_apart_and_a_stale_one_fails(self) -> None:
        one = Equivalent("bazar/pool.py", "sell", 'lines.append("sold")', "pass", "nobody reads it")
        gone = Equivalent("bazar/pool.py", "sell", "lines.clear()", "pass", "it was")
        every = candidates(self.root, ["bazar/pool.py"])
        self.assertEqual(stale(every, [one, gone]), [gone])

    def test_a_judge_that_kills_an_unchanged_copy_fails(self) -> None:
        self.write("tests/simulation/scenario.py", """
            from pathlib import Path
            from types import SimpleNamespace
            from bazar.pool import left, sell

            def run(seed, focus):
                left(1, 1)
                sell([])
                before = Path("before")
                met = before.exists() and seed in map(int, before.read_text().split())
                with before.open("a") as file:
                    file.write(f"{seed} ")
                return SimpleNamespace(violation="", error="an exception" if met else "")
            """)  # fmt: skip
        self.assertEqual(self.run_main("--count", "1"), 1)
        self.assertEqual(list(self.kinds.values()), ["error"])
        self.assertIn("UNRELIABLE", self.printed)

    def test_tests_that_fail_as_they_are_cannot_judge(self) -> None:
        many = [f"def test_{number}():\n    assert False\n" for number in range(4)]
        self.write("tests/unit/test_red.py", "\n".join(many))
        with self.assertRaisesRegex(OSError, "too much fails as it is"):
            self.run_main("--count", "1")


class TreeTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.tree = Tree(Path(directory.name) / "0")
        self.tree.path.mkdir()

    def test_what_hangs_is_stopped_with_its_children(self) -> None:
        child = f"[{sys.executable!r}, '-c', 'import signal; signal.pause()']"
        code = f"import subprocess; print(subprocess.Popen({child}).wait(), flush=True)"
        ran = self.tree.python("-c", code, timeout_s=0.1)
        self.assertEqual((ran.status, ran.output), (None, ""))

    def test_what_says_nothing_is_stopped_before_its_time_is_over(self) -> None:
        ran = self.tree.python("-c", "import signal; signal.pause()", timeout_s=3600, silent_s=0.1)
        self.assertIsNone(ran.status)

    def test_what_a_command_leaves_behind_does_not_outlive_it(self) -> None:
        child = f"[{sys.executable!r}, '-c', 'import signal; signal.pause()']"
        code = f"import subprocess; print(subprocess.Popen({child}).pid, flush=True)"
        ran = self.tree.python("-c", code, timeout_s=60)
        self.assertEqual(ran.status, 0)
        with contextlib.suppress(ProcessLookupError):  # gone already
            child_fd = os.pidfd_open(int(ran.output))
            self.addCleanup(os.close, child_fd)
            self.assertTrue(select.select([child_fd], [], [], 30)[0], "it lives on")

    def test_closing_ends_what_runs(self) -> None:
        ended: list[BaseException] = []

        def work() -> None:
            try:
                self.tree.python("-c", "import signal; signal.pause()", timeout_s=60)
            except InterruptedError as error:
                ended.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        self.tree.close()
        thread.join(30)
        self.assertEqual(len(ended), 1)
