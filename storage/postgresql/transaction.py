"""How a transaction that writes begins, and what alone says that it is committed (P5)."""

from __future__ import annotations

from storage.postgresql.session import Broken, Reply, Statement

BEGIN = (
    Statement("BEGIN"),
    Statement("SET LOCAL synchronous_commit = on"),
    Statement("SET LOCAL client_min_messages = warning"),
)
COMMIT = Statement("COMMIT")
ROLLBACK = Statement("ROLLBACK")


def check_committed(reply: Reply) -> None:
    """Return if the reply's last statement has committed, and nothing was said beside. Raises
    Broken: a wait for the standby that was cancelled is told in a warning, and an aborted
    transaction in the tag."""
    if reply.results[-1].tag != "COMMIT" or reply.warnings:
        said = "; ".join((reply.results[-1].tag, *reply.warnings))
        raise Broken(f"a commit is in doubt: {said}")
