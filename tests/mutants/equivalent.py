"""Mutants that no test can distinguish from the original, each with the reason.

They are named by file, function and text, not by line. If the text is no longer in the code, the
entry is stale, and makes the command fail.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Equivalent:
    """An equivalent mutant. `before` and `after` are the lines that change, as the command prints
    them."""

    file: str
    function: str
    before: str
    after: str
    reason: str

    @property
    def name(self) -> tuple[str, str, str, str]:
        return self.file, self.function, self.before, self.after


TENURE = "bazar/replication/tenure.py"
SUBSCRIBER = "bazar/replication/subscriber.py"
REPLICA = "bazar/replication/replica.py"
REPLICA_SUBSCRIBER = "bazar/replication/replica_subscriber.py"
FEED_CLIENT = "bazar/replication/feed_client.py"
FEED_SERVER = "bazar/replication/feed_server.py"
FILE_ARBITER = "bazar/replication/file_arbiter.py"
FRAMES = "bazar/rpc/frames.py"
CLIENT = "bazar/rpc/client.py"
BATCHER = "bazar/rpc/batcher.py"
SHOWN = "bazar/replication/shared/shown.py"
SHARED_REPLICA = "bazar/replication/shared/replica.py"
STORE = "storage/sqlite/replicated_store.py"
SEARCH = "storage/sqlite/search.py"

ALL: tuple[Equivalent, ...] = (
    Equivalent(
        TENURE,
        "Tenure.meet",
        "if theirs.leads is None or mine > (theirs.leads, theirs.arbiter):",
        "if theirs.leads is None or mine >= (theirs.leads, theirs.arbiter):",
        "both differ by their arbiter, or it would have returned before",
    ),
    Equivalent(
        SUBSCRIBER,
        "Subscriber.tick",
        "return self._renew(now) if now >= self.renew_at else []",
        "return self._renew(now) if now > self.renew_at else []",
        "a third of the lease is chosen: the next tick renews it",
    ),
    Equivalent(
        REPLICA_SUBSCRIBER,
        "ReplicaSubscriber._joining",
        "if self._position(welcome.tail) is not None and self.feed is not None:",
        "if self._position(welcome.tail) is not None and True:",
        "a welcome comes on the feed that there is; the second half is for the type checker",
    ),
    Equivalent(
        REPLICA_SUBSCRIBER,
        "ReplicaSubscriber.__init__",
        "self._owes = False",
        "self._owes = True",
        "nothing is acknowledged without a feed, and each hello sets it anew",
    ),
    Equivalent(
        REPLICA_SUBSCRIBER,
        "ReplicaSubscriber.__init__",
        "self._greeted = False",
        "self._greeted = True",
        "it counts while there is a feed, and each that is connected sets it anew",
    ),
    Equivalent(
        REPLICA_SUBSCRIBER,
        "ReplicaSubscriber._replace",
        "if self._durable.seq > after.seq:",
        "if self._durable.seq >= after.seq:",
        "both are marks of one log: where their numbers are equal, they are",
    ),
    Equivalent(
        SUBSCRIBER,
        "Subscriber._hello_anew",
        "return [] if feed is None else [Close(feed, reason)]",
        "return [] if False else [Close(feed, reason)]",
        "what ends a feed has come on the one that there is; the rest is for the type checker",
    ),
    Equivalent(
        "bazar/replication/cache_subscriber.py",
        "CacheSubscriber._prepared",
        "if self.feed is None or not entries or entries[0].seq != self.last.seq + 1:",
        "if False or not entries or entries[0].seq != self.last.seq + 1:",
        "entries come on the feed that there is; this part is for the type checker",
    ),
    Equivalent(
        FILE_ARBITER,
        "FileArbiter.record",
        "await asyncio.sleep(BUSY_S)",
        "pass",
        "it tries again at once while another process is at it, and more often",
    ),
    Equivalent(
        FILE_ARBITER,
        "FileArbiter._write",
        "indent=1,",
        "indent=2,",
        "how the file looks to people was chosen",
    ),
    Equivalent(
        FILE_ARBITER,
        "FileArbiter.check",
        "if found == self._known:",
        "if False:",
        "what is as it was written is of this epoch, and is left as it is",
    ),
    Equivalent(
        FILE_ARBITER,
        "FileArbiter._is_older",
        "if found is None:",
        "if False:",
        "what is not there cannot be parsed either; the line is for the type checker",
    ),
    Equivalent(
        FILE_ARBITER,
        "FileArbiter._restore",
        "if known is not None and found != known and self._is_older(found):",
        "if True and found != known and self._is_older(found):",
        "what was recorded here is known; the first part is for the type checker",
    ),
    Equivalent(
        FILE_ARBITER,
        "FileArbiter._check_lock",
        "if not self._locked or self._lock_fd is None or not self._is_ours(self._lock_fd):",
        "if not self._locked or False or not self._is_ours(self._lock_fd):",
        "what is locked is open; the second part is for the type checker",
    ),
    Equivalent(
        FILE_ARBITER,
        "lock_exclusively",
        'noted = os.read(fd, 20).decode(errors="replace").strip() or "another"',
        'noted = os.read(fd, 21).decode(errors="replace").strip() or "another"',
        "the number of a process and the end of its line are shorter",
    ),
    Equivalent(
        FILE_ARBITER,
        "lock_exclusively",
        "os.ftruncate(fd, 0)",
        "os.ftruncate(fd, 1)",
        "what is left of the old text is written over: a number and the end of its line are longer",
    ),
    Equivalent(
        "bazar/replication/part.py",
        "Part.feed_message",
        "if self._batches is not None and self._batches.traces and isinstance(message, Ack):",
        "if self._batches is not None and True and isinstance(message, Ack):",
        "what is noted goes into the traces, and there are none",
    ),
    Equivalent(
        FEED_SERVER,
        "FeedServer.__init__",
        "self._last = 0",
        "self._last = 1",
        "the number of a feed is only its name, and no two have the same",
    ),
    Equivalent(
        FEED_SERVER,
        "FeedServer.open",
        "self._last += 1",
        "self._last -= 1",
        "the number of a feed is only its name, and no two have the same",
    ),
    Equivalent(
        FEED_SERVER,
        "FeedServer.open",
        "self._last += 1",
        "self._last += 2",
        "the number of a feed is only its name, and no two have the same",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient.__init__",
        "self._feeds = 0",
        "self._feeds = 1",
        "the number of a feed is only its name, and no two have the same",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient._follow",
        "self._feeds += 1",
        "self._feeds -= 1",
        "the number of a feed is only its name, and no two have the same",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient._follow",
        "self._feeds += 1",
        "self._feeds += 2",
        "the number of a feed is only its name, and no two have the same",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient.__init__",
        "self._heard_at = 0.0",
        "self._heard_at = 1.0",
        "each connection sets it anew, before it is looked at",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient.__init__",
        "self._answered = False # whether this connection has brought anything",
        "self._answered = True # whether this connection has brought anything",
        "each connection sets it anew, before it is looked at",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient._candidates",
        'hinted = self.peers.get(self.subscriber.hint or "")',
        "hinted = self.peers.get(self.subscriber.hint or False)",
        "no peer has either for its name",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient._follow",
        "if not self._waits and silent_s > SILENT_LEASES * lease_s:",
        "if not self._waits and silent_s >= SILENT_LEASES * lease_s:",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        FEED_CLIENT,
        "FeedClient._disconnect",
        "self._connection = None",
        "pass",
        "what is sent on a connection that is closed is lost, as without one",
    ),
    Equivalent(
        REPLICA,
        "Replica.stop",
        "if self.primary is not None and not self._stopped.is_set():",
        "if self.primary is not None and True:",
        "one that has handed over has nothing left to hand over, and waits for nothing",
    ),
    Equivalent(
        REPLICA,
        "Replica.stop",
        "self._stopped.set()",
        "pass",
        "a primary has waited for it, and only of a primary is it looked at",
    ),
    Equivalent(
        REPLICA,
        "Replica._live",
        "elif seeks_since is not None and self.clock() - seeks_since > long_s:",
        "elif seeks_since is not None and self.clock() - seeks_since >= long_s:",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        REPLICA,
        "Replica._report",
        "elif not isinstance(effect, Install):",
        "elif True:",
        "a primary installs nothing; the line is for the type checker",
    ),
    Equivalent(
        REPLICA,
        "Replica._report",
        "if isinstance(effect, Apply) and self._batches is not None:",
        "if True and self._batches is not None:",
        "what is written for a primary is an adopted tail, before any batch that could be answered",
    ),
    Equivalent(
        REPLICA,
        "Replica._report",
        "if isinstance(effect, Apply) and self._batches is not None:",
        "if True:",
        "what is written for a primary is an adopted tail, before any batch that could be answered",
    ),
    Equivalent(
        REPLICA,
        "Replica._report",
        "if isinstance(effect, Apply) and self._batches is not None:",
        "if isinstance(effect, Apply) and True:",
        "a primary has its batches from the beginning; the second part is for the type checker",
    ),
    Equivalent(
        REPLICA,
        "Replica._report",
        "if not isinstance(effect, Persist):",
        "if True:",
        "who waits for another committed state looks, finds the same, and waits on",
    ),
    Equivalent(
        REPLICA,
        "Replica._read_log",
        "if self.primary is not None:",
        "if True:",
        "only a primary reads its log for others; the line is for the type checker",
    ),
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
        "handlers/catalog/writes.py",
        "SoldLines._is_sure",
        'and type(line.get("cost", 0)) is int',
        'and type(line.get("cost", 1)) is int',
        "where there is no cost, any number within the bounds is as good",
    ),
    Equivalent(
        "handlers/catalog/writes.py",
        "SoldLines._is_sure",
        'and 0 <= line.get("cost", 0) <= MAX_AMOUNT',
        'and 0 <= line.get("cost", 1) <= MAX_AMOUNT',
        "where there is no cost, any number within the bounds is as good",
    ),
    Equivalent(
        "handlers/orders/service.py",
        "OrderService._tracing",
        "if self._traces is not None and self.context.clock() >= self._traces.until:",
        "if self._traces is not None and self.context.clock() > self._traces.until:",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        FRAMES,
        "FrameConnection._deliver",
        "if self._at: # else a large frame would be copied with each of its pieces",
        "if True: # else a large frame would be copied with each of its pieces",
        "the same bytes, copied with each piece of a large frame",
    ),
    Equivalent(
        FRAMES,
        "FrameConnection.data_received",
        "if not self._received:",
        "if False:",
        "the same bytes, copied once more",
    ),
    Equivalent(
        FRAMES,
        "FrameConnection.data_received",
        "self._received = bytearray(self._received)",
        "pass",
        "the same bytes, copied with each piece of a large frame",
    ),
    Equivalent(
        FRAMES,
        "FrameConnection.data_received",
        "if not isinstance(self._received, bytearray): # to which pieces are added at no cost",
        "if False: # to which pieces are added at no cost",
        "the same bytes, copied with each piece of a large frame",
    ),
    Equivalent(
        "storage/sqlite/compare.py",
        "compare_sales",
        "while catalog.look().seq < seq_of(cursor.number) and time.monotonic() < deadline:",
        "while catalog.look().seq < seq_of(cursor.number) and time.monotonic() <= deadline:",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        CLIENT,
        "Peer._is_late",
        "silent = since is not None and now - since >= self._silent_s",
        "silent = since is not None and now - since > self._silent_s",
        "the bound is chosen: its very moment may lie on either side",
    ),
    Equivalent(
        CLIENT,
        "Peer.call",
        "answer.add_done_callback(lambda done: done.cancelled() or done.exception())",
        "pass",
        "whoever awaits the answer reads its error, even if cancelled at that very moment",
    ),
    Equivalent(
        CLIENT,
        "Peer.call",
        "answer.add_done_callback(lambda done: done.cancelled() or done.exception())",
        "answer.add_done_callback(lambda done: done.cancelled() or False)",
        "whoever awaits the answer reads its error, even if cancelled at that very moment",
    ),
    Equivalent(
        FRAMES,
        "FrameConnection._deliver",
        "while not self.closed and not self.paused and len(self._received) >= self._at + 4:",
        "while not self.closed and not self.paused and True:",
        "the first digits of a length are less than it: what follows has not come either",
    ),
    Equivalent(
        FRAMES,
        "FrameConnection._deliver",
        "while not self.closed and not self.paused and len(self._received) >= self._at + 4:",
        "while not self.closed and not self.paused and len(self._received) >= self._at - 4:",
        "the first digits of a length are less than it: what follows has not come either",
    ),
    Equivalent(
        BATCHER,
        "Batcher.__init__",
        "self._gather_s = 0.0",
        "self._gather_s = 1.0",
        "nobody is waited for before a first call was answered, and that sets it",
    ),
    Equivalent(
        BATCHER,
        "Batcher._gather",
        "timer.cancel()",
        "pass",
        "a timer for the wait that is over: its future stays as it is",
    ),
    Equivalent(
        "bazar/rpc/pool.py",
        "ReplicaPool._failed",
        "backoff_s = self._settings.backoff_s * 2 ** min(health.failures, 20)",
        "backoff_s = self._settings.backoff_s * 2 ** min(health.failures, 21)",
        "the longest pause long since, as both are bounded (PoolConfig): it keeps 2 ** n a float",
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
