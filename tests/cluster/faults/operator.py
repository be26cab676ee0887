"""The operator, who does what the shop says after files were put back, and checks the effect."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence

from tests.cluster.faults.shop import Shop
from tests.cluster.memory import Violation
from tests.cluster.moments import (
    cancelled_in,
    named_as_lost_in,
    orders_in,
    shown_cancelled_in,
    unsold_in,
)

BOOK = 2  # a book that is always in stock
NAMED = 20  # orders that `adopt` names
_numbers = itertools.count(1)


async def refuses_to_start(
    shop: Shop, groups: Sequence[str], sentence: Callable[[str], str]
) -> None:
    """Start the nodes of these groups, and check that each ends and says why. Raises Violation."""
    names = [name for group in groups for name in shop.cluster.group(group)]
    logs = {name: f"{name}-in-vain-{next(_numbers)}" for name in names}
    for name, log in logs.items():
        shop.launch(name, log)
    for name, log in logs.items():
        await shop.wait(lambda: shop.cluster.exit_code(log) is not None, f"{name} refuses")  # noqa: B023
        code, said = shop.cluster.exit_code(log), shop.cluster.log(log)
        wanted = sentence(shop.cluster.roles[name])
        if code != os.EX_CONFIG or wanted not in said:
            raise Violation(f"{name} ended with {code}, not {wanted!r}: {said[-1500:]}")


async def go_on(shop: Shop) -> bool:
    """Have the orders adopt the catalog's history if theirs is another; return whether it is. Check
    that until then nothing is sold that would get no order, and that clients are told why. Raises
    Violation."""
    orders, catalog = (
        shop.database(shop.cluster.group(group)[0]) for group in ("order", "catalog")
    )
    code, said = await _command(shop, "adopt", 0, 1)
    if code == 0:
        await shop.wait(lambda: not unsold_in(orders, catalog), "each order has its sale")
        return False
    unsold, before, known = unsold_in(orders, catalog), orders_in(orders), cancelled_in(catalog)
    shown = shown_cancelled_in(orders).items() - known.items()
    lost = unsold | {order for order, _ in shown} - named_as_lost_in(orders)
    shop.tell(f"the orders adopt the catalog's history; the catalog has lost some of {len(lost)}")
    behind = int(re.findall(r"made or cancelled behind it: (\d+)", said)[0])
    if not 0 < len(lost) <= behind or (behind <= NAMED and not all(id in said for id in lost)):
        raise Violation(f"adopt does not name what the catalog has lost, {lost}: {said}")
    await _all_refuse(shop)
    await _says(shop, "status", "no sale is made")
    told = [f"orders without a sale, {len(unsold)}:"] if unsold else []
    await _says(shop, "verify", "is not on the catalog's history", *told)
    await _command(shop, "adopt --force", 0)
    if missing := before - orders_in(orders):
        raise Violation(f"orders are gone with the adoption: {missing}")
    return True


async def _command(shop: Shop, words: str, *codes: int) -> tuple[int, str]:
    """Repeat a command until it ends with one of these codes: the primary may just be changing."""

    async def done() -> tuple[int, str] | None:
        code, said = await shop.command(*words.split())
        return (code, said) if code in codes else None

    found: tuple[int, str] = await shop.wait(done, f"{words} can be done")
    return found


async def _says(shop: Shop, command: str, *words: str) -> None:
    async def said() -> bool:
        code, text = await shop.command(command)
        return code == 1 and all(one in text for one in words)

    await shop.wait(said, f"{command} says {' and '.join(words)}")


async def _all_refuse(shop: Shop) -> None:
    for name in (*shop.cluster.group("order"), *shop.cluster.group("frontend")):

        async def refused() -> bool:
            key = f"operator-{next(_numbers)}"
            try:
                answer = await shop.cluster.put(name, f"/purchase/{BOOK}", key=key)  # noqa: B023
            except OSError:
                return False
            if answer.status == 200:
                raise Violation(f"{name} sells without an order: {answer}")  # noqa: B023
            told = answer.json
            return told["code"] == "foreign_history" and "python -m bazar adopt" in told["error"]

        await shop.wait(refused, f"{name} says that the orders' history is another")
