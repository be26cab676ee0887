"""What the header lines of a request for a known target mean, read without parsing all of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from bazar import trace_context
from bazar.http.forwarded import Arrivals
from bazar.http.headers import Headers
from bazar.http.parser import KEPT_BYTES

NAMES = (b"\r\nhost:", b"\r\ntraceparent:", b"\r\nx-request-id:", b"\r\nif-none-match:")
_HOST = re.compile(rb"(?:[\[\]:A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+")


class KnownFields(NamedTuple):
    """The id that the request brings, its If-None-Match, and the address of the client; empty where
    there is none."""

    request_id: bytes
    if_none_match: bytes
    client: bytes


class FieldsReader:
    """Reads those of one connection: most clients send the same lines with every request, which
    come as the same object. `last` has the lines that were read last, and what they mean."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self.last: tuple[bytes, KnownFields | None] = b"", None

    def read(self, lines: bytes, peer: str) -> KnownFields | None:
        """Do what `read_fields` does."""
        fields = read_fields(lines, peer, self._arrivals)
        if len(lines) <= KEPT_BYTES:
            self.last = lines, fields
        return fields


def read_fields(fields: bytes, peer: str, arrivals: Arrivals) -> KnownFields | None:
    """Read header lines that came from `peer`. Return None if one that matters is there twice, or
    if Host is not as it must be: then the application shall answer."""
    lower = fields.lower()
    values = []
    for name in NAMES:
        before, found, after = lower.partition(name)
        if name in after:
            return None
        at = len(before) + len(found)
        values.append(fields[at : fields.find(b"\r\n", at)].strip(b" \t") if found else b"")
    host, traceparent, request_id, condition = values
    if not _HOST.fullmatch(host):
        return None
    asked = host.decode()
    if arrivals.proxies.trust(peer):
        visitor = arrivals.proxies.visitor(peer, Headers.read(fields[2:].decode("latin-1")))
        peer, asked = visitor.address, visitor.host or asked
    if not arrivals.hosts.own(asked):
        return None
    given = trace_context.given(traceparent.decode("latin-1"), request_id.decode("latin-1"))
    return KnownFields(given.encode(), condition, peer.encode())
