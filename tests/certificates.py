"""Certificates for tests, made by the `openssl` command, as docs/operations.md has operators do."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

LOCAL = "IP:127.0.0.1,IP:::1,DNS:localhost"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
AUTHORITY = """basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
"""
OPENSSL_S = 30.0


class Authority:
    """A CA in a directory of its own, and what it signs there."""

    def __init__(self, directory: Path, name: str = "ca", *, days: int = 30) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs the openssl command to make certificates")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.cert, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        self._make(name, ["-signkey", self.key], AUTHORITY, days)

    def sign(
        self, name: str, names: str = LOCAL, *, days: int = 30, extensions: str = ""
    ) -> dict[str, str]:
        """Make a key and its certificate, for these names; return what cluster.json calls `tls`."""
        named = f"subjectAltName={names}\n" if names else ""
        named += "authorityKeyIdentifier=keyid\n"
        cert, key = self._make(
            name, ["-CA", self.cert, "-CAkey", self.key], named + extensions, days
        )
        return {"ca": str(self.cert), "cert": str(cert), "key": str(key)}

    @staticmethod
    def spoil(tls: Mapping[str, str]) -> None:
        """Leave half of a key, as somebody does who writes it right now."""
        Path(tls["key"]).write_text("-----BEGIN PRIVATE KEY-----\n")

    def _make(
        self, name: str, signed: list[str | Path], extensions: str, days: int
    ) -> tuple[Path, Path]:
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request, more = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        openssl("req", "-new", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        more.write_text(extensions)
        openssl(
            *("x509", "-req", "-in", request, *signed),
            *("-days", str(days), "-set_serial", str(time.time_ns())),
            *("-extfile", more, "-out", cert),
        )
        return cert, key


def caller(tls: Mapping[str, str], *, shown: bool = True) -> ssl.SSLContext:
    """Return what a client speaks TLS with that trusts this CA, and with `shown` shows its own
    certificate."""
    context = ssl.create_default_context(cafile=tls["ca"])
    if shown:
        context.load_cert_chain(tls["cert"], tls["key"])
    return context


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=OPENSSL_S)
