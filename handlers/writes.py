"""Operations that other nodes send, read as strictly as what comes from outside: what is none would
fail the whole batch that it gets into, or the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bazar.config import MAX_UNDO_S
from bazar.errors import BadRequest
from bazar.replication.store import Operation
from handlers.kinds import Choice, Integer, Kind, Object, OfType, Schema, Schemas
from handlers.validation import IDEMPOTENCY_KEY
from storage.history import Position


class PositionInLog(Kind):
    """A position in another group's log, as JSON has it."""

    def __call__(self, value: Any, place: str) -> Any:
        try:
            Position.of(value)
        except ValueError as error:
            raise BadRequest(f"{place}: {error}") from None
        return value

    def schema(self, shared: Schemas) -> Schema:
        return {"type": "object", "required": ["number", "id"]}


POSITION = PositionInLog()
BUYER = Object("Buyer", {"key": IDEMPOTENCY_KEY, "within_ms": Integer(0, 1000 * MAX_UNDO_S)})
"""Who undoes a purchase: the sale's key, and how long after the sale that may be (S6)."""


def operation(op: str, fields: Mapping[str, Kind], *optional: str) -> Object:
    """Return what an operation of this name must be. Any may want to be told of (`tell`)."""
    fields = {"op": Choice(op), **fields, "tell": OfType("boolean")}
    return Object(op, fields, optional=(*optional, "tell"))


def read(kinds: Mapping[str, Object], item: Mapping[str, Any]) -> Operation:
    """Return the operation that an item is. Raises BadRequest."""
    kind = kinds.get(str(item.get("op")))
    if kind is None:
        raise BadRequest(f"no such write: {str(item)[:100]}")
    return kind(item, "item")
