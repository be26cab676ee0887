"""A certificate and its key, as a server shows them to everybody.

The files are looked at whenever a connection begins, and read anew when one of them has changed: a
certificate is renewed without a restart. What can't be used is not taken, and is told once; what
was read before goes on.
"""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path
from typing import Any, NoReturn

from bazar.errors import ConfigError

log = logging.getLogger(__name__)

DAY_S = 86_400.0
SOON_S = 14 * DAY_S  # before its end a certificate is spoken of, once a day
ROUNDS = 10  # of a handshake with ourselves; three are needed
NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which `ssl` has no name for

Stamp = tuple[tuple[int, int], ...]


class Certificate:
    """What is shown. `place` is where cluster.json names it. Raises ConfigError that names the
    file."""

    def __init__(self, cert: Path, key: Path, place: str) -> None:
        self.cert, self.key, self.place = cert, key, place
        self._names = ""
        self._ends = 0.0
        self._reminded_at = 0.0
        self._trouble = ""
        self._stamp = self._look()
        self._read()

    def serving(self) -> ssl.SSLContext:
        """Return the context for a connection that comes in, from whomever."""
        self._look_again()
        return self._public

    # --- reading ---------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """Take the files as they are now, as far as these can be used."""
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp  # whatever comes of it: it is not tried again and again
                self._read()
                log.info("%s: read anew", self.cert)
        except ConfigError as error:
            if str(error) != self._trouble:
                log.error("%s: what was read before goes on", error)
            self._trouble = str(error)
        else:
            self._trouble = ""
        self._remind(time.time())

    def _look(self) -> Stamp:
        """Return what changes with the files."""
        found = []
        for place, path in self._files().items():
            try:
                status = path.stat()
            except OSError as error:
                raise ConfigError(f"{place}: {path}: {error.strerror or error}") from error
            found.append((status.st_ino, status.st_ctime_ns))  # its mode's change is one, too
        return tuple(found)

    def _files(self) -> dict[str, Path]:
        """Return the files by their places in cluster.json."""
        return {f"{self.place}.cert": self.cert, f"{self.place}.key": self.key}

    def _read(self) -> None:
        """Take what is in the files now. Raises ConfigError, and takes nothing then."""
        self._refuse_other_files()
        public = self._context(server=True)
        self._take(public, self._believing(self.cert, whole_chain=False))
        self._public = public

    def _refuse_other_files(self) -> None:
        for place, path in self._files().items():
            what = "PRIVATE KEY-----" if path is self.key else "CERTIFICATE-----"
            if what.encode() not in _content(place, path):
                raise ConfigError(f"{place}: {path}: has no '-----BEGIN … {what}' (PEM)")
        if self.key.stat().st_mode & 0o007:
            raise ConfigError(
                f"{self.place}.key: {self.key}: is open to everybody: chmod 600 {self.key}"
            )

    def _context(self, *, server: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.hostname_checks_common_name = False
        try:
            context.load_cert_chain(self.cert, self.key, self._refuse_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                why = f"{self.place}.key: {self.key}: is not the key of {self.cert}"
            else:
                both = f"{self.place}.cert, {self.place}.key: {self.cert}, {self.key}"
                why = f"{both}: {error.reason or error}"
            raise ConfigError(why) from error
        return context

    def _refuse_password(self) -> NoReturn:
        raise ConfigError(
            f"{self.place}.key: {self.key}: has a password, and nobody is there to type it"
        )

    def _believing(self, trusted: Path, *, whole_chain: bool) -> ssl.SSLContext:
        """Return a client's context that trusts what is in this file; without the `whole_chain` a
        certificate need not lead to a CA."""
        context = self._context(server=False)
        context.check_hostname = False
        if not whole_chain:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._trust(context, trusted)
        return context

    def _trust(self, context: ssl.SSLContext, trusted: Path) -> None:
        """Have the other end show a certificate that this file vouches for."""
        try:
            context.load_verify_locations(trusted)
        except ssl.SSLError as error:
            place = next(one for one, path in self._files().items() if path is trusted)
            raise ConfigError(f"{place}: {trusted}: {error.reason or error}") from error
        context.verify_mode = ssl.CERT_REQUIRED

    def _take(self, serving: ssl.SSLContext, calling: ssl.SSLContext) -> None:
        """See what a client will see: have this machine call itself, at first whenever the
        certificate is valid. Raises ConfigError."""
        for one in (serving, calling):
            one.verify_flags |= NO_CHECK_TIME
        shown = self._seen(serving, calling)
        for one in (serving, calling):
            one.verify_flags &= ~NO_CHECK_TIME
        self._judge_time(serving, calling, shown)
        self._names = ", ".join(f"{kind}:{name}" for kind, name in shown.get("subjectAltName", ()))
        self._ends = ssl.cert_time_to_seconds(shown["notAfter"])

    def _judge_time(
        self, serving: ssl.SSLContext, calling: ssl.SSLContext, shown: dict[str, Any]
    ) -> None:
        """Say that it is not valid now. It is shown all the same: browsers say so, too, and let
        people in who want to, where a shop that is closed lets in nobody."""
        try:
            refuse_time(f"{self.place}.cert", self.cert, shown)
        except ConfigError as error:
            log.error("%s", error)

    def _seen(self, serving: ssl.SSLContext, calling: ssl.SSLContext) -> dict[str, Any]:
        try:
            return shake(serving, calling)
        except ssl.SSLError as error:
            raise ConfigError(f"{self.place}.cert: {self.cert}: {self._why(error)}") from error

    def _why(self, error: ssl.SSLError) -> str:
        """Return why nobody would take this certificate."""
        return getattr(error, "verify_message", None) or error.reason or str(error)

    def _remind(self, now: float) -> None:
        """Say once a day that the certificate ends soon."""
        if now > self._ends - SOON_S and now > self._reminded_at + DAY_S:
            self._reminded_at = now
            days = (self._ends - now) / DAY_S
            log.warning(
                "%s: %s: put a new one in its place; nothing needs a restart",
                self.cert,
                f"ends in {days:.1f} days" if days > 0 else "has ended, and nobody takes it",
            )


def _content(place: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{place}: {path}: {error.strerror or error}") from error


def refuse_time(place: str, path: Path, certificate: Any) -> None:
    """Raises ConfigError if the certificate is not valid now."""
    begins, ends = certificate["notBefore"], certificate["notAfter"]
    if ssl.cert_time_to_seconds(ends) < time.time():
        raise ConfigError(f"{place}: {path}: expired on {ends}")
    if ssl.cert_time_to_seconds(begins) > time.time():
        raise ConfigError(f"{place}: {path}: is valid from {begins} on: is this clock right?")


def shake(
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
