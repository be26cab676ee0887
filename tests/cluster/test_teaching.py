"""A student's commands, word for word as docs/teaching.md has them, on a shop of their own."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import IO

from tests import teaching
from tests.cluster.cluster import PATIENT, ROOT, Cluster

SETTINGS = {
    # Leases end only where they are to, and calls over a cut link are given up.
    "replication": {"lease_s": 3.5, "ack_timeout_s": 1.0},
    "pool": {
        **{"read_attempt_s": 2.0, "read_deadline_s": 10.0},
        **{"write_attempt_s": 20.0, "write_deadline_s": 20.0},
    },
    "supervisor": PATIENT["supervisor"],
}
SLOWER = ("slow 600", "slow 2000")  # than a lease, which is longer here
PORTS = {8000: "catalog-1", 8001: "frontend-1", 8003: "catalog-2"}
END = "--- the end of a block"
BLOCK_S = 180.0
VARIES = [
    (r"catalog-\d", "catalog-N"),
    (r"order-\d", "order-N"),
    (r'"error": "[^"]*"', '"error": …'),
    (r'"request_id": "\w+"', '"request_id": …'),
    (r'count": \d+', 'count": N'),
    (r'"order_id": "\w+"', '"order_id": …'),
    (r'"replayed": \w+', '"replayed": …'),  # what waited for a link may have come through by then
    (r"\d+\.\d+ s\b", "N s"),
    (r"\d+:[0-9a-f]{6}\b", "MARK"),
    (r"entry \d+ of epoch \d+ \(\w+\)", "MARK"),
    (r"^(N|catalog|order|frontend)\S+ +(cache|catalog|order|role|node) .*\n", ""),  # of `status`
    (r"^node .*\n", ""),
]


def plain(printed: str) -> str:
    """Return what was printed without what differs from run to run."""
    text = printed.replace("\r", "")
    for expression, shown in VARIES:
        text = re.sub(expression, shown, text, flags=re.MULTILINE)
    return text.strip()


class Student:
    """A shell in the checkout, which keeps what it is told."""

    def __init__(self, shop: Cluster) -> None:
        self._shop = shop
        self._shell = subprocess.Popen(
            ["bash"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _own(self, line: str) -> str:
        """Return the line for a shop at other ports, in another directory."""
        config = shlex.quote(str(self._shop.config_path))
        line = re.sub(
            rf"{re.escape(teaching.PYTHON)} -m bazar (\w+)", rf"\g<0> --config {config}", line
        )
        line = line.replace(teaching.PYTHON, shlex.quote(sys.executable)).replace(*SLOWER)
        line = re.sub(r"\bdata\b", str(self._shop.data_dir), line)
        for port, name in PORTS.items():
            line = line.replace(f"localhost:{port}", f"localhost:{self._shop.ports[name]}")
        return line

    async def run(self, block: str) -> str:
        """Return what the lines of a block print. Where they wait, wait for all to be well."""
        printed = ""
        for line in block.splitlines(keepends=True):
            if line.startswith("sleep "):
                printed += await self._told()
                await self._shop.ready()
            else:
                self._stdin.write(self._own(line))
        return printed + await self._told()

    @property
    def _stdin(self) -> IO[str]:
        assert self._shell.stdin is not None
        return self._shell.stdin

    async def _told(self) -> str:
        """Return what has been printed since."""
        self._stdin.write(f"echo; echo '{END}'\n")
        self._stdin.flush()
        async with asyncio.timeout(BLOCK_S):
            return await asyncio.to_thread(self._read)

    def _read(self) -> str:
        assert self._shell.stdout is not None
        return "".join(iter(self._shell.stdout.readline, f"{END}\n")).removesuffix("\n")

    def close(self) -> None:
        self._shell.kill()
        self._shell.communicate()


async def test_what_students_run_and_what_comes_out(tmp_path: Path) -> None:
    blocks = teaching.blocks()
    tried = compared = 0
    async with Cluster(tmp_path, settings=SETTINGS) as shop:
        await shop.start_supervised()
        student = Student(shop)
        try:
            for number, block in enumerate(blocks):
                if not block.is_for_the_shop:
                    continue
                closed = "write_bytes" in block.text  # the page says that the shop is closed
                if closed:
                    await shop.terminate_all()
                printed = await student.run(block.text)
                if closed:
                    await shop.start_supervised()
                tried += 1
                said = blocks[number + 1]
                if said.kind == "text":
                    compared += 1
                    assert plain(printed) == plain(said.text), (block.section, block.text)
        finally:
            student.close()
    assert (tried, compared) == (11, 9)
