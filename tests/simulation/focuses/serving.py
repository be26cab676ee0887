"""Keys, orders, and what readers see."""

from __future__ import annotations

from tests.simulation.focuses import Focuses

SERVING: Focuses = {
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
    # Buyers cancel what they have bought, all or a part, twice and at the same time.
    "cancelling": {
        "faults": (
            {"crash": 1.0, "lose": 1.0, "terminate": 1.0, "slow_disk": 1.0, "pause": 1.0},
            {"crash": 1.0, "put_back": 1.0},
        ),
        "fault_every_s": (0.4, 0.8),
        "catalogs": (2,),
        "orders": (2, 2, 0),
        "caches": (1,),
        "sales": (1, 4),
        "stock": (6, 30),
        "repeats": (0.1, 0.3),
        "cancels": (0.5,),
        "wall_rate": (1.0, 5_000.0),
        "hear_s": (0.0, 0.02),
        "think_s": (0.02, 0.05),
    },
    # Keepers take the samples away, while buyers want them.
    "clearing": {
        "faults": ({"crash": 1.0, "lose": 1.0, "terminate": 1.0, "slow_disk": 1.0, "pause": 1.0},),
        "fault_every_s": (0.4, 0.8),
        "catalogs": (2, 3),
        "orders": (0, 2),
        "caches": (1, 2),
        "samples": (1, 3),
        "stock": (6, 30),
        "eager": (False, True),
        "think_s": (0.15, 0.05, 0.6),
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
    # Buyers undo what they have bought, in time and too late, by clocks that differ; others try it.
    "undoing": {
        "faults": (
            {"crash": 1.0, "lose": 1.0, "terminate": 1.0, "slow_disk": 1.0, "pause": 1.0},
            {"crash": 1.0, "put_back": 1.0},
        ),
        "fault_every_s": (0.4, 0.8),
        "catalogs": (2,),
        "orders": (2, 2, 0),
        "caches": (1,),
        "stock": (30,),
        "repeats": (0.1, 0.3),
        "cancels": (0.5,),
        "undos": (0.8,),
        "undo_s": (0.3, 0.1, 1.0),
        "walls_apart_s": (0.0, 0.2),
        "wall_tick_s": (0.0, 0.1),
        "wall_rate": (1.0, 5_000.0),
        "think_s": (0.02, 0.05),
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
    # The same, where those that lead in turn grant leases of different lengths.
    "restoring, and another lease": {
        "faults": ({"put_back": 2.0, "terminate": 2.0},),
        "fault_every_s": (0.2, 0.4),
        "catalogs": (2, 3),
        "caches": (2,),
        "leases_s": ((0.3, 2.0),),
        "down_s": ((0.05,),),
        "think_s": (0.02, 0.05),
        "readers": (8,),
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
    # Replicas that are slow to apply what is committed, and readers that ask for everything, and
    # hear late what was read.
    "reading": {
        "faults": ({"slow_disk": 3.0, "stall": 1.0},),
        "hear_s": (0.0, 0.05),
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
