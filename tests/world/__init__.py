"""A world in one thread, decided by a seed: event loops, networks and files for real asyncio code.

Each simulated process has an event loop of its own (`loop`), over a simulated network (`network`),
file system (`files`) and PostgreSQL (`database`). The code under test is not changed: it awaits,
sends and writes as usual. Between any two of its steps other processes may have run, it may have
been paused or killed, and its clock is only as exact as promised.

The roots: FoundationDB's simulation (Zhou et al., SIGMOD 2021), TigerBeetle's VOPR.
"""
