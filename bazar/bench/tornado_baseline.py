"""A Tornado `RequestHandler` that answers from a dict: the cost of a cached read in Tornado's own
server, without any lease or replica. Used as

    python -m bazar.bench.tornado_baseline FILE PORT [--bare]

where the file holds the body. By default it runs on asyncio's loop and logs each request, as
Tornado does; with `--bare` it runs on uvloop, where that is installed, and logs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado.web import Application, RequestHandler

from bazar.bench.http_client import HOST
from bazar.node.parent import die_with_parent


class InfoHandler(RequestHandler):
    def initialize(self, pages: dict[str, bytes]) -> None:
        self.pages = pages

    def get(self) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(self.pages[self.request.path])


async def serve(port: int, body: bytes, settings: dict[str, Any]) -> None:
    pages = {"/info/4": body}
    Application([(r"/info/\d+", InfoHandler, {"pages": pages})], **settings).listen(port, HOST)
    await asyncio.Event().wait()


def main(file: Path, port: int, bare: bool) -> None:
    die_with_parent()
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    settings: dict[str, Any] = {}
    if bare:
        settings["log_function"] = lambda handler: None
        try:
            import uvloop

            loop = uvloop.new_event_loop
        except ImportError:
            pass
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s")
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(serve(port, file.read_bytes(), settings))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "--bare" in sys.argv)
