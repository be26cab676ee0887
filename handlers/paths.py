"""The paths of the calls between nodes."""

from __future__ import annotations

READ_PATH = "/read"
WRITE_PATH = "/write"
FORWARDED_PATH = "/write/forwarded"
KNOCK_PATH = "/knock"

SALES_PATH = "/sales"
CANCELLATIONS_PATH = "/cancellations"
NEWEST_PATH = "/sales/newest"

PURCHASES_PATH = "/purchases"
LISTING_PATH = "/listing"
BEGIN_TRACING_PATH = "/stories/trace"
TRACE_OF_SALE_PATH = "/stories"
STANDING_PATH = "/standing"
ADOPT_PATH = "/standing/adopt"

LINKS_PATH = "/links"
