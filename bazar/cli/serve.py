"""Run the shop: every node of cluster.json, supervised, or one node, as run.py does."""

from __future__ import annotations

import argparse

import run as program


def add_flags(parser: argparse.ArgumentParser) -> None:
    program.add_flags(parser)


def run(flags: argparse.Namespace) -> int:
    """Serve. Return 0 after an orderly stop, 3 or 78 if a node had to give up."""
    return program.serve_by(flags)
