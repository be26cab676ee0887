"""What a cached read costs without Bazar, as three servers of one constant. Used as

    python -m bazar.bench.baselines KIND FILE PORT

where the file holds the body, and the kind is

    handler     a Tornado `RequestHandler` that answers from a dict, on asyncio's loop, and logs
                each request as Tornado does
    bare        the same on uvloop, where that is installed, without a log
    constant    an `asyncio.Protocol` on that loop that sends the same bytes whatever it reads: no
                server in Python is faster
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tornado.web import Application, RequestHandler

from bazar.bench.http_client import HOST
from bazar.http.response import HEADERS, RawResponse, entity_of
from bazar.http.traffic import ASTRAY
from bazar.node.parent import die_with_parent

LINES = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: 0123456789abcdef0123456789abcdef\r\n"


class InfoHandler(RequestHandler):
    def initialize(self, pages: dict[str, bytes]) -> None:
        self.pages = pages

    def get(self) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(self.pages[self.request.path])


class Constant(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer)


async def serve(kind: str, body: bytes, port: int) -> None:
    if kind == "constant":
        headers = {**HEADERS, "X-Cache": "hit", "X-Replica": "catalog-1"}
        _, answer = RawResponse.of(entity_of(body), headers, "", ASTRAY).answer(b"GET", LINES, b"")
        await asyncio.get_running_loop().create_server(lambda: Constant(answer), HOST, port)
    else:
        settings: dict[str, Any] = {}
        if kind == "bare":
            settings["log_function"] = lambda handler: None
        pages = {"/info/4": body}
        Application([(r"/info/\d+", InfoHandler, {"pages": pages})], **settings).listen(port, HOST)
    await asyncio.Event().wait()


def main(kind: str, file: Path, port: int) -> None:
    die_with_parent()
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if kind == "handler":
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s")
    else:
        try:
            import uvloop

            loop = uvloop.new_event_loop
        except ImportError:
            pass
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(serve(kind, file.read_bytes(), port))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
