"""Another node that nodes call, as far as their tests need one."""

from __future__ import annotations

import asyncio
import json
import unittest
from typing import Any, ClassVar

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from bazar.config import NodeConfig
from bazar.errors import OutOfStock, ShuttingDown
from bazar.rpc.client import CALLS_PATH, RPCClient, error_body
from bazar.rpc.frames import SWITCHING, FrameConnection
from tests.patience import PATIENCE_S


class Peer(RequestHandler):
    """Another node: says what its path names."""

    async def answer(self) -> None:
        what = self.request.path
        if what == "/echo":
            names = ("Authorization", "Idempotency-Key")
            told = {name: self.request.headers.get(name) for name in names}
            self.write({**told, "method": self.request.method})
        elif what == "/refuses":
            self.set_status(409)
            self.write({"error": "none left", "code": "out_of_stock"})
        elif what == "/strange":
            self.set_status(400)
            self.write({"error": "which?", "code": "bad_request"})
        elif what == "/moved":
            self.redirect("/echo")
        elif what == "/newer":
            self.set_status(418)
            self.write({"error": "tea", "code": "teapot"})
        elif what == "/garbage":
            self.write("<html>")
        elif what == "/hangs":
            await asyncio.Event().wait()

    async def get(self) -> None:
        await self.answer()

    post = put = get


class CallsPeer(RequestHandler):
    """The same, for calls: answers as the path of the call says."""

    async def get(self) -> None:
        assert self.request.headers["Authorization"] == "Bearer the-token"
        self.connection = FrameConnection(self.on_frame)
        stream = self.detach()
        sock = stream.socket.dup()
        stream.close()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: self.connection, sock)
        transport.write(SWITCHING)

    may_answer: ClassVar[asyncio.Event]

    async def answer_when_it_may(self, number: int) -> None:
        await self.may_answer.wait()
        self.connection.send(json.dumps({"id": number, "results": []}).encode())

    def on_frame(self, frame: bytes) -> None:
        call = json.loads(frame)
        answers: dict[str, Any] = {
            "/items": {
                "primary": "peer-2",
                "results": [
                    {"error": error_body(OutOfStock("none"))} if item == 13 else {"answer": item}
                    for item in call["items"]
                ],
            },
            "/refuses": {"error": error_body(ShuttingDown("not now"))},
            "/short": {"results": [], "primary": None},
            "/odd": {"results": 7},
            "/none": {},
            "/until": {"results": [{"answer": call.get("until")}], "primary": None, "now": 100.0},
        }
        match call["path"]:
            case "/garbage":
                self.connection.send(b"<html>")
            case "/slow":
                self.slow = asyncio.ensure_future(self.answer_when_it_may(call["id"]))
            case "/breaks":
                self.connection.close()
            case path if path in answers:
                self.connection.send(json.dumps({"id": call["id"], **answers[path]}).encode())


class ThereTestCase(unittest.IsolatedAsyncioTestCase):
    """The other node, and a client that calls it."""

    async def asyncSetUp(self) -> None:
        CallsPeer.may_answer = asyncio.Event()
        sockets = bind_sockets(0, "127.0.0.1")
        self.node = NodeConfig("peer-1", "catalog", sockets[0].getsockname()[1])
        self.server = HTTPServer(
            Application([(CALLS_PATH, CallsPeer), ("/.*", Peer)], log_function=lambda handler: None)
        )
        self.server.add_sockets(sockets)
        self.client = RPCClient("the-token", PATIENCE_S)

    async def asyncTearDown(self) -> None:
        self.client.close()
        self.server.stop()
        await self.server.close_all_connections()
