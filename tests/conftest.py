"""What all tests have in common: none depends on how fast the machine is."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgresql.fixtures"]

# By default an example fails that takes longer than 0.2 s, or is slow to make up.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and how to have it."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.items():
        terminalreporter.write_line(
            f"left out: {count} {'test' if count == 1 else 'tests'}: {reason}"
        )
