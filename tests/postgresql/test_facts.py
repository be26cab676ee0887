"""What PostgreSQL does, by every major version of it that is on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.facts import ALL, SPOILING, Fact, check
from tests.postgresql.installations import SKIPPED, Installation, installations
from tests.postgresql.lab import RealLab
from tests.postgresql.servers import Place

VERSIONS: list[Installation | None] = [*installations()] or [None]


def name(fact: Fact) -> str:
    return fact.__name__


@pytest.fixture(scope="module", params=VERSIONS, ids=str)
def installation(request: pytest.FixtureRequest) -> Installation:
    if request.param is None:
        pytest.skip(SKIPPED)
    found: Installation = request.param
    return found


def pair(installation: Installation) -> Iterator[RealLab]:
    with Place(installation) as place:
        one = place.primary("one")
        yield RealLab(one, place.standby("two", one, synchronous=True))


lab = pytest.fixture(scope="module")(pair)
spoiled_lab = pytest.fixture(pair)


@pytest.mark.parametrize("fact", [fact for fact in ALL if fact not in SPOILING], ids=name)
async def test_fact(lab: RealLab, fact: Fact) -> None:
    await check(fact, lab)


@pytest.mark.parametrize("fact", SPOILING, ids=name)
async def test_spoiling_fact(spoiled_lab: RealLab, fact: Fact) -> None:
    await check(fact, spoiled_lab)
