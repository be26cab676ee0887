"""An operator's commands, for the shop of a test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from tests.cluster.cluster import ROOT, Cluster

COMMAND_S = 120.0


async def command(shop: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m bazar WORDS` to its end, while all else goes on. Raises TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bazar", *words, "--config", str(shop.config_path)),
        cwd=ROOT,
        env={**os.environ, **shop.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return subprocess.CompletedProcess(words, process.returncode, out.decode(), error.decode())
