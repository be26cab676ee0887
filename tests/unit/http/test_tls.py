"""The HTTP door with TLS: handshakes that do not end, clients that do not speak it, and its end.

Every test runs in each event loop that nodes may have.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from bazar.http.handshakes import Handshakes
from bazar.http.response import RawResponse, entity_of
from bazar.http.state import Limits
from bazar.tls import Credentials
from tests.certificates import Authority, caller
from tests.patience import PATIENCE_S, until
from tests.unit.http.door import CACHED, KIND, PAGE_HEADERS, Door, get, request

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
with contextlib.suppress(ImportError):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop

Run = Callable[[Awaitable[None]], None]

HELLO = b"\x16\x03\x01"  # how a handshake begins


class Keys:
    """What the door shows, and what clients trust and show."""

    def __init__(self, directory: Path) -> None:
        self.files = Authority(directory).sign("door")
        self.credentials = Credentials(*(Path(self.files[name]) for name in ("ca", "cert", "key")))
        self.anybody = caller(self.files, shown=False)
        self.node = caller(self.files)
        self.stranger = ssl.create_default_context(cafile=self.files["ca"])
        other = Authority(directory / "other").sign("other")
        self.stranger.load_cert_chain(other["cert"], other["key"])

    def door(self, limits: Limits | None = None, *, mutual: bool = False) -> Door:
        return Door(
            limits, context=self.credentials.serving_nodes if mutual else self.credentials.serving
        )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Run a coroutine in one of the loops; nothing may be said that nobody has foreseen."""
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:

        def run_it(test: Awaitable[None]) -> None:
            async def bounded() -> None:
                async with asyncio.timeout(2 * PATIENCE_S):
                    await test

            runner.run(bounded())

        yield run_it


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """asyncio warns of what can't be done with TLS."""
    yield
    said = [one.getMessage() for one in caplog.records if one.name.startswith("asyncio")]
    assert not [one for one in said if not one.startswith("Using")], said


def test_requests_are_answered_from_the_cache_and_by_the_application(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            for _ in range(2):
                client.send(get() + get("/other"))
                assert (await client.answer()).body == CACHED
                assert (await client.answer()).json["uri"] == "/other"
            assert (await door.connection()).peer.protocol == "https"
            door.rendered = RawResponse.of(entity_of(b"x" * (1 << 20)), PAGE_HEADERS, "", KIND)
            client.send(get())
            assert len((await client.answer()).body) == 1 << 20

    run(test())


def test_who_does_not_speak_it_is_told_so(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            answer = await door.ask(get())
            assert (answer.status, answer.json["code"]) == (400, "bad_request")
            assert "https://" in answer.json["error"]

    run(test())


def test_tls_is_refused_at_once_where_it_is_not_spoken(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with Door() as door:
            with pytest.raises(ssl.SSLError):
                await door.client(context=keys.anybody)

    run(test())


@pytest.mark.parametrize("said", [b"", HELLO])
def test_whoever_says_nothing_more_is_closed(run: Run, keys: Keys, said: bytes) -> None:
    async def test() -> None:
        async with keys.door(Limits(handshake_s=0.05)) as door:
            client = await door.client()
            client.send(said)
            assert await client.rest() == b""
            await until(lambda: not len(door.server._handshakes), "it is forgotten")

    run(test())


def test_of_too_many_the_oldest_goes(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door(Limits(connections=16, handshake_s=2 * PATIENCE_S)) as door:
            silent = []
            for number in range(1 + 16 // 8):
                silent.append(await door.client())
                silent[-1].send(HELLO if number % 2 else b"")
                await until(lambda: len(door.server._handshakes) == len(silent), "it is taken")
            late = await door.client(context=keys.anybody)
            late.send(get())
            assert (await late.answer()).body == CACHED
            assert await silent[0].rest() == b""
            assert len(door.server._handshakes) == len(silent) - 1
            assert not silent[1].reader.at_eof()

    run(test())


def test_it_leaves_though_a_handshake_is_not_over(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door(Limits(handshake_s=2 * PATIENCE_S)) as door:
            for said in (b"", HELLO):
                (await door.client()).send(said)
            await until(lambda: len(door.server._handshakes) == 2, "they are taken")

    run(test())


def test_nodes_alone_come_in_where_a_certificate_is_wanted(
    run: Run, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with keys.door(mutual=True) as door:
            client = await door.client(context=keys.node)
            client.send(get())
            assert (await client.answer()).body == CACHED
            for context in (keys.anybody, keys.stranger):
                for _ in range(2):
                    with contextlib.suppress(ssl.SSLError, ConnectionError):
                        client = await door.client(context=context)
                        client.send(get())
                        assert await client.rest() == b""
            await until(lambda: not len(door.server._handshakes), "they are over")

    run(test())
    said = [one.getMessage() for one in caplog.records if one.name == Handshakes.__module__]
    assert len(said) == 2, said  # each once
    assert said[0].startswith("127.0.0.1: no connection: ")


def test_the_last_answer_arrives_whatever_is_still_sent(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            client.send(request("PUT", "/a", "Content-Length: 100000", body=b"x" * 50_000))
            answer = await client.answer()
            assert (answer.status, answer.headers["Connection"]) == (413, "close")
            client.send(b"x" * 50_000)
            await client.close()
            await until(lambda: not door.server.connections, "it is over")

    run(test())


def test_it_closes_where_only_that_ends_an_answer(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            client.send(get(version="1.0"))
            assert (await client.rest()).endswith(CACHED)
            await until(lambda: not door.server.connections, "it is over")

    run(test())


def test_a_client_that_is_told_to_close_and_does_not_is_closed(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            client.send(get("/cached", "Connection: close"))
            assert (await client.answer()).body == CACHED
            door.pass_time(2.1)
            assert await client.rest() == b""
            await until(lambda: not door.server.connections, "it is over")

    run(test())


def test_an_idle_client_is_closed(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            client.send(get())
            await client.answer()
            door.pass_time(60.1)
            assert await client.rest() == b""
            await until(lambda: not door.server.connections, "it is over")

    run(test())


def test_a_client_that_does_not_answer_the_end_is_left(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            client.send(get())
            await client.answer()
            transport = client.writer.transport
            transport.pause_reading()  # type: ignore[attr-defined]
            door.pass_time(60.1)
            door.pass_time(2.1)
            await until(lambda: not door.server.connections, "it is over")
            transport.abort()

    run(test())


def test_who_closes_is_not_answered_any_more(run: Run, keys: Keys) -> None:
    """asyncio's TLS knows no half of a connection."""

    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            client.send(get("/waits"))
            await door.settings["waiting"].wait()
            await client.close()
            await until(lambda: not door.server.connections, "it is over")
            assert door.settings["left"].is_set()

    run(test())


def test_another_protocol_goes_on_over_it(run: Run, keys: Keys) -> None:
    async def test() -> None:
        async with keys.door() as door:
            client = await door.client(context=keys.anybody)
            door.settings["let"].set()
            client.send(get("/leaves") + b"and so on")
            async with asyncio.timeout(PATIENCE_S):
                assert await client.reader.readexactly(15) == b"hello and so on"
                client.send(b"more")
                assert await client.reader.readexactly(4) == b"more"
            assert not door.server.connections

    run(test())
