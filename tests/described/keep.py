"""Write each role's description into docs/openapi:

python -m tests.described.keep
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import bazar
from bazar.cluster_file import load
from bazar.node.server import Context
from handlers import ROLES
from handlers.openapi import document, written

HERE = Path(__file__).resolve().parents[2]
KEPT = HERE / "docs" / "openapi"


async def described(role: str) -> dict[str, Any]:
    """Return what a node of this role says of itself, without starting one."""
    config = load(HERE / "cluster.json", ROLES)
    context = Context(config, config.group(role)[0], "token", print)
    return document(role, bazar.VERSION, ROLES[role](context).routes())


def main() -> None:
    KEPT.mkdir(exist_ok=True)
    for role in ROLES:
        path = KEPT / f"{role}.json"
        path.write_bytes(written(asyncio.run(described(role))))
        print(path.relative_to(HERE))


if __name__ == "__main__":
    main()
