"""One client's request for a target that is known, while its answer is fetched."""

from __future__ import annotations

import asyncio
from typing import Protocol

from bazar import trace_context
from bazar.http.known_fields import KnownFields
from bazar.http.known_targets import KnownTarget
from bazar.http.response import RawResponse
from bazar.http.served_request import Failed


class FetchingClient(Protocol):
    """The side of the connection that the answer goes to."""

    def fetched(self, fetch: Fetch, answer: RawResponse) -> None: ...
    def failed(self, fetch: Fetch, failed: Failed) -> None: ...


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
        self._client: FetchingClient | None = client
        self._work = asyncio.create_task(self._run(known))  # asyncio itself keeps no task

    async def _run(self, known: KnownTarget) -> None:
        trace_context.current.set(self.request_id.decode())
        try:
            answer = await known.fetch(self.notes.append)
        except Exception as error:  # the application knows how to show it
            if self._client is not None:
                failed = Failed(error, self.notes, self.request_id.decode())
                self._client.failed(self, failed)
        else:
            if self._client is not None:
                self._client.fetched(self, answer)

    def lost(self) -> None:
        """Answer nobody: the client has gone. Others may wait for what is fetched."""
        self._client = None
