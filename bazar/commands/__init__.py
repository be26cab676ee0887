"""One operator's command per file; the first line of its docstring is its help."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Protocol

from bazar.client import Client
from bazar.config import Config


@dataclass(frozen=True, slots=True)
class Shop:
    """A running cluster, as its operator reaches it."""

    config: Config
    client: Client


class Command(Protocol):
    """What a command's module has."""

    __doc__: str | None

    def add_flags(self, parser: argparse.ArgumentParser) -> None: ...

    async def run(self, shop: Shop, flags: argparse.Namespace) -> int:
        """Print what it does; the exit code."""


class Standalone(Protocol):
    """What the module of a command has that needs no shop."""

    __doc__: str | None

    def add_flags(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, flags: argparse.Namespace) -> int:
        """Print what it does; the exit code."""
