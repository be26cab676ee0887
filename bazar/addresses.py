"""Hosts, as cluster.json names them, and whether they are this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from typing import Any
from urllib.parse import urlsplit

from bazar.errors import ConfigError
from bazar.http.forwarded import Network

LOOPBACK = ("127.0.0.1", "localhost", "::1")
NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
HOST = re.compile(rf"{NAME.pattern}|\[[0-9A-Fa-f:.]+\]")
DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return whether no other machine reaches `host`."""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_own(host: str) -> bool:
    """Return whether `host` is an address of this machine."""
    if host in LOOPBACK:
        return True
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in found:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as one:
            one.bind(address)
            return True
    return False


def origin(url: Any) -> str:
    """Return a URL as browsers write its origin: without a path, and without a port that its scheme
    implies. Raises ConfigError."""
    if url == "":
        return ""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"public_url: {url!r}: {error}") from None
    if parts.scheme not in DEFAULT_PORTS or not HOST.fullmatch(host_of(url)) or "@" in url:
        raise ConfigError(f"public_url: {url!r} is not like https://shop.example")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"public_url: {url!r} has a path; the shop is at the top of its host")
    shown = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host_of(url)}{shown}"


def host_of(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def host(text: str) -> str:
    if not HOST.fullmatch(text):
        raise ValueError(
            "is not a host, as browsers send it without the port: shop.example, 192.0.2.1, [::1],"
            " or xn--bcher-kva.example for one in other letters"
        )
    return text


def network(text: str) -> Network:
    """An address, or a network. Raises ValueError."""
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("is an address of IPv4, and is to be written as such: 192.0.2.1")
    return network


def refuse_unreachable(host: str, place: str) -> None:
    """Raises ConfigError unless it is a name or an address, as a socket takes it: an empty one
    would be all that the machine has."""
    if NAME.fullmatch(host):
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ConfigError(
            f"{place}: {host!r} is not a host: shop.example, 192.0.2.1 or ::1 (without a port)"
        ) from None


def server(text: str) -> str:
    """A database server's address, with its port. Raises ValueError."""
    name, _, port = text.rpartition(":")
    if not HOST.fullmatch(name) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("is not like db1.example:5432, or [::1]:5432")
    return text
