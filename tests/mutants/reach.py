"""A pytest plugin that records what each test executes of the product: `-p tests.mutants.reach
--reach FILE` (below the root that pytest runs in)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.mutants.recorder import Recorder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reach", type=Path, required=True, help="where to write it, as JSON")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before anything of the product is imported."""
    options = early_config.known_args_namespace
    [tests] = options.file_or_dir
    recorder = Recorder(early_config.rootpath, f"{tests}::")
    early_config.pluginmanager.register(Watch(recorder, options.reach))


class Watch:
    """Has recorded what each test of one file executes, and how long it takes. What is imported or
    made for several tests concerns all of the file."""

    def __init__(self, recorder: Recorder, file: Path) -> None:
        self.recorder = recorder
        self.file = file

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        with self.recorder.under(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Iterator[None]:
        shared = fixturedef.scope != "function"
        with self.recorder.under(self.recorder.every) if shared else nullcontext():
            return (yield)

    def pytest_sessionfinish(self) -> None:
        self.recorder.write(self.file)
