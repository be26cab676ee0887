"""Mutations that seeds meet too seldom to rely on: `test_rare` plays them by hand."""

from __future__ import annotations

from bazar.replication.primary import Primary
from bazar.replication.replica_subscriber import ReplicaSubscriber
from bazar.replication.tenure import Tenure
from handlers.orders.service import OrderService
from storage.catalog import Catalog
from storage.orders import Orders
from tests.simulation.mutations.mutation import mutation

RARE = (
    mutation(
        "cancelled, and called unavailable",
        "R5",
        (OrderService, "_cancelled", "raise Indeterminate(", "raise Unavailable("),
    ),
    mutation(
        "a hello before the disk is quiet",
        "J1",
        (ReplicaSubscriber, "connected", "return [] if self._writing else", "return"),
    ),
    mutation(
        "one that has said hello is not heard",
        "J5",
        (
            Primary,
            "_is_proved",
            "(now >= self.not_before and not unheard)",
            "now >= self.not_before",
        ),
    ),
    mutation(
        "a member's longer tail is not waited for",
        "T3",
        (Tenure, "_is_proved", "(not feed.heard or feed.awaited)", "not feed.heard"),
    ),
    mutation(
        "the cursor is not looked at",
        "S2",
        (Orders, "_decide", 'if Position.of(operation["after"]) != work.cursor:', "if False:"),
    ),
    mutation(
        "of a sale's cancellations the last is kept alone",
        "S6",
        (
            Catalog,
            "_cancel",
            'work.put["earlier_cancellations"] = [cancellation_row(known)]',
            "pass",
        ),
    ),
    mutation(
        "a clean end that was put back is believed",
        "T5",
        (Primary, "take_over", "0.0 if skip else", "0.0 if membership.clean else"),
        (
            Primary,
            "_is_proved",
            "return self._is_complete or",
            "return True or",
        ),
    ),
)
