"""Mutants that no test can distinguish from the original, each with the reason.

They are named by file, function and text, not by line. If the text is no longer in the code, the
entry is stale, and makes the command fail.
"""

from __future__ import annotations

from tests.mutants.equivalents import calls, handlers, protocol, shop_over_database, storage

ALL = (*protocol.ALL, *shop_over_database.ALL, *calls.ALL, *storage.ALL, *handlers.ALL)
