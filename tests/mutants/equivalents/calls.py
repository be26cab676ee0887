"""Of the cache, and of the calls between nodes."""

from __future__ import annotations

from tests.mutants.equivalent import Equivalent

FRAMES = "bazar/rpc/frames.py"
CLIENT = "bazar/rpc/client.py"
BATCHER = "bazar/rpc/batcher.py"

ALL = (
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
)
