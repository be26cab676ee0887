"""The paths of the calls between nodes."""

from __future__ import annotations

READ_PATH = "/read"
WRITE_PATH = "/write"
FORWARDED_PATH = "/write/forwarded"
KNOCK_PATH = "/knock"

SALES_PATH = "/sales"
NEWEST_PATH = "/sales/newest"

PURCHASES_PATH = "/purchases"
TRACE_PATH = "/stories/trace"
TRACES_PATH = "/stories"
STANDING_PATH = "/standing"
ADOPT_PATH = "/standing/adopt"
