"""Have the orders follow the catalog's history as it is now, where the two differ.

They differ when one of the two was put back to an earlier moment, or lost its end (S5). If the
other can be put back to the same moment, nothing is lost, and there is nothing to adopt.
"""

from __future__ import annotations

import argparse
from typing import Any

from bazar.cli import Shop
from bazar.cli.status import ask_all
from bazar.errors import Unavailable
from bazar.node.status import primary_of
from handlers.paths import ADOPT_PATH, STANDING_PATH
from storage.history import Position

TIMEOUT_S = 30.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="do it; else only say what it costs")


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Print what is lost, and with `--force` adopt. Return 1 if that is needed and was not done."""
    primary = primary_of("order", await ask_all(shop))
    if primary is None:
        raise Unavailable("no order replica is primary: is the shop running?")
    node = shop.config.nodes[primary["node"]]
    standing = await shop.client.submit(node, STANDING_PATH, {}, TIMEOUT_S)
    if standing["follows"]:
        print("The orders follow the catalog's history: there is nothing to adopt.")
        return 0
    _tell(standing)
    if not flags.force:
        print("Nothing is changed. With --force the orders follow the catalog from there.")
        return 1
    chosen = {name: standing[name] for name in ("cursor", "common", "behind")}
    await shop.client.submit(node, ADOPT_PATH, chosen, TIMEOUT_S)
    print("The orders follow the catalog from there.")
    return 0


def _tell(standing: dict[str, Any]) -> None:
    """Print what was found, and what is lost."""
    common = Position.of(standing["common"])
    print(
        f"The orders follow up to {Position.of(standing['cursor'])}; the catalog has no such entry."
    )
    print(f"The last sale that both have is {common if common.number else 'none'}.")
    lost, shown = standing["lost"], standing["orders"]
    print(
        f"Orders that were made or cancelled behind it: {lost}. They stay as they are. Where their"
    )
    print(
        "sale is lost the copies are in stock again, and where what was cancelled is lost they are"
    )
    print("not: look after these orders by hand. Once they have adopted, `verify` names them.")
    for order in shown:
        lines = ", ".join(f"{line['quantity']} × {line['title']}" for line in order["lines"])
        back = sum(line["quantity"] for line in order.get("cancelled", ()))
        also = f", {back} cancelled" if back else ""
        print(f"  {order['order_id']}  {order['sold_at']}  {lines}{also}")
    if lost > len(shown):
        print(f"  … and {lost - len(shown)} more: GET /orders?after={shown[-1]['change']}")
