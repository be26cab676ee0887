"""The cluster token: what internal callers show."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from bazar.config import Config
from bazar.errors import ConfigError

TOKEN_VARIABLE = "BAZAR_TOKEN"


def cluster_token(config: Config) -> str:
    """`BAZAR_TOKEN`, or else one made at the first start and kept in the data directory for
    everything on this machine. Raises ConfigError."""
    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None:
        return _checked(given, TOKEN_VARIABLE)
    remote = [node.name for node in config.nodes.values() if not node.is_local]
    if remote:
        raise ConfigError(
            f"nodes.{remote[0]}: is reached from other machines: set {TOKEN_VARIABLE}"
        )
    path = config.data_dir / "token"
    try:
        if not path.exists():
            _make(path)
        return _checked(path.read_text("ascii").strip(), str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _checked(token: str, place: str) -> str:
    visible = token.isascii() and token.isprintable() and " " not in token
    if not (16 <= len(token) <= 200 and visible):
        raise ConfigError(f"{place}: must be 16 to 200 visible ASCII characters")
    return token


def _make(path: Path) -> None:
    """Several nodes may start at once: whoever links its file first has made the token."""
    temporary = path.with_name(f"token.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(temporary)
    temporary.unlink()
