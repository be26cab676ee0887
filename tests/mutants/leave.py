"""A pytest plugin that ends the process with its tests: `-p tests.mutants.leave`.

A test that has failed leaves tasks, threads and nodes behind. Without this plugin the process would
wait for them until its time limit, and each killed mutant would take minutes.
"""

from __future__ import annotations

import os
import sys

import pytest

STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[STATUS])
