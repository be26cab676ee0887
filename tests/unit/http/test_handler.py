"""A lean handler answers what Tornado's own would, byte for byte but for the order of headers."""

from __future__ import annotations

from typing import Any, ClassVar

from tornado.web import Finish, HTTPError, RequestHandler

from bazar.http.handler import LeanHandler
from tests.unit.http.door import EdgeTestCase, request


class Page:
    """Answers as its query says."""

    def set_default_headers(self: Any) -> None:
        self.clear_header("Date")  # is the port's to write, whose time stands still

    async def get(self: Any) -> None:
        act = self.get_query_argument("do")
        if act == "tag":
            self.set_header("Etag", '"mine"')
        elif act == "cookies":
            self.set_cookie("a", "b")
            self.set_cookie("c", "d", httponly=True)
        elif act == "length":
            self.set_header("Content-Length", 5)
        elif act == "nothing":
            self.set_status(204)
            return
        elif act == "body of nothing":
            self.set_status(204)
        elif act == "finish":
            raise Finish("finished")
        elif act == "no":
            raise HTTPError(418, reason="Teapot")
        elif act == "fails":
            raise ValueError("it does")
        elif act == "injects":
            self._headers["X"] = "a\r\nb: c"
        elif act == "flushes":
            self.write("hello ")
            await self.flush()
        elif act == "object":
            self.finish({"a": [1, "\xe4"]})
            return
        elif act == "twice":
            self.finish("a")
        self.write("wo")
        self.finish("rld")

    put = post = get

    async def head(self: Any) -> None:
        await self.get()


class OursHandler(Page, LeanHandler):
    pass


class TheirsHandler(Page, RequestHandler):
    pass


def understood(answer: bytes) -> tuple[list[bytes], bytes]:
    """Its status and headers, in any order, and its body."""
    head, end, body = answer.partition(b"\r\n\r\n")
    assert end
    return sorted(head.split(b"\r\n")), body


class LeanHandlerTest(EdgeTestCase):
    acts: ClassVar = (
        *("plain", "tag", "cookies", "length", "nothing", "body of nothing", "object"),
        *("finish", "no", "fails", "twice", "flushes"),
    )

    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.door.application.add_handlers(
            ".*", [("/ours", OursHandler), ("/theirs", TheirsHandler)]
        )

    async def both(self, method: str, act: str, *lines: str) -> list[bytes]:
        """What either handler answers, in full, as the last of its connection."""
        query = "?do=" + act.replace(" ", "+")
        sent = (
            request(method, path + query, "Connection: close", *lines)
            for path in ("/ours", "/theirs")
        )
        return [await self.door.talk(one) for one in sent]

    async def test_both_answer_alike(self) -> None:
        conditions = ((), ("If-None-Match: *",), ('If-None-Match: "mine", W/"x"',))
        for method in ("GET", "HEAD", "PUT"):
            for act in self.acts:
                for lines in conditions:
                    with self.subTest(method, act=act, lines=lines):
                        ours, theirs = map(understood, await self.both(method, act, *lines))
                        self.assertEqual(ours, theirs)

    async def test_a_line_end_in_a_header_is_not_sent(self) -> None:
        for answer in await self.both("GET", "injects"):
            self.assertEqual(answer, b"")
