"""Take the samples away, with which a shop begins, while nothing was sold."""

from __future__ import annotations

import argparse

from bazar.cli import Shop
from bazar.cli.catalog import CatalogWriter
from bazar.cli.importing.report import money
from bazar.cli.status import closed, is_open
from bazar.errors import Conflict

SAMPLES_PATH = "/samples"
INSTEAD = (
    "Retire each of them, and nobody finds or buys it any more: on its page below /keeper/books, or"
    ' by PUT /update/<id> with {"retired": true}. For a shop that never had them name another place'
    " in cluster.json, one where no shop is, start it there with --empty, and import your list anew"
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    pass


async def run(shop: Shop, flags: argparse.Namespace) -> int:
    """Have the catalog take them away, all at one moment, and print what went, and what stays."""
    catalog = CatalogWriter(shop)
    if not await is_open(shop, "catalog"):
        raise closed(shop, "catalog")
    try:
        answer = await catalog.write(SAMPLES_PATH, method="DELETE")
    except Conflict as error:
        raise Conflict(f"{error}. {INSTEAD}") from error
    for name, what in (("removed", "is taken away"), ("kept", "was changed, and stays")):
        for book in answer[name]:
            shown = f"{book['title']!r}, {money(book['cost'])}, {book['count']} in stock"
            print(f"book {book['id']} {what}: {shown}")
    if not answer["removed"]:
        print("There are no samples to take away.")
    return 0
