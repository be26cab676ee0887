"""One client's connection: its requests are answered one after the other, each by what is known of
its target or by the application."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from typing import Protocol, cast

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError

from bazar import trace_context
from bazar.errors import BazarError, RequestTimeout, TooManyRequests, Unavailable
from bazar.http.access_log import printable
from bazar.http.exchange import Exchange, closed
from bazar.http.fetch import Fetch
from bazar.http.known_fields import FieldsReader, KnownFields
from bazar.http.known_targets import KnownTarget
from bazar.http.outflow import Outflow
from bazar.http.parser import Parser, Progress, Request
from bazar.http.response import CONNECTION, RawResponse
from bazar.http.served_request import ClientContext, Failed
from bazar.http.stages import ConnectionPhase, RequestStage
from bazar.http.state import ServerState
from bazar.http.traffic import ASTRAY

TURN_REQUESTS = 64  # answered in one go; then it is the other connections' turn
WAITING_BYTES = 64 << 10  # of requests behind the one that is being answered: then we stop reading
UNSENT_BYTES = 64 << 10  # of answers: then we stop answering
LINGER_BYTES = 1 << 20  # read away behind the last answer


# Looked up in an Enum they take as long as ten other names.
OPEN, LEAVING, GONE = ConnectionPhase
IDLE = RequestStage.IDLE


class Owner(Protocol):
    """The server that has accepted a connection."""

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more."""

    def closed(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Requests are read strictly one at a time: what a client sends behind a purchase must see the
    purchase. `deadline` is when the client must have done its next step; `outflow` has when it must
    have read what it was sent."""

    def __init__(self, state: ServerState, owner: Owner) -> None:
        self._state = state
        self._owner = owner
        self._find = state.find
        self._clock = state.clock
        self._parser = Parser(state.limits.head_bytes, state.max_body_bytes)
        self._loop = asyncio.get_running_loop()
        self._stage = RequestStage.HEAD
        self._fields = FieldsReader(state.arrivals)
        self._exchange: Exchange | Fetch | None = None  # the request that is being answered
        self._turn_over = False
        self._held = False  # we don't read
        self.outflow = Outflow(state.limits.write_s, state.clock)
        self._ended = False  # nothing more comes
        self.phase = OPEN
        self._flushed_by = -math.inf  # what has been written must have left by then
        self._unread = 0

    def __repr__(self) -> str:
        doing = "answering" if self._exchange else self._stage.name
        return f"<Connection from {self.peer.remote_ip}, {self.phase.name}, {doing}>"

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(UNSENT_BYTES)
        name = self._transport.get_extra_info("peername")
        inet = self._transport.get_extra_info("socket").family != socket.AF_UNIX
        self.peer = ClientContext(name[0] if name and inet else "0.0.0.0")
        self.deadline = self._clock() + self._state.limits.head_s
        if not self._owner.admit(self):
            self.refuse(Unavailable("too many connections"))

    def data_received(self, data: bytes) -> None:
        if self.phase is not OPEN:
            self._unread += len(data)
            if self._unread > LINGER_BYTES:
                self._transport.abort()
            return
        self._parser.feed(data)
        if not self._turn_over:
            self._advance()

    def eof_received(self) -> bool:
        """Go on, though the client sends no more: it may still listen, and what it has asked for is
        answered. One that has gone is found out by what is written to it, or in the end by time."""
        self._ended = True
        if self._busy and self.phase is not LEAVING:
            self.deadline = self._clock() + self._state.limits.half_close_s
            return True
        self.close()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._lost()
        self._owner.closed(self)

    def pause_writing(self) -> None:
        self.outflow.pause()

    def resume_writing(self) -> None:
        self.outflow.resume()
        self._yield()

    # --- one request after the other -------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        """Whether it will go on by itself."""
        return self._exchange is not None or self._turn_over or not self.outflow.open

    def _advance(self) -> None:
        """Answer what has arrived, as far as that goes."""
        parser = self._parser
        for _ in range(TURN_REQUESTS):
            if self._exchange or self.phase is not OPEN or not self.outflow.open:
                break
            if not self._step():
                break
            if not parser.rest:
                break
        else:
            self._yield()
        if self._ended and not self._busy:
            self.close()
        elif self._held or (parser.rest and len(parser) > WAITING_BYTES):
            self._hold_back()

    def _yield(self) -> None:
        """Go on after the others."""
        if not self._turn_over:
            self._turn_over = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_over = False
        if self.phase is not GONE:
            self._advance()

    def _hold_back(self) -> None:
        """Read no more than what fits behind the request at work."""
        self._held = len(self._parser) > WAITING_BYTES
        if self._transport.is_closing():
            return
        if self._held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _step(self) -> bool:
        """Read and answer one request. Return False if more must arrive first."""
        try:
            step = self._parser.read()
            if isinstance(step, bytes):
                known = self._find(self._parser.request_line[1])
                if known is not None and self._answer(step, known):
                    return True
                step = self._parser.parse(step)
        except BazarError as error:
            self.refuse(error, self._parser.headers)
            return False
        if isinstance(step, Request):
            self._enter(step)
            return True
        self._await_more()
        return step is Progress.SOME

    def _await_more(self) -> None:
        stage = self._parser.stage
        if stage is self._stage:
            return
        self._stage = stage
        limits = self._state.limits
        allowed_s = limits.body_s if stage is RequestStage.BODY else limits.head_s
        self.deadline = self._clock() + allowed_s
        if self._parser.awaits_continue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _idle(self, now: float) -> None:
        self._stage = IDLE
        self._parser.headers = None  # idle connections may be many
        if not self._ended:
            self.deadline = now + self._state.limits.idle_s

    # --- answering -------------------------------------------------------------------------------

    def _answer(self, lines: bytes, known: KnownTarget) -> bool:
        """Answer what was asked before. Return False if anything about these header lines is
        unusual: then the application shall judge the request."""
        state, now = self._state, self._clock()
        last, fields = self._fields.last
        if lines is not last:
            fields = self._fields.read(lines, self.peer.remote_ip)
        if fields is None:
            return False
        answer = known.find(now)
        if state.limit is not None:
            try:
                state.limit.check(fields.client.decode(), now)
            except TooManyRequests as error:
                if answer is None:
                    return False
                self.refuse(error, client=fields.client)  # as fast as it would be answered
                return True
        request_id = fields.request_id or state.new_id()
        if answer is not None:
            self._send(answer, answer.common.log_note, fields, request_id, now, now)
        else:
            self._begin(Fetch(self, known, request_id, lines, fields, now))
        return True

    def _send(
        self,
        answer: RawResponse,
        note: bytes,
        fields: KnownFields,
        request_id: bytes,
        began: float,
        now: float,
    ) -> None:
        """Send these bytes, unless the client has gone; the request is logged all the same."""
        state = self._state
        method, target, version = self._parser.request_line
        keep_alive = self._parser.keep_alive and not state.stopping
        if now >= state.date_until:
            state.renew_date(now)
        own = state.date_line + request_id + CONNECTION[version, keep_alive]
        status, sent = answer.answer(method, own, fields.if_none_match)
        if self.phase is not GONE:
            self._transport.write(sent)
        ms, kind = 1000 * (self._clock() - began), answer.common.kind
        state.log.add(request_id, fields.client, method, target, status, ms, note, kind)
        if keep_alive:
            self._idle(now)
        elif self.phase is not GONE:
            self.leave()

    def fetched(self, fetch: Fetch, answer: RawResponse) -> None:
        self._exchange, now = None, self._clock()
        note = b" - ".join((answer.common.log_note, *map(str.encode, fetch.notes)))
        self._send(answer, note, fetch.fields, fetch.request_id, fetch.began, now)
        self._go_on()

    def failed(self, fetch: Fetch, error: Exception) -> None:
        spent_s = self._clock() - fetch.began
        failed = Failed(error, fetch.notes, fetch.request_id.decode(), spent_s)
        try:
            self._enter(self._parser.parse(fetch.lines), failed)
        except BazarError as refusal:
            self.refuse(refusal, self._parser.headers)

    def _enter(self, request: Request, failed: Failed | None = None) -> None:
        """Have the application answer."""
        exchange = Exchange(self, request)
        if self.phase is GONE:
            exchange.lost()
        else:
            self._begin(exchange)
        exchange.run(self._state.application, failed)

    def _begin(self, exchange: Exchange | Fetch) -> None:
        """Read nothing more until this request is answered."""
        self._exchange = exchange
        if not self._ended:
            self.deadline = math.inf  # whoever answers has a deadline

    def write(self, data: bytes) -> asyncio.Future[None]:
        if self.phase is GONE:
            return closed()
        self._transport.write(data)
        return self.outflow.room()

    def date(self) -> str:
        return self._state.date_at(self._clock())

    def keeps_alive(self) -> bool:
        return self._parser.keep_alive and not self._state.stopping

    def answered(self, keep_alive: bool) -> None:
        self._exchange = None
        if keep_alive:
            self._idle(self._clock())
            self._go_on()
        else:
            self.leave()

    def _go_on(self) -> None:
        """Answer what has come behind an answer that took its time, after the others."""
        if self.phase is OPEN and (self._parser.rest or self._ended):
            self._yield()

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        """Leave the transport, with what was read and not used, to a protocol of another kind: it
        counts here no more, and has no time to keep. Raises StreamClosedError if the client sends
        no more: that protocol would not hear of it."""
        self._exchange = None
        if self._ended:
            self.close()
            raise StreamClosedError
        self.phase = GONE
        if self._held:
            self._transport.resume_reading()
        self._owner.closed(self)
        return self._transport, self._parser.take_rest()

    def refuse(
        self, error: BazarError, headers: HTTPHeaders | None = None, client: bytes = b""
    ) -> None:
        """Answer as the application would, and close: where this request ends, or what the client
        meant by it, is not sure."""
        self._exchange = None
        if self.phase is not OPEN:
            return
        state = self._state
        given = trace_context.given_by(headers) if headers else ""
        request_id = given.encode() or state.new_id()
        is_head = self._parser.request_line[:1] == (b"HEAD",)
        self._transport.write(state.refusal(error, request_id, is_head=is_head))
        reason = printable(str(error).encode("latin-1", "replace"))
        if not client:
            peer, proxies = self.peer.remote_ip, state.arrivals.proxies
            client = (peer if headers is None else proxies.visitor(peer, headers).address).encode()
        status = error.status
        state.log.add(request_id, client, b"-", b"-", status, 0.0, reason, ASTRAY)
        self.leave()

    # --- ending ----------------------------------------------------------------------------------

    @property
    def idle_since(self) -> float | None:
        """Return since when it could be closed without harm, as no request is known yet; None if it
        can't."""
        if self._busy or self.phase is not OPEN or self._stage is RequestStage.BODY:
            return None
        limits = self._state.limits
        return self.deadline - (limits.idle_s if self._stage is IDLE else limits.head_s)

    def leave(self) -> None:
        """Close after the last answer. Say so, and read away for a while what the client still
        sends: to close with input unread would make its kernel drop the answer (RFC 9112 section
        9.6)."""
        if self._ended:
            self.close()
            return
        limits, now = self._state.limits, self._clock()
        self.phase = LEAVING
        self._parser.clear()
        self.deadline = now + limits.linger_s
        self._flushed_by = now + limits.write_s
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._end_output()

    def _end_output(self) -> None:
        with contextlib.suppress(OSError):  # the client has closed already
            self._transport.write_eof()

    def _lost(self) -> None:
        self.phase = GONE
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lost()
        self.outflow.lost()

    def expire(self, now: float) -> None:
        """Close, as a deadline has passed; where a request has begun, refuse it."""
        if now >= self.outflow.deadline:
            self._transport.abort()
        elif self.phase is not OPEN:
            if self._transport.get_write_buffer_size() and now < self._flushed_by:
                self.deadline = self._flushed_by
            else:
                self._transport.abort()
        elif self._ended:
            self._transport.abort()
        elif self._parser.stage is IDLE:
            self.leave()
        else:
            late = RequestTimeout(f"{self._stage.value} did not come in time")
            self.refuse(late, self._parser.headers)

    def close(self) -> None:
        """Close after what has been written, whatever is under way."""
        self._lost()
        self._flushed_by = self._clock() + self._state.limits.write_s
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
