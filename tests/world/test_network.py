"""Faults between processes: a network that cuts, delays, loses and refuses."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tests.world.lab import PORT, Lab
from tests.world.network import Host
from tests.world.world import Process


class End(asyncio.Protocol):
    """Keeps what it gets; says when, in the world's time, and how it ended."""

    transport: asyncio.Transport

    def __init__(self, lab: Lab, greeting: bytes = b"", paused: bool = False) -> None:
        self.lab = lab
        self.pieces: list[bytes] = []
        self.heard_at = 0.0
        self.ended: str | None = None
        self.ended_at = 0.0
        self.choked = False
        self._greeting = greeting
        self._paused = paused

    @property
    def got(self) -> bytes:
        return b"".join(self.pieces)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._greeting)
        if self._paused:
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.heard_at = self.lab.now

    def pause_writing(self) -> None:
        self.choked = True

    def resume_writing(self) -> None:
        self.choked = False

    def connection_lost(self, error: Exception | None) -> None:
        assert self.ended is None
        self.ended, self.ended_at = type(error).__name__, self.lab.now


def server(lab: Lab, name: str = "server", **options: Any) -> tuple[Process, list[End]]:
    """Start a process that listens; return it, and the ends that it accepts."""
    ends: list[End] = []

    def accept() -> End:
        ends.append(End(lab, **options))
        return ends[-1]

    async def listen(process: Process) -> None:
        try:
            await process.loop.create_server(accept, port=PORT)
        except OSError as error:
            lab.note(str(error))

    process = lab.start(listen, name)
    lab.run(lab.now + 0.1)
    return process, ends


def client(lab: Lab, **options: Any) -> tuple[Process, End]:
    """Start a process that dials; what became of it is in the notes."""
    end = End(lab, **options)

    async def dial(process: Process) -> None:
        try:
            await process.loop.create_connection(lambda: end, port=PORT)
        except OSError as error:
            lab.note(type(error).__name__)

    return lab.start(dial, "client"), end


def stream_of(end: End) -> Any:
    return cast(Any, end.transport).stream


def test_bytes_arrive_in_order_in_any_pieces() -> None:
    """Any byte may be the last of a piece."""
    sent = b"12345678"
    cuts, most = set(), 0
    for seed in range(200):
        with Lab(seed) as lab:
            lab.network.split_chance = 0.5
            _, ends = server(lab)
            client(lab, greeting=sent)
            lab.run(lab.now + 2.0)
            assert ends[0].got == sent
            cuts.add(len(ends[0].pieces[0]))
            most = max(most, len(ends[0].pieces))
    assert cuts == set(range(1, 9))
    assert most > 3


def test_whoever_does_not_read_pushes_back_the_sender() -> None:
    much = bytes(range(250)) * 200
    with Lab() as lab:
        lab.network.window = 1_000
        _, ends = server(lab, paused=True)
        _, end = client(lab, greeting=much)
        lab.run(lab.now + 2.0)
        assert end.choked
        assert end.transport.get_write_buffer_size() == len(much) - 1_000
        ends[0].transport.resume_reading()
        lab.run(lab.now + 2.0)
        assert not end.choked
        assert ends[0].got == much


def test_a_paused_process_pushes_back_too_and_loses_nothing() -> None:
    much = bytes(range(250)) * 200
    with Lab() as lab:
        lab.network.window = 1_000
        process, ends = server(lab)
        _, end = client(lab)
        lab.run(lab.now + 0.1)
        process.pause(5.0)
        end.transport.write(much)
        lab.run(lab.now + 4.0)
        assert end.choked and not ends[0].pieces
        lab.run(lab.now + 4.0)
        assert not end.choked and ends[0].got == much


def test_a_killed_process_is_noticed_behind_all_that_it_sent() -> None:
    with Lab() as lab:
        process, ends = server(lab, greeting=b"all that I know")
        _, end = client(lab)
        lab.run(lab.now + 0.0125)
        assert ends and not end.pieces  # it is under way
        process.die("killed")
        lab.run(lab.now + 1.0)
        assert (end.got, end.ended) == (b"all that I know", "NoneType")
        assert ends[0].ended is None  # a dead process is told nothing


