"""One operator's command per file; the first line of its docstring is its help."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Protocol

from bazar.config import Config
from bazar.errors import Conflict
from bazar.node.token import cluster_token
from bazar.rpc.client import RPCClient


def this_program() -> list[str]:
    """Return the command line that runs these commands from a shell, with this Python."""
    python = Path(sys.executable)
    with contextlib.suppress(ValueError):
        python = python.relative_to(Path.cwd())
    return [str(python), "-m", "bazar"]


def over_files(config: Config, why: str) -> None:
    """Refuse a command that is about the files of a group where the state is in a database. Raises
    Conflict, which says why there is nothing to do."""
    if config.engine.kind != "sqlite":
        raise Conflict(f"{config.path}: the shop is in PostgreSQL: {why}")


class Shop:
    """A running cluster, as its operator reaches it. The client is made on first use, so that a
    command that asks no node needs no token. A `with` closes its connections."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._client: RPCClient | None = None

    @property
    def client(self) -> RPCClient:
        if self._client is None:
            self._client = RPCClient(cluster_token(self.config))
        return self._client

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *error: object) -> None:
        if self._client is not None:
            self._client.close()


class Command(Protocol):
    """The interface of a command's module."""

    __doc__: str | None

    def add_flags(self, parser: argparse.ArgumentParser) -> None: ...

    async def run(self, shop: Shop, flags: argparse.Namespace) -> int:
        """Print the result; return the exit code."""


class Standalone(Protocol):
    """The interface of a command's module that needs no shop."""

    __doc__: str | None

    def add_flags(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, flags: argparse.Namespace) -> int:
        """Print the result; return the exit code."""
