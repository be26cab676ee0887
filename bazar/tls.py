"""The certificate of this machine, its key, and the CA that all machines of a shop trust.

The files are looked at whenever a connection begins, and read anew when one of them has changed:
a certificate is renewed without a restart. What can't be used is not taken, and is told once; what
was read before goes on.
"""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from bazar.errors import ConfigError

log = logging.getLogger(__name__)

DAY_S = 86_400.0
SOON_S = 14 * DAY_S  # before its end a certificate is spoken of, once a day
ROUNDS = 10  # of a handshake with ourselves; three are needed
NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which `ssl` has no name for
UNKNOWN_ISSUER = (18, 19, 20, 21)  # codes of OpenSSL
OTHER_NAME = (62, 64)  # for a name, for an address

Stamp = tuple[tuple[int, int], ...]


class _Contexts(NamedTuple):
    """What connections are made with: for ports of nodes alone, for those of everybody, for
    calls."""

    mutual: ssl.SSLContext
    public: ssl.SSLContext
    calling: ssl.SSLContext


class Credentials:
    """What this machine shows, and whom it trusts. Raises ConfigError that names the file."""

    def __init__(self, ca: Path, cert: Path, key: Path) -> None:
        self.ca, self.cert, self.key = ca, cert, key
        self._names = ""
        self._ends = 0.0
        self._reminded_at = 0.0
        self._trouble = ""
        self._stamp = self._look()
        self._contexts = self._read()

    def serving(self, *, mutual: bool) -> ssl.SSLContext:
        """Return the context for a connection that comes in: with `mutual` its client must show a
        certificate of the CA."""
        contexts = self._now()
        return contexts.mutual if mutual else contexts.public

    def toward(self, host: str) -> dict[str, Any]:
        """Return what asyncio needs for a connection to `host`, whose certificate must name it."""
        return {"ssl": self._now().calling, "server_hostname": _without_zone(host)}

    def require_name(self, host: str, place: str) -> None:
        """Raises ConfigError if no peer would take this certificate for that of `host`."""
        try:
            _shake(self._contexts.mutual, self._contexts.calling, _without_zone(host))
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in OTHER_NAME:
                raise ConfigError(f"tls.cert: {self.cert}: {error.verify_message}") from error
            raise ConfigError(
                f"{place}: {host} is not named by the certificate {self.cert}: its subjectAltName"
                f" has {self._names or 'nothing'}"
            ) from error

    # --- reading ---------------------------------------------------------------------------------

    def _now(self) -> _Contexts:
        """Return the contexts of the files as they are now, as far as these can be used."""
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp  # whatever comes of it: it is not tried again and again
                self._contexts = self._read()
                log.info("%s: read anew", self.cert)
        except ConfigError as error:
            if str(error) != self._trouble:
                log.error("%s: what was read before goes on", error)
            self._trouble = str(error)
        self._remind(time.time())
        return self._contexts

    def _look(self) -> Stamp:
        """Return what changes with the files."""
        found = []
        for place, path in self._files():
            try:
                status = path.stat()
            except OSError as error:
                raise ConfigError(f"{place}: {path}: {error.strerror or error}") from error
            found.append((status.st_ino, status.st_ctime_ns))  # its mode's change is one, too
        return tuple(found)

    def _files(self) -> tuple[tuple[str, Path], ...]:
        return ("tls.ca", self.ca), ("tls.cert", self.cert), ("tls.key", self.key)

    def _read(self) -> _Contexts:
        ca, cert, key = (_content(place, path) for place, path in self._files())
        for place, path, content, what in (
            ("tls.ca", self.ca, ca, "CERTIFICATE-----"),
            ("tls.cert", self.cert, cert, "CERTIFICATE-----"),
            ("tls.key", self.key, key, "PRIVATE KEY-----"),
        ):
            if what.encode() not in content:
                raise ConfigError(f"{place}: {path}: has no '-----BEGIN … {what}' (PEM)")
        if self.key.stat().st_mode & 0o007:
            raise ConfigError(f"tls.key: {self.key}: is open to everybody: chmod 600 {self.key}")
        mutual = self._trust(self._context(server=True))
        calling = self._trust(self._context(server=False))
        self._judge(mutual)
        return _Contexts(mutual, self._context(server=True), calling)

    def _context(self, *, server: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.hostname_checks_common_name = False
        try:
            context.load_cert_chain(self.cert, self.key, self._refuse_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                why = f"tls.key: {self.key}: is not the key of {self.cert}"
            else:
                why = f"tls.cert, tls.key: {self.cert}, {self.key}: {error.reason or error}"
            raise ConfigError(why) from error
        return context

    def _refuse_password(self) -> NoReturn:
        raise ConfigError(f"tls.key: {self.key}: has a password, and nobody is there to type it")

    def _trust(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Have the other end show a certificate of the CA."""
        try:
            context.load_verify_locations(self.ca)
        except ssl.SSLError as error:
            raise ConfigError(f"tls.ca: {self.ca}: {error.reason or error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _judge(self, serving: ssl.SSLContext) -> None:
        """See what peers will see: have this machine call itself. Raises ConfigError."""
        calling = self._trust(self._context(server=False))
        calling.check_hostname = False
        authorities = calling.get_ca_certs()
        if not authorities:
            raise ConfigError(f"tls.ca: {self.ca}: has no certificate of a CA (CA:TRUE)")
        for one in (serving, calling):  # to see from when to when they are valid
            one.verify_flags |= NO_CHECK_TIME
        shown = self._seen(serving, calling)
        for one in (serving, calling):
            one.verify_flags &= ~NO_CHECK_TIME
        _refuse_time("tls.cert", self.cert, shown)
        if len(authorities) == 1:
            _refuse_time("tls.ca", self.ca, authorities[0])
        self._seen(serving, calling)
        self._names = ", ".join(f"{kind}:{name}" for kind, name in shown.get("subjectAltName", ()))
        self._ends = ssl.cert_time_to_seconds(shown["notAfter"])

    def _seen(self, serving: ssl.SSLContext, calling: ssl.SSLContext) -> Any:
        try:
            return _shake(serving, calling)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in UNKNOWN_ISSUER:
                raise ConfigError(f"tls.cert: {self.cert}: is not signed by {self.ca}") from error
            raise ConfigError(
                f"tls.cert: {self.cert}: {error.verify_message} (nodes show it as servers and as"
                " clients: serverAuth, clientAuth)"
            ) from error
        except ssl.SSLError as error:
            raise ConfigError(f"tls.cert: {self.cert}: {error.reason or error}") from error

    def _remind(self, now: float) -> None:
        """Say once a day that the certificate ends soon."""
        if now > self._ends - SOON_S and now > self._reminded_at + DAY_S:
            self._reminded_at = now
            days = (self._ends - now) / DAY_S
            log.warning(
                "%s: %s: put a new one in its place; nothing needs a restart",
                self.cert,
                f"ends in {days:.1f} days" if days > 0 else "has ended, and no peer takes it",
            )


def _content(place: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{place}: {path}: {error.strerror or error}") from error


def _without_zone(host: str) -> str:
    """Return what a certificate can name of `host`: fe80::1%eth0 is ours alone to call so."""
    return host.partition("%")[0]


def _refuse_time(place: str, path: Path, certificate: Any) -> None:
    """Raises ConfigError if the certificate is not valid now."""
    begins, ends = certificate["notBefore"], certificate["notAfter"]
    if ssl.cert_time_to_seconds(ends) < time.time():
        raise ConfigError(f"{place}: {path}: expired on {ends}")
    if ssl.cert_time_to_seconds(begins) > time.time():
        raise ConfigError(f"{place}: {path}: is valid from {begins} on: is this clock right?")


def _shake(
    serving: ssl.SSLContext, calling: ssl.SSLContext, host: str | None = None
) -> dict[str, Any]:
    """Return the certificate that a client sees, after a handshake in memory. Raises SSLError."""
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(here, there, server_side=True)
    client = calling.wrap_bio(there, here, server_hostname=host)
    for _ in range(ROUNDS):
        waits = False
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waits = True
        if not waits:
            break
    return dict(client.getpeercert() or {})
