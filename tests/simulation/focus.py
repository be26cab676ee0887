"""Worlds drawn for one kind of trouble, which ordinary worlds meet too seldom.

A focus overrides some of a profile's draws; of several values one is drawn. Ordinary seeds take a
focus now and then; the hunt for a mutation that needs one takes it always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FOCUSES: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    # Two clocks whose rates differ as much as is allowed. The longer the lease, the more they
    # differ, and the primary must check at the moment when it takes a lease to be over.
    "clocks": {
        "faults": ({"lose": 1.0, "stall": 2.0, "isolate": 1.0}, {"crash": 1.0, "lose": 1.0}),
        "fault_every_s": (0.8,),
        "catalogs": (2,),
        "caches": (1, 2),
        "leases_s": ((3.0,),),
        "network_s": (0.002,),
        "disk_s": (0.004,),
        "spikes": (0.0,),
        "late_s": (3.0,),
    },
    # Disks that lose what they had fsynced, all at once, and come back in any order.
    "power": {
        "faults": (
            {"power_cut": 4.0, "terminate": 1.0},
            {"power_cut": 1.0, "betray": 1.0},
        ),
        "fault_every_s": (0.4, 0.8),
        "catalogs": (2, 3, 3),
        "caches": (1, 2),
        "down_s": ((0.05, 0.8),),
        "lost_transactions": ((1, 2), (1, 2, 3)),
        "think_s": (0.05, 0.15, 0.6),
    },
    # Nodes whose disks lost commits lead, and read their log slowly for the members that could tell
    # them.
    "hearing": {
        "faults": ({"power_cut": 1.0, "slow_disk": 3.0},),
        "fault_every_s": (0.3,),
        "catalogs": (2, 3),
        "caches": (0,),
        "orders": (0,),
        "leases_s": ((0.5,),),
        "disk_s": (0.02,),
        "network_s": (0.004,),
        "down_s": ((0.8,),),
        "hangs": (False,),
        "log_entries": (1000,),
        "lost_transactions": ((3,),),
        "think_s": (0.05,),
    },
    # A replica has just joined when the power fails, and the log of another reaches less far back.
    "rejoining": {
        "faults": ({"crash": 2.0},),
        "fault_every_s": (0.4,),
        "aims": ({"Join": ("blackout", 0.7)},),
        "catalogs": (3,),
        "caches": (0,),
        "orders": (0,),
        "leases_s": ((0.3,),),
        "down_s": ((0.05, 2.0),),
        "logs_differ": (True,),
        "lost_transactions": ((1,),),
        "page_entries": (100,),
        "batch_rows": (1,),
        "chunk_rows": (2,),
        "think_s": (0.05,),
    },
    # A primary and its successor die, or hand over, within the first one's leases.
    "succession": {
        "faults": ({"crash_twice": 3.0, "lose": 1.0}, {"crash_twice": 2.0, "terminate": 1.0}),
        "fault_every_s": (0.8,),
        "catalogs": (2, 3),
        "caches": (2,),
        "leases_s": ((0.3, 2.0),),
        "down_s": ((0.05,), (0.3,)),
    },
    # Nodes that leave in order, while the network is slow.
    "leaving": {
        "faults": ({"terminate": 3.0, "stall": 1.0, "lose": 1.0},),
        "fault_every_s": (0.3, 0.6),
        "catalogs": (2, 3),
        "caches": (1, 2),
        "linger_s": (0.6,),
        "network_s": (0.1,),
        "think_s": (0.02, 0.05),
    },
    # A primary leaves in order, or its successor does at once, and a subscriber is not told.
    "forsaking": {
        "faults": ({"forsake": 1.0},),
        "fault_every_s": (0.8,),
        "catalogs": (3,),
        "caches": (1, 2),
        "orders": (0,),
        "leases_s": ((2.0,),),
        "network_s": (0.004,),
        "disk_s": (0.004,),
        "down_s": ((0.05,),),
        "think_s": (0.15, 0.6),
    },
    # Disks that are slow or full, and connections that are replaced meanwhile.
    "disks": {
        "faults": ({"slow_disk": 2.0, "full_disk": 1.0, "lose": 2.0},),
        "fault_every_s": (0.3,),
        "aims": ({"Apply": ("full_disk", 0.1)}, {}),
        "catalogs": (2, 3),
        "disk_s": (0.08,),
        "late_s": (0.1,),
        "most_tries": (1,),
        "think_s": (0.02, 0.05),
    },
    # A joining replica needs more than the log holds, and the primary dies as soon as it has
    # joined.
    "joining": {
        "faults": ({"crash": 2.0, "lose": 3.0, "crash_twice": 1.0},),
        "fault_every_s": (0.2, 0.4),
        "aims": (
            {"Join": ("crash", 0.2), "SendSnapshot": ("crash", 0.6)},
            {"Commit": ("lose", 0.1), "Join": ("crash", 0.3)},
        ),
        "catalogs": (2, 3, 3),
        "log_entries": (0, 0, 2),
        "chunk_rows": (2,),
        "network_s": (0.05,),
        "think_s": (0.02, 0.05),
    },
    # A member that dies before it has applied comes back to a compacted log. Few clients write, so
    # that it is sent a snapshot, and the primary dies before that is whole.
    "refilling": {
        "faults": ({},),
        "aims": ({"Apply": ("crash", 0.2), "SendSnapshot": ("crash", 0.8)},),
        "catalogs": (2,),
        "caches": (0,),
        "orders": (0,),
        "down_s": ((0.05,),),
        "disk_s": (0.08,),
        "network_s": (0.02,),
        "hangs": (False,),
        "log_entries": (0,),
        "logs_differ": (False,),
        "chunk_rows": (2,),
        "think_s": (0.6,),
    },
    # A batch reaches only some replicas, which come back when another has taken over without it.
    "tails": {
        "faults": ({"crash": 1.0, "isolate": 1.0, "scatter": 2.0},),
        "fault_every_s": (0.8,),
        "aims": ({"Prepare": ("scatter", 0.1)},),
        "catalogs": (3,),
        "caches": (0, 1),
        "leases_s": ((0.3,),),
        "down_s": ((1.0, 2.0),),
        "most_tries": (1,),
        "network_s": (0.05,),
        "encore": (True,),
        "scattered": (0.8,),
        "think_s": (0.02, 0.05),
    },
    # The same, and the dead primary comes back with an empty disk, to join the one that took over.
    "burying": {
        "faults": ({"bury": 1.0},),
        "fault_every_s": (0.8,),
        "aims": ({"Prepare": ("bury", 0.1), "Welcome": ("stall", 0.5)},),
        "catalogs": (3,),
        "caches": (0,),
        "orders": (0,),
        "leases_s": ((1.6,),),
        "disk_s": (0.08,),
        "down_s": ((0.3,), (0.8,)),
        "hangs": (False,),
        "most_tries": (1,),
        "network_s": (0.05,),
        "think_s": (0.05,),
    },
    # Connections are replaced while the disk works off what the last one left, snapshots too.
    "replacing": {
        "faults": ({"slow_disk": 2.0, "lose": 3.0, "isolate": 2.0},),
        "fault_every_s": (0.2,),
        "catalogs": (2, 3),
        "logs_differ": (True,),
        "batch_rows": (8,),
        "page_entries": (1,),
        "disk_s": (0.08,),
        "network_s": (0.02,),
        "late_s": (0.1,),
        "think_s": (0.02, 0.05),
    },
    # A subscriber never acknowledges in time, so that commits wait for its lease.
    "laggards": {
        "faults": ({"stall": 2.0, "pause": 1.0, "lose": 1.0, "slow_disk": 1.0},),
        "fault_every_s": (0.2, 0.4),
        "catalogs": (2, 3),
        "caches": (1, 2),
        "leases_s": ((1.6,),),
        "late_s": (3.0,),
        "most_tries": (1, 2),
        "read_s": (0.1,),
        "think_s": (0.02, 0.05),
    },
    # Caches lose their feed and their lease while they wait for slow answers.
    "caching": {
        "faults": ({"lose": 2.0, "pause": 2.0, "isolate": 1.0, "stall": 1.0},),
        "fault_every_s": (0.2, 0.4),
        "catalogs": (2,),
        "caches": (2,),
        "orders": (0,),
        "leases_s": ((0.5,), (1.0,)),
        "late_s": (1.0,),
        "read_s": (0.1, 0.5),
        "readers": (12,),
        "shelf_entries": (10,),
        "think_s": (0.02, 0.05),
        "ttl_s": (5.0,),
    },
    # So many writers that a batch always waits.
    "crowding": {"busy": (True,), "catalogs": (2, 3)},
    # One disk never answers again.
    "hanging": {
        "hangs": (True,),
        "catalogs": (2, 3),
        "batch_rows": (1, 3),
        "think_s": (0.02, 0.05),
    },
    # A disk that takes a write or two, and then hangs below the node that has come to lead.
    "hanging leader": {
        "hangs": (True,),
        "hangs_leading": (1.0,),
        "hangs_late_s": (0.0, 0.15),
        "catalogs": (2, 3),
        "batch_rows": (1, 3),
        "think_s": (0.02, 0.05),
    },
    # Other processes run between two system calls of a step, and a node that gets the lock dies
    # soon.
    "calls": {
        "faults": ({"crash": 2.0, "crash_twice": 2.0, "lose": 2.0, "slow_disk": 1.0},),
        "fault_every_s": (0.2, 0.4),
        "catalogs": (3,),
        "syscalls": (0.02,),
        "leases_s": ((0.3,),),
        "down_s": ((0.05,),),
        "most_tries": (1,),
        "think_s": (0.02, 0.05),
    },
    # Files are deleted while a node has them open, or while it is down.
    "deleting": {"faults": ({"wipe": 1.0},), "fault_every_s": (0.8,), "catalogs": (2, 3)},
    # The same, with hardly any writes: the node must notice by itself.
    "idling": {
        "faults": ({"wipe": 1.0},),
        "fault_every_s": (0.8,),
        "catalogs": (2, 3),
        "caches": (0,),
        "orders": (0,),
        "leases_s": ((0.3,),),
        "down_s": ((0.05,),),
        "hangs": (False,),
        "think_s": (3.0,),
        "syscalls": (0.0,),  # a node that is stopped between two can't be asked
    },
    # The membership's file is deleted, while a primary leads or while no node runs.
    "forgetting": {"faults": ({"forget": 1.0},), "fault_every_s": (0.8,), "catalogs": (2, 3)},
    # A subscriber's connections carry nothing any more, and no end notices.
    "silence": {
        "silent": (True,),
        "catalogs": (2, 3),
        "faults": ({"crash": 1.0},),
        "network_s": (0.02, 0.05),
        "think_s": (0.02,),
    },
    # The lock's file is deleted, and the primary reads, grants and is paused meanwhile.
    "stealing": {
        "faults": ({"usurp": 1.0},),
        "fault_every_s": (0.8,),
        "catalogs": (2, 3),
        "leases_s": ((0.5,), (1.0,)),
        "network_s": (0.004,),
        "disk_s": (0.004,),
        "down_s": ((0.05,),),
        "most_tries": (1,),
        "think_s": (0.02,),
        "readers": (12,),
        "books": (1,),
        "stock": (30,),
    },
    # The same, in the middle of the step that has just asked whether it still leads.
    "seizing": {
        "faults": ({},),
        "aims": ({"Confirm": ("seize", 0.05)},),
        "catalogs": (2,),
        "orders": (0,),
        "leases_s": ((0.5,), (1.0,)),
        "network_s": (0.004,),
        "disk_s": (0.08,),
        "spikes": (0.0,),
        "down_s": ((0.05,),),
        "most_tries": (1,),
        "step_s": (0.0002,),
        "think_s": (0.01,),
        "readers": (6,),
        "books": (1,),
        "stock": (30,),
    },
    # The same, while it records that a member, which was away, is no longer in sync.
    "overtaking": {
        "faults": ({"pause": 1.0},),
        "fault_every_s": (0.4,),
        "aims": ({"Shrink": ("overtake", 1.0)}, {"Shrink": ("seize", 1.0)}),
        "catalogs": (2, 3),
        "caches": (0,),
        "orders": (0,),
        "leases_s": ((0.3,),),
        "late_s": (3.0,),
        "network_s": (0.004,),
        "disk_s": (0.004,),
        "hangs": (False,),
        "think_s": (0.05,),
    },
    # One node runs over a directory of its own: a second cluster by mistake.
    "strays": {
        "faults": ({"stray": 1.0}, {"stray": 2.0, "crash": 1.0}),
        "fault_every_s": (0.4,),
        "catalogs": (2, 3),
        "caches": (0, 1),
        "orders": (0,),
        "leases_s": ((0.3,),),
        "down_s": ((0.05,),),
        "network_s": (0.004, 0.02),
        "disk_s": (0.004, 0.02),
        "spikes": (0.0,),
        "loss": (0.0,),
        "step_s": (0.0002, 0.002),
        "syscalls": (0.0,),  # a node that is stopped between two can't be asked
        "hangs": (False,),
        "silent": (False,),
        "logs_differ": (False,),
        "think_s": (0.02, 0.15),
    },
    # The machine loses power, most often while the membership changes.
    "outages": {
        "faults": ({"outage": 1.0, "pause": 3.0}, {"outage": 1.0, "crash": 1.0, "pause": 2.0}),
        "fault_every_s": (0.4,),
        "aims": ({"Record": ("outage", 0.1), "Shrink": ("outage", 0.5)},),
        "catalogs": (2, 3),
        "leases_s": ((0.3,),),
        "down_s": ((0.05, 0.8),),
        "think_s": (0.02, 0.05),
    },
    # Keys are sent again, with the same request or another one, while commits are slow.
    "repeating": {
        "faults": ({"slow_disk": 1.0, "lose": 1.0, "crash": 1.0},),
        "repeats": (0.4,),
        "books": (2, 3),
        "stock": (30,),
        "disk_s": (0.02, 0.08),
        "think_s": (0.02,),
    },
    # Nodes start while clients already send requests.
    "starting": {"late_start": (True,), "eager": (True,), "think_s": (0.02,), "read_s": (0.002,)},
    # Keys that are nearly the same, and old ones.
    "keys": {
        "long_keys": (True,),
        "wall_rate": (5_000.0,),
        "repeats": (0.3,),
        "stock": (30,),
        "think_s": (0.02, 0.05),
    },
    # Purchases through the orders, whose nodes come and go.
    "ordering": {
        "faults": ({"crash": 1.0, "lose": 1.0, "terminate": 1.0, "slow_disk": 1.0, "pause": 1.0},),
        "fault_every_s": (0.4, 0.8),
        "catalogs": (2,),
        "orders": (2,),
        "caches": (1,),
        "sales": (1, 4),
        "stock": (30,),
        "read_s": (0.1,),
        "hear_s": (0.0, 0.02),
        "think_s": (0.02, 0.05),
    },
    # The same, and the next primary of the catalog has yet to commit what the orders have read.
    "following": {
        "faults": ({"outlive": 1.0},),
        "aims": ({"Commit": ("outlive", 0.05)},),
        "catalogs": (2, 3),
        "orders": (2,),
        "caches": (0,),
        "stock": (100,),
        "network_s": (0.004,),
        "disk_s": (0.004,),
        "hangs": (False,),
        "think_s": (0.15,),
    },
    # Files of one group, or of all, are put back to an earlier moment.
    "restoring": {
        "faults": ({"put_back": 3.0}, {"put_back": 2.0, "crash": 1.0, "terminate": 1.0}),
        "fault_every_s": (0.4, 0.8),
        "catalogs": (1, 2),
        "orders": (2,),
        "caches": (1, 2),
        "leases_s": ((0.3,), (0.5,)),
        "down_s": ((0.05,), (0.05, 0.8)),
        "sales": (1, 4),
        "stock": (100,),
        "encore": (False, True),
        "think_s": (0.02, 0.05),
    },
    # Purchases whose answers are lost, of stock that is nearly sold out.
    "pool": {
        "faults": (
            {"detain": 1.0},
            {"lose": 3.0, "stall": 2.0, "pause": 2.0, "slow_process": 1.0},
        ),
        "fault_every_s": (0.4, 0.2),
        "catalogs": (2, 3),
        "orders": (2,),
        "caches": (1, 2),
        "stock": (2, 6),
        "restocks": (0.3,),
        "attempt_s": (0.4,),
        "most_tries": (1, 2),
        "loss": (0.0,),
        "think_s": (0.02, 0.05),
    },
    # Replicas that are slow to apply what is committed, and readers that ask for everything.
    "reading": {
        "faults": ({"slow_disk": 3.0, "stall": 1.0},),
        "fault_every_s": (0.2,),
        "catalogs": (2, 3),
        "books": (1, 2),
        "stock": (30,),
        "network_s": (0.05, 0.02),
        "think_s": (0.02,),
        "all_items": (True,),
        "moves": (True,),
    },
    # Disks so slow that readers give up before the entry that they wait for is applied.
    "barrier": {
        "faults": ({"slow_disk": 1.0},),
        "fault_every_s": (0.2,),
        "catalogs": (2, 3),
        "leases_s": ((0.3,),),
        "network_s": (0.004,),
        "books": (1,),
        "stock": (30,),
        "think_s": (0.02,),
    },
    # The primary dies as soon as it has had a member removed from the in-sync set.
    "shrinking": {
        "faults": ({"pause": 2.0, "stall": 2.0, "lose": 1.0},),
        "fault_every_s": (0.4,),
        "aims": ({"Shrink": ("crash", 0.5)},),
        "catalogs": (2, 3),
        "leases_s": ((0.3,),),
        "disk_s": (0.08,),
        "down_s": ((0.3, 1.5),),
        "think_s": (0.02, 0.05),
    },
    # Answers of replicas that are long on their way to caches, whose feeds are fast.
    "fetching": {
        "faults": ({"stall": 1.0},),
        "fault_every_s": (0.2, 0.4),
        "catalogs": (2,),
        "caches": (1,),
        "orders": (0,),
        "books": (1,),
        "stock": (30,),
        "attempt_s": (1.5,),
        "network_s": (0.02,),
        "disk_s": (0.004,),
        "spikes": (0.02,),
        "spike_s": (0.1,),
        "readers": (12,),
        "shelf_entries": (10,),
        "ttl_s": (5.0,),
        "think_s": (0.02,),
        "all_items": (True,),
    },
    # Caches that lose their lease while answers are long on their way, and get it back before they
    # arrive.
    "lapsing": {
        "faults": ({"lapse": 1.0},),
        "fault_every_s": (0.4, 0.2),
        "catalogs": (2,),
        "caches": (2,),
        "orders": (0,),
        "books": (1,),
        "stock": (30,),
        "leases_s": ((0.3,),),
        "attempt_s": (1.5,),
        "network_s": (0.004,),
        "disk_s": (0.004,),
        "spikes": (0.0,),
        "readers": (40,),
        "shelf_entries": (1,),
        "ttl_s": (5.0,),
        "think_s": (0.3,),
    },
}


def named(seed: int, focus: str) -> str:
    """Return what decides a run, in words: one seed is another run with another focus."""
    return f"seed {seed}, focus {focus}" if focus else f"seed {seed}"
