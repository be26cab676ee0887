"""Worlds drawn for one kind of trouble, where ordinary ones meet it too seldom.

A focus overrides some of a profile's draws; where several values are given, one is drawn. Ordinary
seeds take one of these now and then, and the hunt for a mutation that needs one takes it always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FOCUSES: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    # Two clocks at the far ends of what is promised: the longer the lease, the more they differ,
    # and the primary must look at the very moment when it thinks a lease over.
    "clocks": {
        "faults": ({"lose": 1.0, "stall": 2.0, "isolate": 1.0}, {"crash": 1.0, "lose": 1.0}),
        "fault_every_s": (0.8,),
        "catalogs": (2,),
        "caches": (1, 2),
        "leases_s": ((3.0,),),
        "network_s": (0.002,),
        "disk_s": (0.004,),
        "spikes": (0.0,),
        "tick_s": (0.01,),
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
        "batch_size": (1,),
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
        "network_s": (0.1,),
        "linger_s": (0.6,),
        "think_s": (0.02, 0.05),
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
    # Who joins needs more than the log holds, and the primary dies as soon as it has joined.
    "joining": {
        "faults": ({"crash": 2.0, "lose": 3.0, "crash_twice": 1.0},),
        "fault_every_s": (0.2, 0.4),
        "aims": (
            {"Join": ("crash", 0.2), "Snapshot": ("crash", 0.3)},
            {"Commit": ("lose", 0.1), "Join": ("crash", 0.3)},
        ),
        "catalogs": (2, 3, 3),
        "log_entries": (0, 0, 2),
        "chunk_rows": (2,),
        "network_s": (0.05,),
        "think_s": (0.02, 0.05),
    },
    # A batch reaches only some, who come back when another has taken over without it.
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
    # Connections are replaced while the disk works off what the last one left, snapshots too.
    "replacing": {
        "faults": ({"slow_disk": 2.0, "lose": 3.0, "isolate": 2.0},),
        "fault_every_s": (0.2,),
        "catalogs": (2, 3),
        "logs_differ": (True,),
        "batch_size": (8,),
        "page_entries": (1,),
        "disk_s": (0.08,),
        "network_s": (0.02,),
        "late_s": (0.1,),
        "think_s": (0.02, 0.05),
    },
    # Somebody never acknowledges in time, so that commits wait for his lease.
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
        "lags": (True,),
        "late_s": (1.0,),
        "read_s": (0.1, 0.5),
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
        "batch_size": (1, 3),
        "think_s": (0.02, 0.05),
    },
}
