"""schemathesis, let loose on one node: good and bad requests made from its description, and every
answer held to it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema
from schemathesis.openapi.checks import RejectedPositiveData

from bazar.replication.feed_client import FEED_PATH
from bazar.rpc.client import CALLS_PATH
from tests.described import formats

# Rules of which JSON Schema can't tell: what breaks one of them fits the description.
UNSAID = re.compile(
    r"topic: is missing \(or q"
    r"|since: is later than until|first day is after the last one"
    r"|after, \w+: one of them, not both"
    r"|sort: fit is an order of what words find"
    r"|offset: does not go with in_stock"
    r"|names no place in a list of books by"
    r"|lines\[\d+\]: book \d+ is in lines\[\d+\] already"
    r"|does not go with before"
    r"|: must be an integer"  # which 1.0 is to JSON Schema
    r"|quantity-\d+: is missing"
    r"|a price is such as|in two ways: type"
    r"|May the shop set a cookie"
    r"|There is no word in it|and a search has"
    r"|name=\"was-topic\"[\s\S]*class=\"wrong\""  # of what was touched in a keeper's form
    r"|holds the control character"
    r"|must be \* or a list of"  # schemathesis has a shape of its own for these two headers
)
# What takes a request's connection, never ends, kills nodes, or cuts them off.
NEVER_ASKED = (
    *(FEED_PATH, CALLS_PATH, "/cluster/events"),
    *("/cluster/nodes/{name}", "/cluster/links", "/links/{name}"),
)
REFUSED_RIGHTLY = ("2xx", "3xx", "401", "403", "404", "409", "412", "422")


@dataclass
class Outcome:
    """How many requests were answered, with which statuses, and what was not as described."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.requests += other.requests
        self.statuses += other.statuses
        self.failures += other.failures

    def __str__(self) -> str:
        statuses = ", ".join(
            f"{count}x {status}" for status, count in sorted(self.statuses.items())
        )
        return f"{self.requests} requests, {len(self.failures)} not as described ({statuses})"


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    return not (isinstance(failure, RejectedPositiveData) and UNSAID.search(response.text))


def run(url: str, token: str, *, seed: int, examples: int) -> Outcome:
    """Ask the node at `url` what its description says, with up to `examples` of each operation and
    kind."""
    formats.register()
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "continue-on-failure": True,
            "headers": {"Authorization": f"Bearer {token}"},
            "request-timeout": 60,
            "max-redirects": 0,
            "generation": {"max-examples": examples, "database": "none"},
            "checks": {"positive_data_acceptance": {"expected-statuses": list(REFUSED_RIGHTLY)}},
        }
    )
    described = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    schema = described.exclude(path=list(NEVER_ASKED))
    outcome = Outcome()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(event, outcome)
        elif isinstance(event, events.NonFatalError):
            outcome.failures.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return outcome


def _count(event: events.ScenarioFinished, outcome: Outcome) -> None:
    recorder = event.recorder
    for interaction in recorder.interactions.values():
        outcome.requests += 1
        if interaction.response is not None:
            outcome.statuses[interaction.response.status_code] += 1
    outcome.failures += _failures(recorder)


def _failures(recorder: Any) -> Iterator[str]:
    for checks in recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                info = check.failure_info
                yield f"{recorder.label}: {check.name}: {info.failure.message}\n{info.code_sample}"
