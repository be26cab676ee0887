"""The directory that the nodes of a machine keep their state in."""

from __future__ import annotations

import errno
import os

from bazar.config import Config
from bazar.durable import make_directory
from bazar.errors import ConfigError, FatalError
from bazar.modes import narrow

FAILING = {errno.ENOSPC, errno.EDQUOT, errno.EIO}  # a disk may be well again later


def prepare_data_dir(config: Config) -> None:
    """Make the data directory, durably. Raises ConfigError if it can't be used, and FatalError
    while its disk fails."""
    try:
        make_directory(config.data_dir)
        beside = config.path is not None and config.path.parent.samefile(config.data_dir)
        narrow(config.data_dir, shared=beside)
        probe = config.data_dir / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        kind = FatalError if error.errno in FAILING else ConfigError
        raise kind(f"{config.data_dir}: cannot write: {error.strerror or error}") from error
