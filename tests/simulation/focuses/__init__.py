"""The focuses of worlds, by what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Focuses = Mapping[str, Mapping[str, tuple[Any, ...]]]
"""By name: the draws of a profile that are overridden; of several values one is drawn."""
