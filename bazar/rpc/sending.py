"""One request as libcurl sends it: its body, the certificates, and what a failure means."""

from __future__ import annotations

import io

import pycurl
from tornado.curl_httpclient import CurlError

from bazar.errors import BazarError, Indeterminate, Unavailable, Untrusted
from bazar.tls import Credentials

# The errors by which libcurl says that no byte of the request was sent.
NEVER_SENT = {
    pycurl.E_COULDNT_CONNECT: Unavailable,
    pycurl.E_COULDNT_RESOLVE_HOST: Unavailable,
    pycurl.E_SSL_CONNECT_ERROR: Untrusted,
    pycurl.E_SSL_CERTPROBLEM: Untrusted,
    pycurl.E_PEER_FAILED_VERIFICATION: Untrusted,
}


class Sending:
    """A request's body, which knows whether any of it was sent."""

    def __init__(self, content: bytes, tls: Credentials | None) -> None:
        self._begun = False
        self._file = io.BytesIO(content)
        self._tls = tls

    def install(self, curl: pycurl.Curl) -> None:
        """Have libcurl send the body, to the node itself and not to a proxy of the environment. It
        reads certificates whenever it connects."""
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.READFUNCTION, self._read)
        curl.setopt(pycurl.SEEKFUNCTION, self._seek)
        if self._tls is not None:
            curl.setopt(pycurl.CAINFO, str(self._tls.ca))
            curl.setopt(pycurl.SSLCERT, str(self._tls.cert))
            curl.setopt(pycurl.SSLKEY, str(self._tls.key))

    def _read(self, size: int) -> bytes:
        self._begun = True
        return self._file.read(size)

    def _seek(self, offset: int, origin: int) -> int:
        self._file.seek(offset, origin)
        return int(pycurl.SEEKFUNC_OK)

    def failure(self, error: CurlError) -> type[BazarError]:
        """Return what this error means. When a reused connection dies, libcurl sends the request
        again by itself on a new one: if that is refused, it says nothing about the first."""
        return Indeterminate if self._begun else NEVER_SENT.get(error.errno, Indeterminate)
