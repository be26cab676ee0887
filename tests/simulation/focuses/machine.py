"""Disks that hang; files, locks and links that go."""

from __future__ import annotations

from tests.simulation.focuses import Focuses

MACHINE: Focuses = {
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
        "hangs_reading": (False, True),
        "catalogs": (2, 3),
        "batch_rows": (1, 3),
        "think_s": (0.02, 0.05),
    },
    # A disk that hangs below the leader when another asks for its log, which takes long anyway.
    "hanging log": {
        "faults": ({"crash": 1.0, "lose": 1.0},),
        "hangs": (True,),
        "hangs_leading": (1.0,),
        "hangs_reading": (True,),
        "catalogs": (2, 3),
        "batch_rows": (1, 3),
        "disk_s": (0.02,),
        "network_s": (0.02,),
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
}
