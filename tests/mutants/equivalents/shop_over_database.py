"""Of shops over one database."""

from __future__ import annotations

from tests.mutants.equivalent import Equivalent

SHOWN = "bazar/replication/shared/shown.py"
SHARED_REPLICA = "bazar/replication/shared/replica.py"

ALL = (
    Equivalent(
        SHOWN,
        "Shown.read",
        "if self._clock() >= deadline:",
        "if self._clock() > deadline:",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        SHARED_REPLICA,
        "SharedReplica._heed",
        "if self.clock() < self._heeds_from:",
        "if self.clock() <= self._heeds_from:",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        SHARED_REPLICA,
        "SharedReplica._lead",
        "self.disk = DiskWorker(self._write_out, self.disk.spent)",
        "pass",
        "a tenure has one effect written out at a time, taken as it is put: none is left behind",
    ),
    Equivalent(
        SHARED_REPLICA,
        "SharedReplica._still_leads",
        "return False",
        "return True",
        "all has been given up already: feeds are closed, and who writes effects out is cancelled",
    ),
    Equivalent(
        "storage/postgresql/connection.py",
        "Connection.run",
        "if self._failure is not None:",
        "if False:",
        "a connection that is closed says so when it is used, and the first reason is told",
    ),
    Equivalent(
        "storage/postgresql/search.py",
        "_find",
        "elif search.backwards:",
        "elif False:",
        "below all numbers, where it would begin on the way back, there is no book either",
    ),
    Equivalent(
        "storage/postgresql/temporary.py",
        "temporary",
        "await inside.close()",
        "pass",
        "whoever is connected is ended when the database is dropped",
    ),
)
