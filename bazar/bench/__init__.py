"""What `python -m bazar bench` measures, and what it measures with.

    children     processes that are started, pinned to a core, and surely stopped
    checkout     whose nodes run: this tree's, or another one's
    cluster      the shop of cluster.json on free ports, in a directory of its own
    processor    the processor time of a node's processes
    http_client  one blocking connection: setting up, and timing one request after the other
    load         a load, its result, and who makes it: `wrk`, or processes of `load_client`
    quantiles    of how long requests took
    popularity   which book a reader wants
    workload     what users ask, said once for what it takes and for what it costs
    experiment   a shop, and what is measured of it, of any checkout alike
    against      two checkouts in turn;  comparison: their figures side by side
    nginx        what users would pick instead, and tornado_baseline
    sections/    one kind of measurement a file: figures for JSON, and their table
    plots        curves of the figures;  report: tables and the machine

All of it talks to 127.0.0.1 only. Nothing here is used by the shop itself.
"""
