"""What PostgreSQL does, by every major version of it that is on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.facts import ALL, SPOILING, Fact, check
from tests.postgresql.installations import Installation
from tests.postgresql.lab import RealLab
from tests.postgresql.servers import Place


def name(fact: Fact) -> str:
    return fact.__name__


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
