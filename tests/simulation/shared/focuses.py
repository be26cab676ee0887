"""Worlds over a database that are drawn for one kind of trouble."""

from __future__ import annotations

from tests.simulation.focuses import Focuses

# Another primary begins as soon as one may, and few messages are late.
PROMPT: dict[str, tuple[object, ...]] = {
    "catalogs": (2, 3),
    "servers": (1,),
    "leases_s": ((0.5,),),
    "pause_s": (0.0,),
    "primary_lease_s": (0.75,),
    "network_s": (0.004,),
    "spikes": (0.0,),
    "query_s": (0.001,),
    "flush_s": (0.004,),
    "think_s": (0.02,),
}

FOCUSES: Focuses = {
    # Primaries lose the database, and hear again of it.
    "holding": {
        "faults": ({"cut_off": 3.0, "late_replies": 3.0, "pause": 2.0},),
        "fault_every_s": (0.2, 0.4),
        "catalogs": (2, 3),
        "think_s": (0.02, 0.05),
        "readers": (8,),
    },
    # Primaries hear of their beats late, and then of nothing.
    "fading": {
        "faults": ({"fade": 1.0},),
        "fault_every_s": (1.5,),
        "catalogs": (2, 3),
        "pause_s": (0.0,),
        "leases_s": ((0.5,),),
        "primary_lease_s": (2.0,),
        "think_s": (0.02, 0.05),
        "readers": (8,),
    },
    # Standbys show less, and more, than was told.
    "standing by": {
        "faults": ({"lag": 2.0, "fail_over": 2.0, "freeze_server": 2.0, "late_replies": 1.0},),
        "fault_every_s": (0.4,),
        "servers": (3,),
        "apply_s": (0.05, 0.5),
        "think_s": (0.02,),
        "readers": (12,),
    },
    # Commits whose end nobody knows.
    "doubting": {
        "faults": ({"restart_server": 2.0, "tear": 2.0, "cut_off": 2.0, "cancel_waits": 2.0},),
        "fault_every_s": (0.2, 0.4),
        "servers": (1, 2),
        "think_s": (0.02, 0.05),
    },
    # An operator ends sessions, and what is under way in them.
    "ending": {
        "faults": ({"end_sessions": 4.0},),
        "fault_every_s": (0.1,),
        "think_s": (0.02, 0.05),
    },
    # An operator cancels what waits for a standby, and the server that has it alone fails over.
    "cancelling": {
        "faults": ({"cancel_waits": 4.0, "fail_over": 2.0, "freeze_server": 3.0},),
        "fault_every_s": (0.2,),
        "servers": (2, 3),
        "think_s": (0.02, 0.05),
    },
    # Primaries are paused, and wake up when another leads.
    "pausing": {
        "faults": ({"pause": 3.0, "crash": 1.0},),
        "fault_every_s": (0.2, 0.4),
        "catalogs": (2, 3),
        "think_s": (0.02, 0.05),
        "readers": (8,),
    },
    # Machines stand still with their clocks, as long as is allowed.
    "standing still": {
        "faults": ({"stand_still": 4.0, "cut_off": 1.0, "crash": 1.0, "isolate": 1.0},),
        "fault_every_s": (0.2,),
        "catalogs": (2, 3),
        "pause_s": (0.8,),
        "primary_lease_s": (2.5,),
        "leases_s": ((1.0,),),
        "think_s": (0.02, 0.05),
        "readers": (12,),
    },
    # Keepers take the samples away, while buyers want them.
    "clearing": {
        "faults": ({"fail_over": 1.0, "cut_off": 1.0, "crash": 1.0}, {"restart_server": 1.0}),
        "fault_every_s": (0.8,),
        "catalogs": (2, 3),
        "caches": (1, 2),
        "samples": (1, 3),
        "stock": (6, 30),
        "think_s": (0.05, 0.15, 0.6),
    },
    # At the end the primary reaches the database alone.
    "deaf": {"deaf": (True,), "catalogs": (2, 3), "caches": (1, 2), "leases_s": ((1.0,),)},
    # Servers fail over while nodes are deaf.
    "failing over": {
        "faults": ({"fail_over": 3.0, "depose": 3.0, "isolate": 1.0, "cut_off": 1.0},),
        "fault_every_s": (0.8,),
        "servers": (2, 3),
        "think_s": (0.02, 0.05),
    },
    # Primaries sleep until another one has just begun.
    "oversleeping": {
        "faults": ({"oversleep": 1.0},),
        "fault_every_s": (0.8,),
        **PROMPT,
    },
    # Subscribers hear nothing, or soon nothing more, and their machines stand still.
    "standing apart": {
        "faults": ({"stand_apart": 1.0, "stand_last": 1.0},),
        "fault_every_s": (0.4,),
        "catalogs": (2, 3),
        "pause_s": (0.8,),
        "primary_lease_s": (2.5,),
        "leases_s": ((1.0,),),
        "think_s": (0.02, 0.05),
    },
    # No standby confirms anything, and all who wait for it are told that they need not.
    "wavering": {
        "faults": ({"waver": 1.0},),
        "fault_every_s": (0.8,),
        **{**PROMPT, "servers": (2, 3)},
    },
    # Primaries leave, and do not hear for a while that they have handed over.
    "leaving": {
        "faults": ({"leave_unheard": 1.0},),
        "fault_every_s": (0.8,),
        "catalogs": (2, 3),
        "think_s": (0.02, 0.05),
    },
    # What a primary writes arrives when another one has just begun.
    "belated": {
        "faults": ({"belate": 1.0},),
        "fault_every_s": (0.4,),
        **PROMPT,
    },
    # A standby shows what was never confirmed, and is lost.
    "stranding": {
        "faults": ({"strand": 1.0},),
        "fault_every_s": (1.0,),
        "readers": (12,),
        **{**PROMPT, "servers": (3,)},
    },
    # Standbys that are a little behind are asked first, and do not answer at once.
    "looking": {
        "faults": ({"lag": 1.0, "freeze_server": 1.0},),
        "servers": (2, 3),
        "asked_first": (1,),
        "query_s": (0.05,),
        "between": (0.9,),
        "apply_s": (0.05,),
        "think_s": (0.02,),
        "readers": (12,),
    },
    # Servers fail over to others that lack what was confirmed, as their operator has said they may.
    "losing": {
        "faults": ({"lose_commits": 1.0},),
        "fault_every_s": (0.8,),
        "may_lose_commits": (True,),
        **{**PROMPT, "servers": (2, 3)},
    },
    # The last that was written is lost, and nobody writes for a while.
    "idling": {
        "faults": ({"lose_last": 1.0},),
        "fault_every_s": (1.0,),
        "may_lose_commits": (True,),
        "readers": (8,),
        **{**PROMPT, "servers": (2, 3), "think_s": (2.0,)},
    },
    # Orders are cancelled, and undone, while primaries change and commits are in doubt.
    "giving back": {
        "faults": (
            {"cut_off": 1.0, "late_replies": 1.0, "fail_over": 1.0, "crash": 1.0},
            {"put_back": 1.0, "crash": 1.0},
        ),
        "fault_every_s": (0.8,),
        "orders": (2, 0),
        "caches": (1,),
        "stock": (6, 30),
        "repeats": (0.1, 0.3),
        "cancels": (0.5,),
        "may_lose_commits": (False, True),
        **{**PROMPT, "servers": (1, 3), "think_s": (0.02, 0.05)},
        "undos": (0.0, 0.7),
        "undo_s": (0.3, 0.1, 1.0),
        "walls_apart_s": (0.0, 0.2),
        "wall_tick_s": (0.0, 0.1),
    },
    # Keepers retire books and bring them back, while primaries change and standbys lag.
    "retiring": {
        "faults": ({"cut_off": 1.0, "fail_over": 1.0, "lag": 1.0, "crash": 1.0},),
        "fault_every_s": (0.8,),
        "orders": (2, 0),
        "caches": (1,),
        "stock": (6, 30),
        "cancels": (0.3,),
        "retires": (0.5,),
        "readers": (8,),
        **{**PROMPT, "servers": (1, 3), "think_s": (0.02, 0.05)},
    },
    # Databases are put back to an earlier moment.
    "restoring": {
        "faults": ({"put_back": 1.0},),
        "fault_every_s": (1.2,),
        **{**PROMPT, "servers": (1, 2)},
    },
}
