"""The cluster token, which internal callers send.

While it is being changed there are several, with white space between them: a node takes each, and
sends the first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from bazar import modes
from bazar.addresses import is_own
from bazar.config import Config
from bazar.durable import atomic_write, sync_path
from bazar.errors import ConfigError

TOKEN_VARIABLE = "BAZAR_TOKEN"
MAKING_S = 10.0
POLL_S = 0.01
MOST = 3  # that are taken at the same time


def cluster_token(config: Config) -> str:
    """Return the token that is sent. Raises ConfigError."""
    return cluster_tokens(config)[0]


def cluster_tokens(config: Config) -> tuple[str, ...]:
    """Return what `BAZAR_TOKEN` has, or else the file in the data directory, which the first start
    makes. Where nodes run on several machines, it must be the same at all: somebody has to bring it
    there. Raises ConfigError."""
    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None:
        return _checked(given, TOKEN_VARIABLE)
    path = token_file(config)
    if not _is_made(path):
        for node in config.nodes.values():
            if not is_own(node.host):
                raise ConfigError(
                    f"{path}: is missing, and {node.name} is on another machine: copy it from there"
                    f" (for its owner only: 0600). The first is made by: (umask 077; openssl rand"
                    f" -hex 32 > {path}). Or set {TOKEN_VARIABLE} everywhere"
                )
        try:
            _make(path)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be made: {error}") from error
    return read_tokens(path)


def token_file(config: Config) -> Path:
    return config.data_dir / "token"


def write_tokens(path: Path, tokens: Sequence[str]) -> None:
    """Replace the file, synced. Raises OSError."""
    atomic_write(path, "".join(f"{token}\n" for token in tokens).encode())


def new_token() -> str:
    return secrets.token_urlsafe(32)


def read_tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens of a file. Raises ConfigError."""
    try:
        return _checked(path.read_text("ascii"), str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def durable_tokens(config: Config) -> tuple[str, ...]:
    """Return the tokens for a process that serves, after syncing the directory: another process may
    have made the file just now, and not have synced its name yet."""
    tokens = cluster_tokens(config)
    sync_path(config.data_dir)
    return tokens


def _is_made(path: Path) -> bool:
    """Return whether the token's file is whole. A power cut may leave it empty or full of zeros;
    then it was not yet used by any process. Raises ConfigError."""
    try:
        return path.read_bytes().strip(b"\0") != b""
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _checked(text: str, place: str) -> tuple[str, ...]:
    tokens = tuple(text.split())
    if not 1 <= len(tokens) <= MOST:
        raise ConfigError(f"{place}: has {len(tokens)} tokens: one, or up to {MOST} to change it")
    for token in tokens:
        if not (16 <= len(token) <= 200 and token.isascii() and token.isprintable()):
            raise ConfigError(f"{place}: a token must be 16 to 200 visible ASCII characters")
    return tokens


def _make(path: Path) -> None:
    """Make the token. Several nodes may start at once: the one that locks the empty file makes the
    token, and replaces the file by it, synced."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, modes.FILE)
    try:
        _lock(fd, path)
        if not _is_made(path):
            write_tokens(path, [new_token()])
    finally:
        os.close(fd)


def _lock(fd: int, path: Path) -> None:
    """Lock the file. Raises ConfigError if another process holds it for too long."""
    deadline = time.monotonic() + MAKING_S
    while True:
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > deadline:
            raise ConfigError(f"{path}: another process has been making it for {MAKING_S:.0f} s")
        time.sleep(POLL_S)
