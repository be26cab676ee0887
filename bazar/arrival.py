"""What a request says of where it goes, read alike at every port."""

from __future__ import annotations

import re

from tornado.httputil import HTTPInputError, HTTPServerRequest, RequestStartLine

_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<target>.*)", re.IGNORECASE)


def in_origin_form(request: HTTPServerRequest) -> HTTPServerRequest:
    """The same request with a path for its target, if it came with a whole URL, as to a proxy: then
    the URL says which host is meant, and not Host (RFC 9112 section 3.2.2). Raises
    HTTPInputError."""
    match = _ABSOLUTE.fullmatch(request.uri or "")
    if match is None:
        return request
    if "@" in match["authority"] or not match["authority"]:
        raise HTTPInputError("the target's host is not one")
    request.headers["Host"] = match["authority"]
    path = match["target"] if match["target"].startswith("/") else f"/{match['target']}"
    return HTTPServerRequest(
        connection=request.connection,
        server_connection=request.server_connection,
        start_line=RequestStartLine(request.method or "", path, request.version),
        headers=request.headers,
    )
