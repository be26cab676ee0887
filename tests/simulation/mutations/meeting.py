"""Mutations of what keeps two clusters of one configuration apart."""

from __future__ import annotations

from functools import partial

from bazar.replication.file_arbiter import FileArbiter
from bazar.replication.knocking import Knocking
from bazar.replication.primary import Primary
from bazar.replication.replica import Replica
from bazar.replication.subscriber import Subscriber
from handlers.frontend.upstream import Source
from tests.simulation.mutations.mutation import mutation, shop

astray = partial(mutation, focus="strays")

MEETING = (
    astray(
        "an arbiter's id is its machine's",
        "A1",
        (FileArbiter, "id", "{machine} {where.st_dev} {where.st_ino}", "{machine}"),
    ),
    astray(
        "who is under another arbiter is taken",
        "A2",
        (Primary, "_hello", "if hello.arbiter not in (None, self.arbiter):", "if False:"),
        (Subscriber, "receive", "if self.arbiter not in (None, message.arbiter):", "if False:"),
    ),
    shop(
        "a front end does not say whom it follows",
        "A2",
        (Source, "_arbiter", "return None if arbiter is None else arbiter.digest", "return None"),
        focus="strays",
        near=1,
    ),
    shop(
        "a replica answers who follows another cluster",
        "A2",
        (Replica, "refuse_other", "if arbiter not in (None, self.home.digest):", "if 0:"),
        focus="strays",
        near=1,
    ),
    astray(
        "a node leads without having asked",
        "A3",
        (
            Replica,
            "_live",
            "await self._knocking.must_be_alone(founding=self.candidate.membership() is None)",
            "pass",
        ),
    ),
    astray(
        "a primary looks for nobody",
        "A3",
        (
            Knocking,
            "look_for_others",
            "[peer for peer in self.peers if peer.name not in here]",
            "()",
        ),
        near=3,
    ),
    astray(
        "of two primaries both go on",
        "A3",
        (
            Primary,
            "meet",
            "if theirs.leads is None or mine > (theirs.leads, theirs.arbiter):",
            "if True:",
        ),
        near=3,
    ),
)
