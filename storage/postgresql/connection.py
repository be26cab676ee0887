"""A session over libpq: the statements of a round trip are one pipeline, and nothing is cancelled.

It drives libpq itself, by psycopg's `pq`, instead of psycopg's own cursors: those send the server a
cancel request when their caller is cancelled, and a COMMIT that waits for its standby then succeeds
at the primary alone (P5). Nothing here knows how to send one; what is given up has its socket shut
down. It costs a quarter of the processor time, too.

Statements are prepared where that was asked for, and only at a server itself: one behind a pooler
may meet another of its processes in each transaction, which knows nothing of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from storage.postgresql.parameters import encode
from storage.postgresql.session import Broken, Refused, Reply, Result, Statement

WARNINGS = 32  # kept of one round trip
MOST = 1000  # statements prepared in one session
IDLE = pq.TransactionStatus.IDLE
COMMAND_OK, TUPLES_OK = pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK
FATAL_ERROR, SYNC = pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_SYNC
ANSWERS = (COMMAND_OK, TUPLES_OK, FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED, SYNC)
SEVERITY = pq.DiagnosticField.SEVERITY_NONLOCALIZED
SQLSTATE, MESSAGE = pq.DiagnosticField.SQLSTATE, pq.DiagnosticField.MESSAGE_PRIMARY
LAST_WORDS = ("FATAL", "PANIC")
# What is prepared is no more, or its columns have other types since a migration.
UNPREPARED = ("26000", "0A000")
# What a server, or a pooler before it, says when it ends the session, as an error or a last word.
ENDINGS = ("08", "57P01", "57P02", "57P03", "57P05")


class Connection:
    """One session. It notices by itself when the server ends it, even while nothing is run."""

    def __init__(self, server: str, connection: psycopg.AsyncConnection[Any]) -> None:
        self.server = server
        self._pq = connection.pgconn
        self._socket = self._pq.socket
        self.pid = self._pq.backend_pid  # the server's process; or what a pooler says it is
        self._loop = asyncio.get_running_loop()
        self._loaders = Transformer(connection)
        self.prepares = False  # whether the server keeps what is prepared in this session
        self._prepared: dict[str, bytes] = {}  # names by statement
        self._preparing: dict[int, tuple[str, bytes]] = {}  # by the place among the results
        self._made = 0
        self._failure: str | None = None
        self._last_word = ""  # what the server says as it ends a session that is idle
        self._answered: asyncio.Future[None] | None = None  # while something is run
        self._results: list[pq.abc.PGresult] = []
        self._warnings: deque[str] = deque(maxlen=WARNINGS)
        self._pq.notice_handler = self._noticed
        self._pq.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)

    @property
    def broken(self) -> bool:
        return self._failure is not None

    async def run(self, *statements: Statement, timeout_s: float) -> Reply:
        if self._failure is not None:
            raise Broken(f"{self.server}: {self._failure}")
        if self._answered is not None:
            raise RuntimeError("a session runs one thing at a time")
        self._check_begin(statements)
        encoded = [encode(each.params) for each in statements]
        self._answered = answered = self._loop.create_future()
        late = self._loop.call_later(timeout_s, self._expire, timeout_s)
        try:
            self._send(statements, encoded)
            self._pq.pipeline_sync()
            self._write()
            await answered
            return self._reply()
        except psycopg.Error as error:
            answered.cancel()  # nobody waits for it
            self._break(one_line(error))
            raise Broken(f"{self.server}: {self._failure}") from error
        except asyncio.CancelledError:
            self._break("given up by its caller")
            raise
        finally:
            late.cancel()
            self._answered = None
            self._results = []
            self._preparing = {}
            self._warnings.clear()

    def _check_begin(self, statements: tuple[Statement, ...]) -> None:
        """Refuse what would commit at the end of the pipeline, without a COMMIT."""
        if len(statements) > 1 and self._pq.transaction_status == IDLE:
            first = statements[0].sql
            if not first.startswith("BEGIN"):
                raise ValueError(f"no transaction is open, and none begins with {first!r}")

    def _send(self, statements: tuple[Statement, ...], encoded: list[list[bytes | None]]) -> None:
        names = self._prepared
        for place, (statement, params) in enumerate(zip(statements, encoded, strict=True)):
            sql = statement.sql
            if not (statement.prepared and self.prepares):
                self._pq.send_query_params(sql.encode(), params)
                continue
            name = names.get(sql)
            if name is None:
                self._made += 1
                self.prepares = self._made < MOST
                name = b"bazar%d" % self._made
                self._preparing[place + len(self._preparing)] = sql, name
                self._pq.send_prepare(name, sql.encode())
                names = {**names, sql: name}
            self._pq.send_query_prepared(name, params)

    # --- what the socket says --------------------------------------------------------------------

    def _write(self) -> None:
        """Send what libpq holds, now and whenever the socket takes more."""
        try:
            if self._pq.flush():
                self._loop.add_writer(self._socket, self._write)
            else:
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._break(one_line(error))

    def _read(self) -> None:
        """Take what has come: results up to the pipeline's end; or the end of the session."""
        failure = None
        try:
            self._pq.consume_input()
        except psycopg.Error as error:
            failure = one_line(error)
        gaps = 0
        while gaps < 2 and not self._pq.is_busy():
            result = self._pq.get_result()
            if result is None:  # one behind each result; a second one when there is no more
                gaps += 1
                continue
            gaps = 0
            if result.status not in ANSWERS:  # COPY, or what libpq will know some day
                kind = pq.ExecStatus(result.status).name
                failure = failure or f"a result of an unexpected kind: {kind}"
                break
            if result.status == SYNC:
                if self._answered is not None and not self._answered.done():
                    self._answered.set_result(None)
                break
            self._results.append(result)
            if failure is not None and result.status == FATAL_ERROR:
                break
        if failure is not None:
            self._break(failure)

    def _noticed(self, notice: pq.abc.PGresult) -> None:
        severity, message = _field(notice, SEVERITY), _field(notice, MESSAGE)
        self._warnings.append(f"{severity}: {message}")
        if severity in LAST_WORDS:
            self._last_word = f"{message} ({_field(notice, SQLSTATE)})"

    # --- what it came to -------------------------------------------------------------------------

    def _reply(self) -> Reply:
        """Return what the statements came to. Raises Refused for the first that has failed."""
        for place, (sql, name) in self._preparing.items():
            if self._results[place].status == COMMAND_OK:
                self._prepared[sql] = name
        results = []
        for place, result in enumerate(self._results):
            rows: list[tuple[Any, ...]] = []
            if result.status == TUPLES_OK:
                self._loaders.set_pgresult(result)
                rows = self._loaders.load_rows(0, result.ntuples, tuple)
            elif result.status != COMMAND_OK:
                raise self._failed(result)
            if place not in self._preparing:
                results.append(Result((result.command_status or b"").decode(), tuple(rows)))
        return Reply(tuple(results), tuple(self._warnings))

    def _failed(self, result: pq.abc.PGresult) -> Refused | Broken:
        sqlstate, message = _field(result, SQLSTATE), _field(result, MESSAGE)
        if _field(result, SEVERITY) != "ERROR" or sqlstate.startswith(ENDINGS):
            self._break(f"{message} ({sqlstate})")
            return Broken(f"{self.server}: {self._failure}")
        if sqlstate in UNPREPARED:
            self._prepared.clear()
        return Refused(sqlstate, message)

    # --- the end ---------------------------------------------------------------------------------

    def _expire(self, timeout_s: float) -> None:
        if self._answered is not None and not self._answered.done():
            self._break(f"no answer within {timeout_s:g} s")

    def _break(self, reason: str) -> None:
        """Shut the socket down. The first reason counts, but the server's last word says more."""
        if self._failure is not None:
            return
        for result in self._results:
            if result.status == FATAL_ERROR and _field(result, SEVERITY) in LAST_WORDS:
                self._last_word = f"{_field(result, MESSAGE)} ({_field(result, SQLSTATE)})"
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._socket)) as end:
            end.shutdown(socket.SHUT_RDWR)
        self._finish(self._last_word or reason)
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(Broken(f"{self.server}: {self._failure}"))

    def abort(self) -> None:
        self._break("given up")

    async def close(self) -> None:
        """End the session with a word to the server, unless something is under way."""
        if self._answered is not None:
            self.abort()
        elif self._failure is None:
            self._finish("closed")

    def _finish(self, reason: str) -> None:
        self._failure = reason
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._pq.finish()


def _field(result: pq.abc.PGresult, field: pq.DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode("utf-8", "replace")


def one_line(error: BaseException) -> str:
    """Return what libpq says, in one line."""
    return " ".join(str(error).split())
