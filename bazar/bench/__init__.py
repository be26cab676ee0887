"""What `python -m bazar bench` measures, and what it measures with.

    children     processes that are started, pinned to a core, and surely stopped
    cluster      the shop of cluster.json on free ports, in a directory of its own
    caller       one blocking connection: setting up, and timing one request after the other
    load         a load, its result, and who makes it: `wrk`, or `client` in processes of its own
    latency      how long requests took;  popularity: which book a reader wants
    peers        what users would pick instead
    sections/    one kind of measurement a file: figures for JSON, and their table
    plots        curves of the figures;  report: tables and the machine

All of it talks to 127.0.0.1 only. Nothing here is used by the shop itself.
"""
