"""The house: imports run one way, what decides does no I/O, every route says who may call."""

from __future__ import annotations

import ast
import subprocess
import sys
import unittest
from collections.abc import Iterator
from configparser import ConfigParser
from graphlib import TopologicalSorter
from pathlib import Path

from bazar.cluster_file import load
from bazar.node.server import INTERNAL, PUBLIC, Context
from handlers import ROLES

HERE = Path(__file__).resolve().parents[2]
ROOMS = ("run", "handlers", "storage", "bazar", "tests")
MAY_IMPORT = {"bazar": set[str](), "storage": {"bazar"}, "handlers": {"bazar", "storage"}}
PROTOCOL = ("primary", "replica_subscriber", "cache_subscriber")
TOP = sorted(path.stem for path in (HERE / "storage").glob("[!_]*.py"))
DECISIONS = tuple(f"storage.{name}" for name in TOP if name != "engines")  # which names engines
SANS_IO = (*(f"bazar.replication.{name}" for name in PROTOCOL), *DECISIONS)
IO = {"asyncio", "tornado", "sqlite3", "aiosqlite", "socket", "time", "os", "threading", "random"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Each module that a file names in an import, with its line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.lineno, node.module or ""


def module(path: Path) -> str:
    parts = path.relative_to(HERE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else str(node.module) for name in whole]
        yield from (name for name in names if name.partition(".")[0] in MAY_IMPORT)


def is_module(name: str) -> bool:
    path = HERE / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def room_of(name: str) -> str:
    """The folder that a module is in, or itself where it is in none of bazar's and handlers'."""
    return ".".join(name.split(".")[:2])


class ImportsTest(unittest.TestCase):
    def test_imports_run_one_way(self) -> None:
        seen = 0
        for room, allowed in MAY_IMPORT.items():
            for path in (HERE / room).rglob("*.py"):
                operators = path.is_relative_to(HERE / "bazar" / "cli")
                for line, name in imports(path):
                    top = name.partition(".")[0]
                    if top not in ROOMS or top == room or top in allowed:
                        continue
                    self.assertTrue(operators and top != "tests", f"{path}:{line} imports {name}")
                    seen += 1
        self.assertGreater(seen, 0)  # the operator's commands do

    def test_nothing_is_imported_in_a_circle(self) -> None:
        """Neither files nor the rooms that they are in; what only types need counts, too."""
        files: dict[str, set[str]] = {}
        rooms: dict[str, set[str]] = {}
        for room in MAY_IMPORT:
            for path in (HERE / room).rglob("*.py"):
                here = module(path)
                files[here] = set(imported(path)) - {here}
                rooms.setdefault(room_of(here), set()).update(map(room_of, files[here]))
        for room, others in rooms.items():
            others.discard(room)
        for graph in (files, rooms):
            list(TopologicalSorter(graph).static_order())  # raises CycleError

    def test_every_room_is_in_the_wheel(self) -> None:
        setup = ConfigParser()
        setup.read(HERE / "setup.cfg")
        rooms = {module(path) for room in MAY_IMPORT for path in (HERE / room).rglob("__init__.py")}
        self.assertEqual(rooms, set(setup["options"]["packages"].split()))

    def test_nobody_imports_the_tests(self) -> None:
        for room in (*MAY_IMPORT, "run.py"):
            for path in [HERE / room] if room.endswith(".py") else (HERE / room).rglob("*.py"):
                for line, name in imports(path):
                    self.assertNotEqual(name.partition(".")[0], "tests", f"{path}:{line}")

    def test_what_decides_does_no_io(self) -> None:
        todo = list(SANS_IO)
        checked: set[str] = set()
        while todo:
            module = todo.pop()
            if module in checked:
                continue
            checked.add(module)
            path = HERE / (module.replace(".", "/") + ".py")
            for line, name in imports(path):
                self.assertNotIn(name.partition(".")[0], IO, f"{path}:{line}")
                self.assertFalse(f"{name}.".startswith("storage.sqlite."), f"{path}:{line}")
            todo += imported(path)
        self.assertLess({"bazar.errors", "bazar.replication.joining", "storage.history"}, checked)

    def test_bazar_knows_no_sql(self) -> None:
        for path in (HERE / "bazar").rglob("*.py"):
            for line, name in imports(path):
                self.assertNotIn(name.partition(".")[0], ("sqlite3", "aiosqlite"), f"{path}:{line}")


# Make what a role is made of, and print what has been imported for that.
MADE = """
import asyncio, sys
from pathlib import Path
import run
from bazar.cluster_file import load
async def make(role):
    from bazar.node.server import Context
    config = load(Path(sys.argv[1]), run.ROLES)
    run.ROLES[role](Context(config, config.group(role)[0], "token", print))
if sys.argv[2] == "supervisor":
    import bazar.node.supervisor
else:
    asyncio.run(make(sys.argv[2]))
print(*sys.modules)
"""
NEEDLESS = {
    "supervisor": ("tornado.web", "bazar.http.server", "bazar.rpc", "handlers.", "storage"),
    "frontend": ("pycurl", "sqlite3", "aiosqlite", "storage.sqlite", "handlers.replicated"),
    "order": ("pycurl", "handlers.frontend", "handlers.storefront", "storage.sqlite.catalog"),
    "catalog": ("pycurl", "handlers.frontend", "handlers.storefront", "storage.sqlite.orders"),
}


class StartTest(unittest.TestCase):
    """Imports are most of a start: a process does without those of the other roles."""

    def test_a_role_imports_nothing_that_only_others_need(self) -> None:
        for role, needless in NEEDLESS.items():
            made = subprocess.run(
                [sys.executable, "-c", MADE, str(HERE / "cluster.json"), role],
                cwd=HERE,
                capture_output=True,
                text=True,
                check=True,
            )
            modules = made.stdout.split()
            self.assertIn("bazar.config", modules)
            never = (*needless, "bazar.cli", "bazar.bench", "psycopg", "storage.postgresql")
            never += ("prometheus_client",)
            never += ("handlers.openapi", "handlers.described.page")  # until somebody asks
            found = [name for name in modules if name.startswith(never)]
            self.assertEqual(found, [], role)


class RoutesTest(unittest.IsolatedAsyncioTestCase):
    async def test_every_route_says_public_or_internal(self) -> None:
        config = load(HERE / "cluster.json", ROLES)
        for role, service_class in ROLES.items():
            context = Context(config, config.group(role)[0], "token", self.fail)
            service = service_class(context)
            patterns = [route.pattern for route in service.routes()]
            for route in service.routes():
                self.assertIn(route.access, (PUBLIC, INTERNAL), route)
            self.assertEqual(len(patterns), len(set(patterns)), "a path has two routes")
            for pattern in ("/healthz", "/readyz", "/status", "/metrics"):
                self.assertIn(pattern, patterns)
            close = getattr(service, "client", None)
            if close is not None:
                close.close()
