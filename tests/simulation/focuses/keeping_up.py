"""Who joins, and who lags behind."""

from __future__ import annotations

from tests.simulation.focuses import Focuses

KEEPING_UP: Focuses = {
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
}
