"""Of what is kept in files."""

from __future__ import annotations

from tests.mutants.equivalent import Equivalent

STORE = "storage/sqlite/replicated_store.py"
SEARCH = "storage/sqlite/search.py"

ALL = (
    Equivalent(
        STORE,
        "ReplicatedStore._commit",
        "if last is not None and last.seq > self.last.seq:",
        "if last is not None and last.seq >= self.last.seq:",
        "what is noted already is noted once more",
    ),
    Equivalent(
        STORE,
        "ReplicatedStore._commit",
        "if last is not None and last.seq < self.last.seq:",
        "if last is not None and last.seq <= self.last.seq:",
        "what is noted already is noted once more",
    ),
    Equivalent(
        "storage/sqlite/compare.py",
        "compare_sales",
        "while catalog.look().seq < seq_of(cursor.number) and time.monotonic() < deadline:",
        "while catalog.look().seq < seq_of(cursor.number) and time.monotonic() <= deadline:",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        "storage/catalog.py",
        "Catalog._cancel",
        "if known is not None and not back:",
        "if True and not back:",
        "of a sale of which nothing is cancelled a copy comes back, as every line has one at least",
    ),
    Equivalent(
        "storage/orders.py",
        "OrderReader.sold",
        'self, since: int, before: Place, limit: int, *, beginning: str = "",'
        " cancelled: bool = False",
        'self, since: int, before: Place, limit: int, *, beginning: str = "",'
        " cancelled: bool = True",
        "the default of a protocol is a declaration: what has the method has its own",
    ),
    Equivalent(
        "storage/sqlite/catalog.py",
        "load",
        '[highest] = select(HIGHEST) if wanted.topics else [{"book": 0, "topic": 0}]',
        '[highest] = select(HIGHEST) if wanted.topics else [{"book": 1, "topic": 0}]',
        "whoever makes a book names its topic: without one no number is given",
    ),
    Equivalent(
        "storage/sqlite/catalog.py",
        "load",
        '[highest] = select(HIGHEST) if wanted.topics else [{"book": 0, "topic": 0}]',
        '[highest] = select(HIGHEST) if wanted.topics else [{"book": 0, "topic": 1}]',
        "whoever makes a topic names it: without one no number is given",
    ),
    Equivalent(
        "storage/sqlite/replica_file.py",
        "ReplicaFile.__init__",
        'f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_S',
        'f"{path.absolute().as_uri()}?mode=ro", uri=False, isolation_level=None, timeout=BUSY_S',
        "Debian builds its SQLite so that every name may be a URI",
    ),
    Equivalent(
        "storage/sqlite/replica_file.py",
        "ReplicaFile.other_version",
        'todo = "start it with this program first" if made < known else "use its own program"',
        'todo = "start it with this program first" if made <= known else "use its own program"',
        "where both are the same it has returned",
    ),
    Equivalent(
        SEARCH,
        "find",
        "search.order.by, search.sign, search.edge, search.limit + 1, skip=search.skip",
        "search.order.by, search.sign, search.edge, search.limit + 2, skip=search.skip",
        "one more book is read, and not shown",
    ),
    Equivalent(
        SEARCH,
        "_by_number",
        '"wanted": search.limit + 1,',
        '"wanted": search.limit + 2,',
        "one more book is read, and not shown",
    ),
    Equivalent(
        SEARCH,
        "_by_number",
        '"most": paging.COUNTED + 1,',
        '"most": paging.COUNTED + 2,',
        "one more book is counted, and no more than COUNTED are told of",
    ),
    Equivalent(
        STORE,
        "ReplicatedStore.__init__",
        "self._synced = True # whether a commit is fsynced before it returns",
        "self._synced = False # whether a commit is fsynced before it returns",
        "the first transaction says once more what opening the database has said",
    ),
    Equivalent(
        STORE,
        "ReplicatedStore._load",
        "if store.last.seq > Reached.read(database.path):",
        "if store.last.seq >= Reached.read(database.path):",
        "what is noted already is noted once more",
    ),
    Equivalent(
        "storage/sqlite/catalog.py",
        "SQLiteCatalogReader.changes",
        'found.sort(key=itemgetter("seq"))',
        "pass",
        "SQLite leaves the rows of the last part in the order of that, which SQL does not promise",
    ),
)
