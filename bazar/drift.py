"""By how much the clocks of two nodes may differ in rate."""

from __future__ import annotations

DRIFT = 0.01
"""While one counts a second, the other counts no less than 0.99 and no more than 1.01 (L1)."""
