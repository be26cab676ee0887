"""Certificates for tests, made by the `openssl` command, as docs/operations.md has operators do."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

LOCAL = "IP:127.0.0.1,IP:::1,DNS:localhost"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
OPENSSL_S = 30.0


class Authority:
    """A CA in a directory of its own, and what it signs there."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs the openssl command to make certificates")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.cert, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        openssl(
            *("req", "-x509", *KEY, "-days", "30", "-subj", f"/CN={name}"),
            *("-keyout", self.key, "-out", self.cert),
        )

    def sign(
        self, name: str, names: str = LOCAL, *, days: int = 30, extensions: str = ""
    ) -> dict[str, str]:
        """Make a key and its certificate, for these names; return what cluster.json calls `tls`."""
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request, more = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        openssl("req", "-new", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        more.write_text(f"subjectAltName={names}\n{extensions}" if names else extensions)
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key),
            *("-days", str(days), "-extfile", more, "-out", cert),
        )
        return {"ca": str(self.cert), "cert": str(cert), "key": str(key)}


def caller(tls: Mapping[str, str], *, shown: bool = True) -> ssl.SSLContext:
    """Return what a client speaks TLS with that trusts this CA, and with `shown` shows its own
    certificate."""
    context = ssl.create_default_context(cafile=tls["ca"])
    if shown:
        context.load_cert_chain(tls["cert"], tls["key"])
    return context


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=OPENSSL_S)
