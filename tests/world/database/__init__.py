"""A simulated PostgreSQL: servers with snapshots, locks and WAL, below the product's own sessions.

    database = Database(world, ("db1", "db2", "db3"), synchronous=("db2",))
    database.create("CREATE TABLE bazar_order.mark (one boolean PRIMARY KEY DEFAULT true, …)", …)
    database.load({("bazar_order.mark", True): {"one": True, "epoch_id": "", "number": 0}})
    database.register("INSERT … FROM unnest($1, $2) …", lambda view, params: Written(…))
    servers = database.reached_by(process)

The last are what the product calls `Servers`, for the code of one process. Statements mean what
their text says (`sql`, `queries`, `writes`), so that a mutation of the product's SQL is a mutation
of what happens; what is too rich for that is answered by functions that are registered by its text.
`tests.facts` holds the whole against real servers.

What happens to a commit: WAL at the primary, on its disk, on a standby's disk; then, in any order,
shown at the standby, and confirmed to the primary, which shows it, gives back its locks, and tells
its client. Each step takes what the world's tape says (`pace`), and any server may die or hang in
between, any message be late. The methods of `Database` do the rest of what goes wrong.
"""

from __future__ import annotations

from tests.world.database.database import Database
from tests.world.database.expressions import Unknown
from tests.world.database.sql import Function, Written
from tests.world.database.versions import Changes, Row, View

__all__ = ["Changes", "Database", "Function", "Row", "Unknown", "View", "Written"]
