"""Show every node: who is primary, who is in sync, leases and lag."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import Any

from bazar.cli import Shop
from bazar.config import NodeConfig
from bazar.errors import BazarError, OtherToken, Unavailable, Untrusted
from bazar.node.status import STATUS_PATH, Status, Statuses, is_well, primary_of, processes
from bazar.table import table

TIMEOUT_S = 2.0
HEADER = ("node", "role", "state", "epoch", "seq", "in sync", "lease", "lag")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="all that the nodes tell, as JSON")


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Print every node's state. Return 1 if a node, or a database's server, does not answer, if a
    node is not in sync, or if the shop can't sell."""
    nodes = list(shop.config.nodes.values())
    statuses, strangers = await _ask_all(shop)
    told = [status for status in statuses.values() if status is not None]
    if flags.json:
        print(json.dumps(statuses, indent=1))
    else:
        print(table([HEADER, *(row for node in nodes for row in rows(node, statuses))]))
        for why in strangers:
            print(why)
        for status in told:
            if "waits_for" in status:
                print(f"{status['node']} seeks a primary: {status['waits_for']}")
            for link in status.get("links", ()):
                print(f"{status['node']}: {_told(link)}")
            if "foreign" in status:
                print(f"{status['node']}: no sale is made: {status['foreign']}")
    served = True
    if shop.config.engine.kind == "postgresql" and not flags.json:
        served = await _show_servers(shop)
    sells = not any("foreign" in status for status in told)
    return 0 if served and sells and all(is_well(node, statuses) for node in nodes) else 1


def _told(link: Mapping[str, Any]) -> str:
    """Return how a link is that somebody disturbs, from the page of the cluster."""
    ms = link["delay_ms"]
    how = "cut" if ms is None else f"slow, by {ms} ms in each direction,"
    return f"its link to {link['to']} is {how} for {link['left_s']:.0f} s more"


async def _show_servers(shop: Shop) -> bool:
    """Print who takes writes, and how far behind the others are. Return whether all is well."""
    from storage.postgresql import shop as databases

    well = True
    for roles, standbys in databases.standbys(shop.config).items():
        try:
            found = await standbys.look()
        finally:
            await standbys.close()
        for one in found:
            print(f"database of {roles}: {one}")
        well &= any(one.writes for one in found) and not any(one.trouble for one in found)
    return well


async def ask_all(shop: Shop) -> Statuses:
    """Return the status of each node, None for one that does not answer."""
    statuses, _ = await _ask_all(shop)
    return statuses


async def is_open(shop: Shop, role: str) -> bool:
    """Return whether a node of this role answers: so a shop that is closed is told at once. Raises
    Unavailable where only nodes do that are another shop's, or don't trust us."""
    statuses, strangers = await _ask_all(shop)
    found = any(statuses[node.name] for node in shop.config.group(role))
    if strangers and not found:
        raise Unavailable("; ".join(strangers))
    return found


def closed(shop: Shop, role: str) -> Unavailable:
    """Return the refusal of what needs an open shop."""
    ports = ", ".join(str(node.port) for node in shop.config.group(role))
    return Unavailable(f"no {role} node answers on port {ports}: start the shop. Nothing was sent")


async def _ask_all(shop: Shop) -> tuple[Statuses, list[str]]:
    """Return the same, and what is to be said of nodes that have another token, or that we don't
    trust, or they us."""
    nodes = shop.config.nodes
    strangers: list[str] = []

    async def ask(node: NodeConfig) -> Status | None:
        try:
            status: Status = await shop.client.call(node, STATUS_PATH, None, TIMEOUT_S)
        except (OtherToken, Untrusted) as error:
            strangers.append(str(error))
            return None
        except BazarError:
            return None
        return status

    found = await asyncio.gather(*map(ask, nodes.values()))
    return dict(zip(nodes, found, strict=True)), sorted(strangers)


def rows(node: NodeConfig, statuses: Statuses) -> list[tuple[str, ...]]:
    """Return a node's rows: one, or for a front end one for each group that it caches."""
    status = statuses[node.name]
    if status is None:
        return [(node.name, node.role, "does not answer", "-", "-", "-", "-", "-")]
    if "sources" in status:
        return [
            (one["node"], f"cache of {role}", *_following(role, source, statuses))
            for one in processes(status)
            for role, source in one["sources"].items()
        ]
    primary = primary_of(node.role, statuses)
    in_sync = "-" if primary is None else "yes" if node.name in primary["members"] else "no"
    if "members" in status:
        waits_s = status["waits_s"]
        state = f"primary, waits {waits_s:.1f} s" if waits_s else "primary"
        return [_row(node, state, status, in_sync, "-", "0")]
    state, epoch, seq, _, lease, lag = _following(node.role, status, statuses)
    return [(node.name, node.role, state, epoch, seq, in_sync, lease, lag)]


def _row(node: NodeConfig, state: str, status: Status, *rest: str) -> tuple[str, ...]:
    return (node.name, node.role, state, str(status["epoch"]), str(status["committed"]), *rest)


def _following(
    role: str, status: Status, statuses: Statuses
) -> tuple[str, str, str, str, str, str]:
    primary = primary_of(role, statuses)
    lag = "-" if primary is None else str(max(primary["committed"] - status["committed"], 0))
    state = f"follows {status['primary']}" if status["primary"] else "seeks a primary"
    lease = f"{status['lease_s']:.2f} s" if status["lease_s"] > 0 else "none"
    return state, str(status["epoch"]), str(status["committed"]), "-", lease, lag
