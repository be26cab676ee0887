"""Which nodes run on this machine, and whether they may be reached from others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bazar.addresses import is_loopback, is_own
from bazar.config import Config, NodeConfig
from bazar.errors import ConfigError

HOW = 'docs/operations.md, "Several machines"'


def here(config: Config, names: Sequence[str] | None = None) -> list[NodeConfig]:
    """Return the nodes with these names; without names those whose host is an address of this
    machine. Raises ConfigError if there is none."""
    if names is not None:
        for name in names:
            if name not in config.nodes:
                known = ", ".join(config.nodes)
                raise ConfigError(f"--nodes {name}: is not in {config.path}; known: {known}")
        return [node for node in config.nodes.values() if node.name in names]
    found = [node for node in config.nodes.values() if is_own(node.host)]
    if not found:
        hosts = ", ".join(dict.fromkeys(node.host for node in config.nodes.values()))
        raise ConfigError(
            f"{config.path}: no node has a host that is an address of this machine ({hosts}):"
            " name those that are to run here: --nodes NAME,NAME"
        )
    return found


def refuse_open_doors(config: Config) -> None:
    """Refuse a shop whose nodes call each other over a network that others may read, unless its
    operator has said so. A front end may do without TLS: it speaks to everybody, or a proxy has it.
    Raises ConfigError."""
    if config.insecure:
        return
    for node in config.nodes.values():
        if node.tls is None and node.role != "frontend" and not node.is_local:
            where = node.host if is_loopback(node.bind) else node.bind
            raise ConfigError(
                f"nodes.{node.name}: is reached from other machines ({where}), and without tls"
                " whoever is on the network between them can read the token, and change all there"
                f" is: make certificates ({HOW}), or say that nobody else is on it:"
                ' "insecure": true'
            )


def refuse_wrong_names(nodes: Iterable[NodeConfig]) -> None:
    """Refuse a certificate that is none of these nodes': their peers would. Raises ConfigError."""
    for node in nodes:
        if node.tls is not None:
            node.tls.require_name(node.host, f"nodes.{node.name}.host")
