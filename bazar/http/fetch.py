"""One client's request for a target that is known, while its answer is fetched."""

from __future__ import annotations

import asyncio
from typing import Protocol

from bazar import trace_context
from bazar.http.known_fields import KnownFields
from bazar.http.known_targets import KnownTarget
from bazar.http.response import RawResponse


class FetchingClient(Protocol):
    """The side of the connection that the answer goes to."""

    def fetched(self, fetch: Fetch, answer: RawResponse) -> None: ...
    def failed(self, fetch: Fetch, error: Exception) -> None: ...


class Fetch:
    """From a whole request to its answer, without the application: like an `Exchange`, for requests
    of which all is known but the answer. `lines` are its header lines, `fields` what they mean."""

    def __init__(
        self,
        client: FetchingClient,
        known: KnownTarget,
        request_id: bytes,
        lines: bytes,
        fields: KnownFields,
        began: float,
    ) -> None:
        self.request_id = request_id
        self.lines = lines
        self.fields = fields
        self.began = began
        self.notes: list[str] = []
        self._work = asyncio.create_task(self._run(client, known))  # asyncio itself keeps no task

    async def _run(self, client: FetchingClient, known: KnownTarget) -> None:
        trace_context.current.set(self.request_id.decode())
        try:
            answer = await known.fetch(self.notes.append)
        except Exception as error:  # the application knows how to show it
            client.failed(self, error)
        else:
            client.fetched(self, answer)
        finally:
            del client  # which the error's traceback would keep, in a circle

    def lost(self) -> None:
        """Go on, though the client has gone: others may wait for what is fetched, and the request
        is to be in the log."""
