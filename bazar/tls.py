"""What nodes of several machines know each other by: the certificate of this machine, its key, and
the CA that all machines of a shop trust."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from bazar.certificate import Certificate, refuse_time, shake
from bazar.errors import ConfigError

UNKNOWN_ISSUER = (18, 19, 20, 21)  # codes of OpenSSL
OTHER_NAME = (62, 64)  # for a name, for an address


class Credentials(Certificate):
    """What this machine shows, to everybody or to nodes alone, and whom it trusts."""

    def __init__(self, ca: Path, cert: Path, key: Path) -> None:
        self.ca = ca
        super().__init__(cert, key, "tls")

    def serving_nodes(self) -> ssl.SSLContext:
        """Return the context for a connection whose client must show a certificate of the CA."""
        self._look_again()
        return self._mutual

    def toward(self, host: str) -> dict[str, Any]:
        """Return what asyncio needs for a connection to `host`, whose certificate must name it."""
        self._look_again()
        return {"ssl": self._calling, "server_hostname": _without_zone(host)}

    def require_name(self, host: str, place: str) -> None:
        """Raises ConfigError if no peer would take this certificate for that of `host`."""
        try:
            shake(self._mutual, self._calling, _without_zone(host))
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in OTHER_NAME:
                raise ConfigError(f"tls.cert: {self.cert}: {error.verify_message}") from error
            raise ConfigError(
                f"{place}: {host} is not named by the certificate {self.cert}: its subjectAltName"
                f" has {self._names or 'nothing'}"
            ) from error

    def _files(self) -> dict[str, Path]:
        return {"tls.ca": self.ca, **super()._files()}

    def _read(self) -> None:
        self._refuse_other_files()
        mutual, calling = self._context(server=True), self._believing(self.ca, whole_chain=True)
        self._trust(mutual, self.ca)
        authorities = calling.get_ca_certs()
        if not authorities:
            raise ConfigError(f"tls.ca: {self.ca}: has no certificate of a CA (CA:TRUE)")
        if len(authorities) == 1:
            refuse_time("tls.ca", self.ca, authorities[0])
        self._take(mutual, calling)
        calling.check_hostname = True
        self._public, self._mutual, self._calling = self._context(server=True), mutual, calling

    def _judge_time(
        self, serving: ssl.SSLContext, calling: ssl.SSLContext, shown: dict[str, Any]
    ) -> None:
        """Raises ConfigError if it is not valid now: no peer would take it."""
        refuse_time("tls.cert", self.cert, shown)
        self._seen(serving, calling)

    def _why(self, error: ssl.SSLError) -> str:
        if not isinstance(error, ssl.SSLCertVerificationError):
            return super()._why(error)
        if error.verify_code in UNKNOWN_ISSUER:
            return f"is not signed by {self.ca}"
        why = "nodes show it as servers and as clients: serverAuth, clientAuth"
        return f"{error.verify_message} ({why})"


def _without_zone(host: str) -> str:
    """Return what a certificate can name of `host`: fe80::1%eth0 is ours alone to call so."""
    return host.partition("%")[0]
