"""A world in one thread, decided by a seed: event loops, networks and files for real asyncio code.

Each simulated process has an event loop of its own (`loop`), over a network (`network`) and a file
system (`files`) that are simulated, too. Its code is not changed: it awaits, sends and writes as
ever. What it can't know is that between any two steps of it the others may have gone on, that it
may have been paused for a while or killed, and that its clock is no better than promised.

The roots: FoundationDB's simulation (Zhou et al., SIGMOD 2021), TigerBeetle's VOPR.
"""
