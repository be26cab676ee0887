"""The keeper's session: a cookie that says until when it is good, and that the shop has made it.

It is kept nowhere. Its code is an HMAC (RFC 2104) under a key that is made of the cluster's token:
every process of every front end takes it, a restart ends none, and `token change` ends them all.
It has two ends, as OWASP's Session Management Cheat Sheet wants them: one that each page puts off,
and one that nothing does.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re

from bazar.node.server import Context

COOKIE = "keeper"
IDLE_S = 3600
LONGEST_S = 12 * 3600
PUT_OFF_S = 60  # after so long the first end is put off again

# When it ends unused, and when in any case, in seconds since 1970; and the code of both.
_COOKIE = re.compile(r"(([0-9]{1,12})\.([0-9]{1,12}))\.([0-9a-f]{64})", re.ASCII)


class Sessions:
    """Begins sessions, and knows them again."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def begin(self) -> str:
        """Return the cookie of a new session."""
        now = self._now()
        return _cookie(self._context.token, now, now + LONGEST_S)

    def goes_on(self, cookie: str) -> str | None:
        """Return the cookie to go on with, this one or a later one; None if the shop has not made
        it, or its session has ended."""
        match = _COOKIE.fullmatch(cookie)
        if match is None:
            return None
        token = self._token_of(match[1], match[4])
        idle_until, until, now = int(match[2]), int(match[3]), self._now()
        if token is None or now >= min(idle_until, until):
            return None
        if idle_until - now > IDLE_S - PUT_OFF_S:
            return cookie
        return _cookie(token, now, until)

    def _now(self) -> int:
        return int(self._context.wall())

    def _token_of(self, signed: str, code: str) -> str | None:
        """Return the token with which a session began, and will end."""
        for token in self._context.tokens:
            if hmac.compare_digest(_code(token, signed), code):
                return token
        return None


def _cookie(token: str, now: int, until: int) -> str:
    signed = f"{min(now + IDLE_S, until)}.{until}"
    return f"{signed}.{_code(token, signed)}"


def _code(token: str, signed: str) -> str:
    return hmac.new(_key(token), signed.encode(), hashlib.sha256).hexdigest()


@functools.lru_cache(8)
def _key(token: str) -> bytes:
    """Return the key for a token, by scrypt (RFC 7914): who gets hold of a cookie may try tokens
    that people have thought up, but each try takes 4 MiB and some 20 ms, as this does once."""
    return hashlib.scrypt(token.encode(), salt=b"Bazar, keeper's session", n=1 << 12, r=8, p=1)
