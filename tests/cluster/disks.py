"""Disks for one shop: small, and failing on demand."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

DISK_MIB = 48
ATTACH_S = 60.0

# So that nothing stays mounted, however this process ends.
MOUNTED_UNTIL_INPUT_ENDS = """
mount -t tmpfs -o "$1" bazar-chaos "$2" && echo mounted && { cat; umount --lazy "$2"; }
"""


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[bool]:
    """Mount a small file system at `path` for the block; yield False if it can't be mounted."""
    path.mkdir()
    helper = subprocess.Popen(
        ["sh", "-c", MOUNTED_UNTIL_INPUT_ENDS, "sh", f"size={DISK_MIB}m", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert helper.stdout is not None
        yield helper.stdout.readline() == b"mounted\n"
    finally:
        helper.communicate()


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


@contextlib.asynccontextmanager
async def injecting(pid: int, fault: str) -> AsyncIterator[None]:
    """Have strace make these system calls of the process fail, or late, during the block."""
    strace = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-p", str(pid), "-o", "/dev/null"),
        *("-e", "trace=fsync,fdatasync", "-e", f"inject={fault}"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert strace.stderr is not None
    try:
        async with asyncio.timeout(ATTACH_S):
            await strace.stderr.readline()  # "Process N attached", or the reason why not
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            strace.terminate()
        # strace detaches in order. Only one that hangs is killed; then the kernel detaches it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await strace.communicate()
        if strace.returncode is None:
            strace.kill()
            await strace.wait()