def test_a_process_killed_with_unread_bytes_resets() -> None:
    with Lab() as lab:
        process, _ = server(lab, paused=True)
        _, end = client(lab, greeting=b"unread")
        lab.run(lab.now + 1.0)
        process.die("killed")
        lab.run(lab.now + 1.0)
        assert end.ended == "ConnectionResetError"


def test_nobody_notices_a_lost_connection_before_its_time() -> None:
    with Lab() as lab:
        _, ends = server(lab)
        _, end = client(lab)
        lab.run(1.0)
        stream_of(end).vanish((2.0, 5.0))
        end.transport.write(b"into the void")
        lab.run(10.0)
        assert not ends[0].pieces
        assert 3.0 < end.ended_at < 3.1 and 6.0 < ends[0].ended_at < 6.1


def test_a_silenced_connection_is_noticed_by_nobody() -> None:
    with Lab() as lab:
        _, ends = server(lab)
        _, end = client(lab)
        lab.run(1.0)
        stream_of(end).silence()
        end.transport.write(b"?")
        ends[0].transport.close()
        lab.run(100.0)
        assert (ends[0].pieces, end.ended) == ([], None)


def test_one_way_is_stalled_and_the_other_is_not() -> None:
    with Lab() as lab:
        _, ends = server(lab)
        _, end = client(lab)
        lab.run(1.0)
        stream_of(end).stall(3.0)
        end.transport.write(b"out")
        ends[0].transport.write(b"in")
        lab.run(10.0)
        assert ends[0].heard_at < 1.1
        assert 4.0 < end.heard_at < 4.1


def test_nobody_listens() -> None:
    with Lab() as lab:
        client(lab)
        lab.run(1.0)
        assert lab.notes == ["ConnectionRefusedError"]


def test_an_isolated_host_does_not_even_refuse() -> None:
    with Lab() as lab:
        server(lab)
        lab.network.hosts[PORT].isolated = True
        client(lab)
        lab.run(100.0)
        assert lab.notes == []


def test_a_port_is_taken_by_one_process_at_a_time() -> None:
    with Lab() as lab:
        first, _ = server(lab)
        server(lab, "second")
        assert "address already in use" in lab.notes[0]
        first.die("killed")
        _, ends = server(lab, "third")
        client(lab)
        lab.run(lab.now + 1.0)
        assert ends


def test_connections_wait_where_a_supervisor_holds_the_socket() -> None:
    """Also connections that a process did not take before it died, and those whose other end is
    gone: their requests still arrive."""
    with Lab() as lab:
        lab.network.hosts[PORT] = Host("server", waits=True)
        first, taken = server(lab)
        first.pause(100.0)
        asking, _ = client(lab, greeting=b"do it")
        lab.run(lab.now + 1.0)
        first.die("killed")
        asking.die("killed")
        lab.run(lab.now + 1.0)
        _, ends = server(lab, "second")
        lab.run(lab.now + 1.0)
        assert not taken
        assert [(end.got, end.ended) for end in ends] == [(b"do it", "NoneType")]


def test_connections_that_nobody_took_are_reset_where_none_does() -> None:
    with Lab() as lab:
        first, _ = server(lab)
        first.pause(100.0)
        _, end = client(lab)
        lab.run(lab.now + 1.0)
        assert end.ended is None
        first.die("killed")
        lab.run(lab.now + 1.0)
        assert end.ended == "ConnectionResetError"


@pytest.mark.parametrize("seed", range(40))
def test_a_dialing_that_is_given_up_leaves_nothing_open(seed: int) -> None:
    """It may be given up before it arrives, before the answer, before the protocol is told."""
    with Lab(seed) as lab:
        listening, ends = server(lab)
        end = End(lab)

        async def dial(process: Process) -> None:
            timeout_s = 0.025 * lab.tape("test").random()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await process.loop.create_connection(lambda: end, port=PORT)
                    await asyncio.sleep(1.0)
            if hasattr(end, "transport"):
                end.transport.close()

        dialing = lab.start(dial)
        lab.run(lab.now + 5.0)
        assert not dialing.streams and not listening.streams
        assert all(one.ended is not None for one in ends)
