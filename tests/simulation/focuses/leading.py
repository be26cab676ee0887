"""Who leads next: clocks, power, and successions."""

from __future__ import annotations

from tests.simulation.focuses import Focuses

LEADING: Focuses = {
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
    # Nothing but power cuts, and leases that outlast what a restarted primary has to wait for.
    "power and leases": {
        "faults": ({"power_cut": 1.0},),
        "fault_every_s": (0.8,),
        "catalogs": (3,),
        "caches": (1, 2),
        "leases_s": ((3.0,),),
        "down_s": ((0.05, 0.8),),
        "lost_transactions": ((1, 2), (1, 2, 3)),
        "think_s": (0.05, 0.15),
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
    # The same, and the members have logged what was committed, and not heard that it was.
    "hearing tails": {
        "faults": ({"crash": 1.0},),
        "fault_every_s": (0.8,),
        "aims": ({"Apply": ("lost_writes", 0.1)}, {"Commit": ("lost_writes", 0.1)}),
        "catalogs": (2, 3),
        "caches": (0,),
        "orders": (0,),
        "leases_s": ((0.3,),),
        "disk_s": (0.02,),
        "network_s": (0.02,),
        "down_s": ((0.8,),),
        "hangs": (False,),
        "log_entries": (1000,),
        "lost_transactions": ((1, 2, 3),),
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
}
