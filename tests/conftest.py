"""What all tests have in common: none depends on how fast the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgresql.fixtures"]

# By default an example fails that takes longer than 0.2 s, or is slow to make up.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
