"""A Tornado `RequestHandler` that answers from a dict: what a cached read costs in Tornado's own
server. `python -m bazar.bench.handler PORT FILE`, where the file holds the body."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tornado.web import Application, RequestHandler

from bazar.bench.caller import HOST
from bazar.supervisor import die_with_parent


class InfoHandler(RequestHandler):
    """No access log, no lease, no replica: nothing but the answer."""

    def initialize(self, pages: dict[str, bytes]) -> None:
        self.pages = pages

    def get(self) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(self.pages[self.request.path])


async def serve(port: int, body: bytes) -> None:
    pages = {"/info/4": body}
    application = Application(
        [(r"/info/\d+", InfoHandler, {"pages": pages})],
        log_function=lambda handler: None,
    )
    application.listen(port, HOST)
    await asyncio.Event().wait()


def main(port: int, file: Path) -> None:
    die_with_parent()
    loop = None
    try:
        import uvloop

        loop = uvloop.new_event_loop  # as Bazar's nodes
    except ImportError:
        pass
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(serve(port, file.read_bytes()))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
