"""The cluster token, which internal callers send."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from pathlib import Path

from bazar import modes
from bazar.addresses import is_own
from bazar.config import Config
from bazar.durable import atomic_write, sync_path
from bazar.errors import ConfigError

TOKEN_VARIABLE = "BAZAR_TOKEN"
MAKING_S = 10.0
POLL_S = 0.01


def cluster_token(config: Config) -> str:
    """Return `BAZAR_TOKEN`, or else the token in the data directory, which the first start makes.
    Where nodes run on several machines, it must be the same at all: somebody has to bring it there.
    Raises ConfigError."""
    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None:
        return _checked(given, TOKEN_VARIABLE)
    path = config.data_dir / "token"
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
    return _read(path)


def _read(path: Path) -> str:
    try:
        return _checked(path.read_text("ascii").strip(), str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def durable_token(config: Config) -> str:
    """Return the token for a process that serves, after syncing the directory: another process may
    have made the token just now, and not have synced its name yet."""
    token = cluster_token(config)
    sync_path(config.data_dir)
    return token


def _is_made(path: Path) -> bool:
    """Return whether the token's file is whole. A power cut may leave it empty or full of zeros;
    then it was not yet used by any process. Raises ConfigError."""
    try:
        return path.read_bytes().strip(b"\0") != b""
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _checked(token: str, place: str) -> str:
    visible = token.isascii() and token.isprintable() and " " not in token
    if not (16 <= len(token) <= 200 and visible):
        raise ConfigError(f"{place}: must be 16 to 200 visible ASCII characters")
    return token


def _make(path: Path) -> None:
    """Make the token. Several nodes may start at once: the one that locks the empty file makes the
    token, and replaces the file by it, synced."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, modes.FILE)
    try:
        _lock(fd, path)
        if not _is_made(path):
            atomic_write(path, f"{secrets.token_urlsafe(32)}\n".encode())
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
