"""PostgreSQL servers for any test: it is skipped, with the reason, where there is none."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.postgresql.installations import SKIPPED, Installation, installations
from tests.postgresql.servers import Place, Server


@pytest.fixture(scope="session")
def postgresql_installation() -> Installation:
    """The newest PostgreSQL that is on this machine."""
    found = installations()
    if not found:
        pytest.skip(SKIPPED)
    return found[0]


@pytest.fixture(scope="session")
def postgresql_server(postgresql_installation: Installation) -> Iterator[Server]:
    """A plain server for all tests of this run, who leave it running and its settings alone."""
    with Place(postgresql_installation) as place:
        yield place.primary("plain")


@pytest.fixture
def postgresql_database(postgresql_server: Server) -> Iterator[str]:
    """Yield how to connect to a new, empty database of the plain server."""
    name = f"test_{secrets.token_hex(6)}"
    postgresql_server.ask(f"CREATE DATABASE {name}")
    yield postgresql_server.database(name)
    postgresql_server.ask(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql_pair(postgresql_installation: Installation) -> Iterator[tuple[Server, Server]]:
    """Yield a primary and its synchronous streaming standby, for one test to do with as it
    likes."""
    with Place(postgresql_installation) as place:
        one = place.primary("one")
        yield one, place.standby("two", one, synchronous=True)
