"""The table of a group's history in SQLite: its schema, and what is read of it."""

from __future__ import annotations

HISTORY_SCHEMA = """
CREATE TABLE history (epoch INTEGER PRIMARY KEY, id TEXT NOT NULL, behind INTEGER NOT NULL);
DELETE FROM meta WHERE name = 'checksum'
"""

# The newest comes along: it says that an epoch beyond it is unknown here.
EPOCHS_SINCE = (
    "SELECT epoch, id, behind FROM history"
    " WHERE epoch >= ? OR epoch = (SELECT MAX(epoch) FROM history) ORDER BY epoch"
)
