"""The rows of one server in all the versions that a snapshot may still ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
"""Column -> value. A row is never changed: another one takes its place."""
Key = tuple[str, Any]
"""A table, and the primary key of a row there."""
Changes = Mapping[Key, Row | None]


class Commit:
    """One transaction in the WAL: rows as they are after it, None for those that are gone."""

    __slots__ = ("changes",)

    def __init__(self, changes: Changes) -> None:
        self.changes = changes


class Version:
    """A row from one commit on."""

    __slots__ = ("older", "row", "since")

    def __init__(self, since: int, row: Row | None, older: Version | None) -> None:
        self.since, self.row, self.older = since, row, older


class Versions:
    """The rows that a server shows. Its *moments* count the commits that it has shown: a commit
    becomes visible as a whole, at a primary not always in the order of the WAL."""

    def __init__(self) -> None:
        self.moment = 0
        self.held: dict[object, int] = {}
        """The moments that somebody may read again, by who holds them."""
        self._tables: dict[str, dict[Any, Version]] = {}

    def show(self, changes: Changes) -> None:
        """Make a commit visible."""
        oldest = min(self.held.values(), default=self.moment)
        self.moment += 1
        for (table, key), row in changes.items():
            rows = self._tables.setdefault(table, {})
            rows[key] = version = Version(self.moment, row, rows.get(key))
            while version.older is not None and version.since > oldest:
                version = version.older
            version.older = None  # nobody sees what lies before that

    def newest(self, key: Key) -> Row | None:
        """Return a row as it was committed last."""
        version = self._tables.get(key[0], {}).get(key[1])
        return None if version is None else version.row

    def at(self, key: Key, moment: int) -> Row | None:
        version = self._tables.get(key[0], {}).get(key[1])
        while version is not None and version.since > moment:
            version = version.older
        return None if version is None else version.row

    def rows(self, table: str, moment: int) -> Iterator[tuple[Any, Row]]:
        """Yield the keys and rows of a table."""
        for key, newest in self._tables.get(table, {}).items():
            version: Version | None = newest
            while version is not None and version.since > moment:
                version = version.older
            if version is not None and version.row is not None:
                yield key, version.row


class View:
    """What one statement sees: the commits up to a moment, and its own transaction's writes from
    before the statement."""

    __slots__ = ("_moment", "_own", "_versions")

    def __init__(self, versions: Versions, moment: int, own: Changes) -> None:
        self._versions, self._moment = versions, moment
        self._own = dict(own)

    def get(self, table: str, key: Any) -> Row | None:
        if (table, key) in self._own:
            return self._own[table, key]
        return self._versions.at((table, key), self._moment)

    def rows(self, table: str) -> list[tuple[Any, Row]]:
        """Return the keys and rows of a table."""
        found = self._versions.rows(table, self._moment)
        if not self._own:
            return list(found)
        merged = dict(found)
        for (other, key), row in self._own.items():
            if other == table:
                if row is None:
                    merged.pop(key, None)
                else:
                    merged[key] = row
        return list(merged.items())
