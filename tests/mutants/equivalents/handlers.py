"""Of the handlers."""

from __future__ import annotations

from tests.mutants.equivalent import Equivalent

ALL = (
    Equivalent(
        "handlers/catalog/writes.py",
        "SoldLines._is_sure",
        'and type(line.get("cost", 0)) is int',
        'and type(line.get("cost", 1)) is int',
        "where there is no cost, any number within the bounds is as good",
    ),
    Equivalent(
        "handlers/catalog/writes.py",
        "SoldLines._is_sure",
        'and 0 <= line.get("cost", 0) <= MAX_AMOUNT',
        'and 0 <= line.get("cost", 1) <= MAX_AMOUNT',
        "where there is no cost, any number within the bounds is as good",
    ),
    Equivalent(
        "handlers/orders/service.py",
        "OrderService._tracing",
        "if self._traces is not None and self.context.clock() >= self._traces.until:",
        "if self._traces is not None and self.context.clock() > self._traces.until:",
        "the bound is chosen: its very moment may lie on either side",
    ),
)
