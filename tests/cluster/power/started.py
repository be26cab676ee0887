"""What a shop that is started on the files of a state answers and holds."""

from __future__ import annotations

import json
import random
import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tests.cluster.client import HTTPClient
from tests.cluster.cluster import Cluster, until
from tests.cluster.commands import command
from tests.cluster.load import Bought, purchase
from tests.cluster.power.disk import State
from tests.cluster.power.stage import (
    BOOKS,
    DOOR,
    FIRST_STOCK,
    PATIENCE_S,
    STOCK,
    Recording,
    write_state,
)

LATEST, EARLIER, IN_FLIGHT = 10, 5, 6  # purchases that are asked for again
COUNT = "SELECT count(*) FROM {}"


async def faults(state: State, recording: Recording, cut: int, place: Path) -> list[str]:
    """Return what is wrong with the shop that starts on `state` in `place`, an empty directory. It
    must open, know each acknowledged purchase once, and everything must add up."""
    shop = Cluster(place, settings=recording.settings)
    write_state(place, state)
    found: list[str] = []
    try:
        async with shop:
            try:
                found += await _live(shop, recording, cut)
            except (AssertionError, OSError) as error:
                found.append(f"{type(error).__name__}: {error}")
    except AssertionError as error:  # a traceback in its log
        found.append(str(error))
    return found


async def _live(shop: Cluster, recording: Recording, cut: int) -> list[str]:
    await shop.start_supervised(wait=False)
    await shop.ready(deadline_s=PATIENCE_S)
    acknowledged = recording.acknowledged(cut)
    found = []
    async with shop.client(DOOR) as client:
        for one in _some(acknowledged):
            found += await _asked_again(client, one)
        for one in recording.in_flight(cut)[:IN_FLIGHT]:
            answers = [await purchase(client, one.book, one.key) for _ in range(2)]
            if len({(answer.status, answer.json.get("order_id")) for answer in answers}) != 1:
                found.append(f"{one.key}, which was in flight, is answered {answers}")
        new = await purchase(client, BOOKS[0], secrets.token_hex(8))
        if new.status != 200:
            found.append(f"a new purchase: {new}")
    first = FIRST_STOCK if cut < recording.stocked_at else {}
    stocks = {book: {STOCK, first.get(book, STOCK)} for book in BOOKS}
    found += await adds_up(shop, acknowledged, stocks)
    if "is damaged" in shop.log("cluster") and not recording.hurt:
        found.append("a file is taken for damaged")
    return found


def _some(acknowledged: Sequence[Bought]) -> list[Bought]:
    """Return the latest, and a few of those before."""
    earlier = acknowledged[:-LATEST]
    some = random.Random(len(acknowledged)).sample(earlier, min(len(earlier), EARLIER))
    return [*some, *acknowledged[-LATEST:]]


async def _asked_again(client: HTTPClient, one: Bought) -> list[str]:
    """Return what differs from the buyer's first answer."""
    found = []
    order = await client.get(f"/orders/{one.order_id}")
    if order.status != 200:
        found.append(f"order {one.order_id} of {one.key}: {order}")
    again = await purchase(client, one.book, one.key)
    was = {"order_id": one.order_id, "new_count": one.new_count, "replayed": True}
    if again.status != 200 or not was.items() <= again.json.items():
        found.append(f"{one.key} was answered {was}, and now {again}")
    return found


async def adds_up(
    shop: Cluster, acknowledged: Sequence[Bought], stocks: Mapping[int, Collection[int]]
) -> list[str]:
    """Return what is wrong in the files of a shop to which no client writes. Everything
    acknowledged must be there, every sale must be one order, and what was sold must be missing from
    one of `stocks`."""
    catalog = await shop.same_rows("catalog")
    await until(
        lambda: (
            shop.query("order-1", COUNT.format("orders"))
            == shop.query("catalog-1", COUNT.format("sales"))
        ),
        "every sale is an order",
    )
    orders = await shop.same_rows("order")
    sales = {key: order_id for order_id, key, *_ in catalog["sales"]}
    found = [
        f"{one.key} was acknowledged as {one.order_id}, and is {sales.get(one.key)}"
        for one in acknowledged
        if sales.get(one.key) != one.order_id
    ]
    if sorted(sales.values()) != sorted(order_id for order_id, *_ in orders["orders"]):
        found.append(f"{len(sales)} sales are not {len(orders['orders'])} orders")
    sold: Counter[int] = Counter()
    for *_, lines in catalog["sales"]:
        for line in json.loads(lines):
            sold[line["book"]] += line["quantity"]
    counts: dict[int, int] = dict(shop.query("catalog-1", "SELECT id, count FROM books"))
    for book, stock in stocks.items():
        if counts[book] + sold[book] not in stock:
            found.append(f"of book {book} {counts[book]} are left, {sold[book]} sold: not {stock}")
    verified = await command(shop, "verify")
    if verified.returncode != 0:
        found.append(f"python -m bazar verify: {verified.stdout}{verified.stderr}")
    return found
