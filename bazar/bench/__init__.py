"""What `python -m bazar bench` measures, and what it measures with.

    children     processes that are started, pinned to a core, and always stopped
    checkout     the tree whose nodes run: this one, or another one
    cluster      the shop of cluster.json on free ports, in a directory of its own
    processor    the processor time of a node's processes
    http_client  one blocking connection: for setting up, and for timing single requests
    load         a load, its result, and its generator: `wrk`, or processes of `load_client`
    quantiles    the quantiles of latencies
    popularity   how often readers want each book
    workload     the requests of users, for throughput and for processor time
    experiment   a shop, and what is measured of it, for every checkout alike
    against      two checkouts in turn;  comparison: their figures side by side
    nginx        what users would choose instead;  baselines: a constant, in Python's servers
    sections/    one kind of measurement per file: figures for JSON, and their table
    plots        curves of the figures;  report: tables and the machine

All of it talks to 127.0.0.1 only. Nothing here is used by the shop itself.
"""
