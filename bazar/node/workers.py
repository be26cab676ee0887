"""Several processes for one front end, each with a cache and a lease of its own.

They share the node's port (SO_REUSEPORT: the kernel distributes the connections). Each also has a
private port on the loopback interface, where its siblings and the supervisor reach it alone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from bazar.config import NodeConfig

VARIABLE = "BAZAR_PROCESS"


def private(node: NodeConfig, number: int, port: int) -> NodeConfig:
    """Return one process of a node as a node of its own."""
    name = f"{node.name}.{number}"
    return dataclasses.replace(
        node, name=name, port=port, host="127.0.0.1", bind="127.0.0.1", tls=None, https=None
    )


def whose(process: str) -> str:
    """Return the name of the node that this process belongs to."""
    return process.partition(".")[0]


def labels_of(process: str) -> dict[str, str]:
    """Return how figures of this process are told from those of others."""
    node, _, number = process.partition(".")
    return {"node": node, "process": number} if number else {"node": node}


def environment(number: int, ports: Sequence[int]) -> dict[str, str]:
    """Return what process `number` (from 1) of those with these private ports needs to know."""
    return {VARIABLE: f"{number}:{','.join(map(str, ports))}"}


def placed(node: NodeConfig) -> tuple[NodeConfig, tuple[NodeConfig, ...]]:
    """Return the node under this process's own name, and its siblings."""
    given = os.environ.pop(VARIABLE, None)
    if given is None:
        return node, ()
    number, _, ports = given.partition(":")
    all_of_it = [private(node, n, int(port)) for n, port in enumerate(ports.split(","), start=1)]
    me = all_of_it.pop(int(number) - 1)
    return dataclasses.replace(node, name=me.name), tuple(all_of_it)
