"""Tests here may be coroutines, and ask every major version that is on this machine."""

from __future__ import annotations

import pytest

from tests.coroutines import pytest_pyfunc_call as pytest_pyfunc_call
from tests.postgresql.installations import SKIPPED, Installation, installations

VERSIONS: list[Installation | None] = [*installations()] or [None]


@pytest.fixture(scope="module", params=VERSIONS, ids=str)
def installation(request: pytest.FixtureRequest) -> Installation:
    if request.param is None:
        pytest.skip(SKIPPED)
    found: Installation = request.param
    return found
