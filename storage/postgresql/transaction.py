"""How a transaction that writes begins, and what alone says that it is committed (P5)."""

from __future__ import annotations

from storage.postgresql.session import Broken, Reply, Statement

# All said here: a role, or a database, may have other defaults.
BEGIN = (
    Statement("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
    Statement("SET LOCAL synchronous_commit = on"),
    Statement("SET LOCAL client_min_messages = warning"),
)
COMMIT = Statement("COMMIT")
ROLLBACK = Statement("ROLLBACK")


def beginning(silence_s: float, wait_s: float) -> tuple[Statement, ...]:
    """Return how a transaction begins that others wait for: the server ends it once its client has
    said nothing for `silence_s` (whose process may be stopped), or a lock of another took longer
    than `wait_s` (whose client may be gone)."""
    silence_ms, wait_ms = int(1000 * silence_s), int(1000 * wait_s)
    return (
        *BEGIN,
        Statement(f"SET LOCAL idle_in_transaction_session_timeout = {silence_ms}"),
        Statement(f"SET LOCAL lock_timeout = {wait_ms}"),
    )


def check_committed(reply: Reply) -> None:
    """Return if the reply's last statement has committed, and nothing was said beside. Raises
    Broken: a wait for the standby that was cancelled is told in a warning, and an aborted
    transaction in the tag."""
    if reply.results[-1].tag != "COMMIT" or reply.warnings:
        said = "; ".join((reply.results[-1].tag, *reply.warnings))
        raise Broken(f"a commit is in doubt: {said}")
