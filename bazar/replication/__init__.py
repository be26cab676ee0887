"""One log, one lease, two kinds of subscriber: the protocol's rules.

The primary of a group writes a log. Whoever depends on it - a *replica* that applies it, a front
end's *cache* that drops what it invalidates - subscribes to the primary's feed, acknowledges every
entry, and holds a short lease that lets it answer reads. A write is acknowledged to its client when
every subscriber has acknowledged it or has lost its lease. From that follow linearizable reads at
every replica and from the cache, and that no acknowledged write is lost while one member of the
in-sync set survives.

Primary, backup and configuration manager as in PacificA (Lin et al., 2008); the in-sync set as in
Kafka; leases after Gray & Cheriton (1989), one for all of a group's data as in volume leases (Yin
et al., 1999); invalidate, then commit, and wait on a pending key, as in Hermes (Katsarakis et al.,
2020) and CRAQ (Terrace & Freedman, 2009); detachable fills as in memcache leases (Nishtala et al.,
2013); log conflicts as in Raft (Ongaro & Ousterhout, 2014).

An *entry* is `(seq, epoch, tags, effects, digest)`. `seq` is dense from 1. `effects` are row
images, never commands, so that applying one twice is applying it once. `tags` name what it touches
in the caches. `digest` is a hash over the digest before it and the entry: two logs that agree at
one mark agree up to it. An entry is *pending* once a log holds it durably, *committed* once its
primary has committed it; its tags are *dirty* in between.

**Writing**

R1  One batch at a time: the primary takes everything that waits, up to a bound, and executes it in
    order in one uncommitted transaction; each operation sees those before it.
R2  It sends `prepare`: entries to replicas, tags to caches. A replica holds their tags dirty from
    the receipt, makes the entries durable, then acks. A cache drops the tags, holds them dirty,
    acks. An entry that does not extend the log by its digest ends the feed: hello anew.
R3  The primary commits (fsync) when each subscriber has acked or its lease is surely over, and when
    every replica passed over is out of the in-sync set, durably. Then it answers the whole batch at
    once, refusals and replays too (they tell of its writes), and sends `commit(mark)`. This commit
    is the linearization point.
R4  Once `prepare` has left there is no way back: a primary that then can't commit stops at once,
    and its successor decides. A failure before that only refuses the batch's operations.
R5  What is not known is never called failed. 503: surely nothing happened. 504: it may have; ask
    again with the same key. An operation answered 503 has left the queue.
R6  On `commit(mark)` a replica applies and a cache forgets the dirty marks, up to it. A mark that
    is not on the receiver's log, by digest, ends the feed. A follower need not fsync what it
    applies, which its log holds durably: what a power cut undoes of that is pending again.
R7  Any replica takes any write; a follower passes it on to the primary, one hop at the most.
R8  A node whose log's file is not the one at its place any more - deleted, replaced, with its
    directory or its disk - acknowledges nothing that is written there, records no membership, and
    leaves its process within a third of a lease. It returns as another store, empty (J3).
R9  A node that calls another says until when it waits, and passes on what the one who asked it has
    said. What is not begun by then, by the receiver's own clock, never is: a call that a cut link
    has kept, or that finds a node which stood still, and an operation that still waits for a batch.
    The caller reckons with what the other's clock has shown it, so that clocks may show different
    times (deadline propagation, as in gRPC). 504 is answered only when no attempt can be begun any
    more: who asks again with the same key then is behind all of them, and told how it ended. Plain
    HTTP has no deadline: a request that its client has given up may still arrive.

**Reading**

L1  A lease lasts `lease_s` on its holder's clock from when it *sent* the `renew` that a `grant`
    answers (matched by epoch, and by a number never used twice). It is renewed every third of that.
    The primary counts from when it granted, plus 1 % for what clocks differ in rate.
L2  A follower answers reads only under a valid lease. A key that is dirty when the read arrives
    waits until what was pending then is applied; a search waits for all that was pending.
L3  A subscriber that owes an ack for longer than `ack_timeout_s` is granted nothing more. Whoever a
    commit has passed over is out until it has joined anew. A closed connection ends no lease; only
    `release` and time do. A lease belongs to one run of a process, not to a node's name.
L4  The primary answers from its committed state. One that has read that state from disk, instead of
    having followed in this run, answers nothing before its members have joined or T2's wait is
    over: its disk may have lost commits (J5).
L5  A primary answers reads until `lease_s` after it began to ask the arbiter whether it still
    leads, and was told so; and it asks before each grant. So whoever leads in its stead, because
    its lock was deleted below it, has waited (T2) until nothing it answers or granted counts.

**Caching**

C1  A cached answer is served only under a valid lease, and before its TTL ends.
C2  A miss on a clean key joins or starts the one flight for it. `prepare` on the key detaches the
    flight: those who wait get its answer, it is not stored, later readers start anew. Losing a
    lease and joining detach every flight. The check and the store are one step.
C3  While a key is dirty, or without a lease, every read fetches for itself and stores nothing.
C4  A lease that has lapsed, and every joining, empties the cache.
C5  An entry about a book drops every search that shows it. One that makes a book or takes it away,
    or changes by what it is found, or whether it is on sale, drops all searches; one that changes
    its price, those in the order of prices; one by which it is sold out or comes back, those of
    what is in stock: it may enter a page that did not show it. What a search under way will show is
    not known: every entry detaches it, and while anything is pending no search is stored.

**Taking over**

T0  Without a recorded membership only a node with an empty log may begin: epoch 1, itself the only
    member, what it begins with (S7) in its first batch. Not where something on this disk says that
    there was a group, nor where some of its nodes are on other machines, unless an operator has
    said so; nor while its supervisor remembers a primary of the group, whose files were deleted
    meanwhile; but what follows from another group's log (S2) may begin anew.
    A record that is deleted below a primary, or replaced by an older one, is made anew by it, as it
    was, as long as it holds its lock: nobody else can have led meanwhile.
T1  Whoever gets the arbiter's lock and is not in the in-sync set lets go again. A member first
    shows that its disk takes a write, or leaves its process: a disk that hangs would keep the lock
    from those that can go on. So does a primary whose disk hangs: what it reads for others has a
    bound, too.
T2  The others record an epoch above the recorded one and any that their log knows, and commit
    nothing before the old epoch's longest lease is surely over.
T3  Pending entries keep seq, epoch and digest, are prepared to everyone again and commit before
    anything new; their tags are dirty at the new primary too. In T2's wait a member's tail that
    extends the primary's log is adopted: it may have been acknowledged. A restarted primary, whose
    own disk may have lost it, adopts it as long as it has committed nothing: each member that has
    said hello by the end of the wait, and names a longer log, is waited for, `ack_timeout_s` at the
    most, and so are those that have joined, until they have what was adopted.
T4  A member that has not joined by then leaves the set with the first commit (R3). Before a
    primary records that, its disk takes a write: or the last member might be one whose disk hangs.
T5  On SIGTERM the primary finishes its batch, takes the leases back, records `clean` and leaves; a
    successor that finds `clean`, and has followed in this run, has no lease to wait for. One that
    is restarted waits: the record may have been put back, with the files, while leases of epochs
    that it does not know of were running, as long as its own `lease_s`, or as the record's.

**One arbiter**

A1  An arbiter's id is computed and kept nowhere: of the machine as it runs, and of where its disk
    has the data directory. So a copy, or another machine, is another arbiter. Every hello says
    under which it is sent, and every answer to one.
A2  Nobody takes anything from a group under another arbiter. A replica that meets it stops; a
    primary refuses the feed, and says so. A cache has no arbiter of its own: it stays with the one
    that granted it leases until it has had none for ten of them. What it asks for, or buys, it asks
    under that one: a replica under another refuses.
A3  Whoever gets the lock, and has not followed in this run, asks all its peers under which arbiter
    they are, and stops if it is another one. A primary asks those that hold no feed, every three
    leases. Of two primaries that meet the one whose log is shorter stops. A peer that does not know
    our token counts as one under another arbiter that does not lead.

**Joining**

J1  `hello` names the committed mark and the last; it is sent when all that an earlier feed left is
    on disk, and answered at a batch boundary. A new hello ends the old feed at both ends. It names
    the newest epoch that its sender knows: to one that is higher, or has another id, a primary
    answers only after it has asked the arbiter whether it still leads. A node that is not primary
    says who may be.
J2  The primary sends what follows the committed mark. Where the follower holds another entry at the
    same place, its own goes, with all behind it; so does what lies beyond the primary's tail.
J3  Where the log does not reach back, or the digests differ, a snapshot replaces the whole state at
    once.
J4  At a batch boundary, durable up to the tail: the follower enters the set (durably), is granted a
    lease, and its acks count.
J5  A *member* that has committed what the primary has not shows that the primary's disk has lost
    commits: the primary leaves the set and stops, to come back as a follower. It stops, too, where
    a member knows a higher epoch than its own, or its own with another id: what that member has
    beyond the primary's log is to be led by a higher one. So a member that has said hello is heard
    before anything commits and before anybody new is let in: a replica made in the image of a
    primary that lost commits must not succeed it.
J6  A cache joins at a batch boundary, empty, and is told of everything pending before its first
    lease.

**Histories**

H1  Whoever takes over draws an id for its epoch, at random: an id in the files would come back with
    them, and the next epoch's number with it. The first entry of an epoch, before all else of its
    first batch, tells number, id and the last entry before it. So the epochs that have committed
    anything are replicated state, and two histories differ by digest from where they part.
H2  A *position* (epoch, id, seq) is on a history if that has the epoch with this id, and the entry
    lies within it: behind its beginning, and no further than the next epoch's beginning or the end
    of the log. Epochs from before ids were kept are known by their range alone.
H3  Who answers that a position is not on its history may answer reads, and has applied what it
    knows up to there. Beyond its log, as it was under a lease, is not on it: the log was cut.
H4  A subscriber that is welcomed by another epoch, or by the same one with another id, has lost its
    lease. A cache, or a replica that is no member, forgets a higher epoch that it knew: the files
    were put back.

**Selling**

S1  A sale is one entry of the catalog's log: the rows of its books with what is left, and the sale
    with its key, which is unique. The same key with the same request gets the first answer again;
    with another request it is refused. What is out of stock is refused and leaves no trace.
S2  Orders are a projection of committed sales: the primary of the orders follows them from its
    cursor, and logs them as orders together with the new cursor. So each becomes exactly one order,
    whatever crashes when, and recovery is the ordinary path (crash-only software, Candea & Fox,
    2003). The cursor is a position (H2): where it is not on the catalog's history nothing is
    projected, and the log says what to do.
S3  A purchase is answered when both are committed, the sale and its order, at the replica that the
    buyer asked, too.
S4  A sale brings the cursor of the orders that ask for it, as they know it then; while that is not
    on the catalog's history it is refused, before anything is sold.
S5  A person has the orders *adopt* the catalog's present history: their cursor goes back to the
    last sale that both have. Sales behind it get their orders; orders whose sale is lost, or what
    was cancelled of them (S6), stay, and are listed. What is cancelled again of such an order
    counts by book, by the larger number: it never shows less than before, and what it shows already
    changes nothing. An order's number is its sale's, or the next one that no order had: what comes
    later has the higher number, even where an epoch's comes twice.
S6  A cancellation is one entry of the catalog's log, as a sale is: the rows of its books with the
    copies that come back, and how many of each book of the sale are cancelled *in all*. These
    totals only grow, up to what was sold: what is asked for again changes nothing, under whatever
    key, and after a key was forgotten. It names a sale that is committed. Each keeps its place in
    the log, whatever is cancelled of the sale later: a later one may be lost, and the orders follow
    cancellations by the cursor by which they follow sales (S2). They take the totals as they are
    there, and never smaller ones than they have (S5); a cancellation brings that cursor (S4), and
    is answered when both have it (S3). A sale's key that is sent again is told what has been
    cancelled since.
    A buyer who undoes a purchase shows the sale's key, and brings how long after the sale that may
    be. Both are tested with the cancellation itself, at its place in the log: it is refused where
    that time is over by the clock of the primary that decides it, counted from when the sale was
    made by the clock of its own primary. What is cancelled already is answered as before, however
    late that is.
S7  A catalog begins with the samples or empty, as its first primary was told: the first entry says
    which, and whatever others were told counts for nothing. The samples are taken away by one
    entry, and only while nothing was sold, which is decided in the order of the log: so what was
    sold is never taken away. Their numbers are given to no other book, whether they are there or
    not.
S8  A book that is retired keeps its row: its number, its price and its stock, to which cancelled
    copies go back. From the commit that retires it to the one that brings it back nothing is sold
    of it, and no search shows it; who asks for its number reads that it is retired. Whoever makes
    the same book again is told so, and makes no other one.

**Over one database**

These hold in place of what speaks of logs, disks and the in-sync set (R6, R8, T0-T4, L4, L5, J2-J5,
A1-A3), where a group's state is in a database that other machines reach, too. A follower keeps
nothing: it is told of every batch, as a cache is, and reads the database itself. A group has two
rows: the *beat* `(epoch, epoch_id, value, released)` and the *mark* `(epoch_id, number)`, where
`number` is the last entry's seq.

P1  The primaryship is a lease (Gray & Cheriton, 1989). Its holder sets the beat to a value never
    used before, four times in `primary_lease_s`, where the epoch's id is its own. It *holds* until
    `primary_lease_s` after it sent the last beat that was confirmed, by its own clock. What is
    confirmed after the hold has ended extends nothing.
P2  Only while it holds does a primary begin batches, answer reads and grant leases. A lease that it
    grants ends, with the 1 % and `pause_s`, no later than its hold. So where a new epoch begins
    every lease of the old one is over, and nobody waits for them.
P3  A candidate takes over once it has seen one beat for `primary_lease_s`, 1 % and `pause_s`,
    counted on one connection to one writable server from when the first answer was there; or at
    once, where the holder has released it (T5), who answers nothing any more when it does that. No
    clock of another machine is compared. One READ COMMITTED transaction compares and sets the beat,
    then the mark, and tells the history of its epoch. It leads once that is confirmed (P5).
P4  A batch locks the mark, finds exactly what this primary wrote last, sets the next, and holds the
    lock to its end; refusals and replays lock it, too. So what an old primary has left in doubt is
    decided before a new epoch begins, and one whose commits the database has lost stops: with its
    next beat, which looks at the mark, where nobody writes.
P5  What is written is confirmed by one thing only: the tag COMMIT, without a warning, of a
    transaction that has itself asked for a synchronous commit. Nobody cancels it: at its deadline
    the socket is shut down. All else is in doubt: the primary stops (R4), its buyers are answered
    504, and its successor reads what is true.
P6  The database has the cluster's id, and refuses another's nodes. Each epoch that begins is on its
    history (H1, H2); a mark that is not shows that commits were lost. Who had seen them is welcomed
    by another epoch (H4), and begins empty; a projection stops (S2).
P7  A candidate that reaches the database, and not the primary, leaves word there: how many
    subscribers say hello to it. A primary that hears fewer hands over (T5).
L6  A follower, and a primary, reads rows and mark in one snapshot. The mark is the one that it was
    told of when the read arrived, or since. Is it a newer one of the same epoch, it waits until it
    is told of that, too; but not where nothing pending up to there touches what is read. An older
    one, or another epoch's: it asks again, another server, and refuses in the end.
"""
