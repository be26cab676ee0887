"""What nodes send to each other is drawn as it was sent, in whatever pieces it travelled."""

from __future__ import annotations

import json
from typing import Any

from bazar.replication.messages import Ack, Mark, Message, Renew, encode
from bazar.rpc.client import CALLS_PATH
from bazar.rpc.frames import SWITCHING
from tests.simulation.scenario import run
from tests.simulation.trace import Trace
from tests.simulation.wire import Answers, Calls, Said, Wire


def framed(plain: object) -> bytes:
    frame = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return len(frame).to_bytes(4, "big") + frame


def test_what_is_said_is_put_together_from_any_pieces() -> None:
    heard: list[tuple[str, Said, float]] = []
    caller: Any = "caller"
    called: Any = "called"
    wire = Wire(lambda sender, to, what, arrives_s: heard.append((str(sender), what, arrives_s)))

    def send(sender: Any, to: Any, data: bytes) -> None:
        for place in range(len(data)):
            wire(sender, to, data[place : place + 1], float(place + 1))

    send(caller, called, b"GET /calls/2 HTTP/1.1\r\nHost: there\r\n\r\n")
    send(called, caller, SWITCHING)
    for number in (1, 2):
        send(caller, called, framed({"id": number, "path": "/read", "items": [number, "more"]}))
    refused = {"status": 503, "message": "no"}
    send(called, caller, framed({"id": 2, "error": refused}))
    results = [{"answer": {"book": 1}}, {"answer": {"book": 2}}]
    send(called, caller, framed({"id": 1, "results": results, "primary": None}))

    one, two = Calls("/read", [1, "more"]), Calls("/read", [2, "more"])
    assert [(who, what) for who, what, _ in heard] == [
        ("caller", "GET /calls/2"),
        ("called", "HTTP/1.1 101 Switching Protocols"),
        ("caller", one),
        ("caller", two),
        ("called", Answers(two, [{"error": refused}] * 2)),
        ("called", Answers(one, results)),
    ]
    assert heard[0][2] == len(b"GET /calls/2 HTTP/1.1\r\nHost: there\r\n\r\n")  # of its last byte
    assert wire.leads_to(caller, CALLS_PATH)
    assert not wire.leads_to(caller, "/feed")
    assert not wire.leads_to(called, CALLS_PATH)


def test_a_feed_is_heard_as_its_messages() -> None:
    heard: list[Said] = []
    here: Any = "here"
    there: Any = "there"
    wire = Wire(lambda sender, to, what, arrives_s: heard.append(what))
    messages: list[Message] = [Renew(7), Ack(Mark(3, "abc"))]
    head = b"GET /feed HTTP/1.1\r\n\r\n"
    wire(here, there, head + b"".join(framed(encode(message)) for message in messages), 1.0)
    assert heard == ["GET /feed", *messages]


def test_a_run_draws_what_its_nodes_say() -> None:
    trace = Trace()
    for seed in range(3):
        run(seed, trace)
    said = [event for event in trace.events if event.to is not None]
    assert all(event.who != event.to for event in said)
    assert all(event.arrives_s > event.time_s for event in said)
    kinds = {event.text.partition("] ")[2].partition("(")[0].partition(" ")[0] for event in said}
    feed = {"Hello", "Welcome", "Prepare", "Ack", "Commit", "Renew", "Grant"}
    assert feed | {"GET", "HTTP/1.1", "/read", "/read:"} <= kinds
