"""Where a request goes and where it comes from, read alike at every port: the host that it is for,
and the client that a proxy speaks for."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine

from bazar.http.served_request import ClientContext, ServedRequest

Network = IPv4Network | IPv6Network

FORWARDED = "Forwarded"
FORWARDED_FOR = "X-Forwarded-For"
KNOWN_HOSTS = 64  # values of Host of which it is remembered whether they are ours
MAX_KNOWN = 4096  # addresses of which it is remembered whether they are proxies

_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<target>.*)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]*$")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENTS = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_WELL_QUOTED = re.compile(rf'(?:[^"]|{_QUOTED})*+')
_PAIRS = re.compile(rf"(?<![A-Za-z])([A-Za-z]+)=({_QUOTED}|[^;\"\s]+)")
_NODE = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<v4>[0-9.]+))(?::[0-9]+)?|(?P<bare>[0-9a-f:.]+)")


def in_origin_form(request: ServedRequest) -> ServedRequest:
    """Return the same request with a path for its target, if it came with a whole URL, as to a
    proxy: then the URL says which host is meant, and not Host (RFC 9112 section 3.2.2). Raises
    HTTPInputError."""
    target = request.uri or ""
    match = None if target.startswith("/") else _ABSOLUTE.fullmatch(target)
    if match is None:
        return request
    if "@" in match["authority"] or not match["authority"]:
        raise HTTPInputError("the target's host is not one")
    assert request.connection is not None
    headers = request.headers.copy()
    headers["Host"] = match["authority"]
    path = match["target"] if match["target"].startswith("/") else f"/{match['target']}"
    return ServedRequest(
        RequestStartLine(request.method or "", path, request.version),
        headers,
        request.body,
        request.connection,
        ClientContext(request.remote_ip or "", request.protocol),
    )


class Hosts:
    """The names that are a node's own. Under any other a page of another site may have been led
    here (DNS rebinding), and would be taken for one of ours."""

    def __init__(self, names: Iterable[str], *, any_address: bool = False) -> None:
        """Take an address for an own name, too, with `any_address`: for a node that listens on all
        it has, where there is no name that could be led elsewhere."""
        self._names = {_bare(name) for name in (*names, "localhost", "127.0.0.1", "[::1]")}
        self._any_address = any_address
        self.own = functools.lru_cache(KNOWN_HOSTS)(self._own)

    def _own(self, host: str) -> bool:
        """Whether this value of Host names us, on whatever port: proxies have ports of their
        own."""
        name = _PORT.sub("", host).lower()
        return _bare(name) in self._names or (self._any_address and _address(name) is not None)


def _bare(name: str) -> str:
    """Return the one spelling of a name or an address."""
    address = _address(name)
    return name.lower().removesuffix(".") if address is None else address


def _address(text: str) -> str | None:
    """Return the address that is written there, in its one spelling; None if there is none."""
    match = _NODE.fullmatch(text.strip().lower())
    try:
        return str(ip_address(match["v6"] or match["v4"] or match["bare"])) if match else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Visitor:
    """The client: its address and, as far as they are known, how it came and the host it asked."""

    address: str
    protocol: str | None = None
    host: str | None = None


class Proxies:
    """The proxies that may speak for others: what any other client says of itself is not heard."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self.trust = functools.lru_cache(MAX_KNOWN)(self._trust)

    def _trust(self, address: str) -> bool:
        """Whether this is the address of one of them."""
        if not self._networks or _address(address) is None:
            return False
        known = ip_address(address)
        known = getattr(known, "ipv4_mapped", None) or known
        return any(known in network for network in self._networks)

    def visitor(self, peer: str, headers: HTTPHeaders) -> Visitor:
        """Return the client behind `peer`. Where the two ways to say so differ, one of them has
        come through a proxy that does not know it: neither is believed."""
        if not self.trust(peer):
            return Visitor(peer)
        told = [
            read(peer, headers)
            for name, read in ((FORWARDED, self._forwarded), (FORWARDED_FOR, self._x_forwarded))
            if name in headers
        ]
        if not told:
            return self._x_forwarded(peer, headers)
        return told[0] if all(one.address == told[0].address for one in told) else Visitor(peer)

    def _forwarded(self, peer: str, headers: HTTPHeaders) -> Visitor:
        """Read RFC 7239's header: each proxy adds an element about its client. A quote that a
        client has left open would take what the proxies have added for its own words: then none of
        it counts."""
        if not _WELL_QUOTED.fullmatch(headers[FORWARDED]):
            return Visitor(peer)
        elements = [
            {name.lower(): _unquoted(value) for name, value in _PAIRS.findall(element)}
            for element in _ELEMENTS.findall(headers[FORWARDED])
        ]
        at, address = self._first(peer, [element.get("for", "") for element in elements])
        said = elements[at] if elements else {}
        return Visitor(address, _protocol(said.get("proto")), said.get("host") or None)

    def _x_forwarded(self, peer: str, headers: HTTPHeaders) -> Visitor:
        """Read the same from headers of their own; of protocol and host the last proxy's word
        counts."""
        _, address = self._first(peer, headers.get(FORWARDED_FOR, "").split(","))
        protocol, host = (
            headers.get(f"X-Forwarded-{what}", "").rpartition(",")[2].strip() or None
            for what in ("Proto", "Host")
        )
        return Visitor(address, _protocol(protocol), host)

    def _first(self, peer: str, hops: Sequence[str]) -> tuple[int, str]:
        """Return, from the last hop on, the first that is none of ours, with its place: what stands
        before it is its own word alone. Where a hop is no address, return the one that has told it.
        """
        address, at = peer, 0
        for at in range(len(hops) - 1, -1, -1):
            hop = _address(hops[at])
            if hop is None:
                break
            address = hop
            if not self.trust(hop):
                break
        return at, address


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _protocol(told: str | None) -> str | None:
    return told.lower() if told is not None and told.lower() in ("http", "https") else None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What a node makes of the requests that come to it."""

    hosts: Hosts
    proxies: Proxies

    def seen(self, request: ServedRequest) -> ServedRequest:
        """Return the request as its client meant it. Raises HTTPInputError."""
        request = in_origin_form(request)
        peer = request.remote_ip or ""
        if self.proxies.trust(peer):
            visitor = self.proxies.visitor(peer, request.headers)
            request.remote_ip = visitor.address
            request.protocol = visitor.protocol or request.protocol
            if visitor.host is not None:
                request.headers = request.headers.copy()
                request.headers["Host"] = request.host = visitor.host
        return request
