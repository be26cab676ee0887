"""What all pages share: their look, errors that say what to do, and the parsing of forms."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from bazar.errors import BadRequest
from bazar.http.cached_response import CachedResponse
from bazar.replication.store import Answer
from handlers import html
from handlers.base import Handler, NoRoute, as_error
from handlers.frontend.handlers import FrontEndHandler
from handlers.frontend.questions import Question
from handlers.operations import HTML, JSON
from handlers.storefront import rendering

Fields = list[tuple[str, str]]


class PageHandler(FrontEndHandler):
    error_types = (HTML, JSON)  # the port itself refuses in JSON
    retry: tuple[str, Fields] | None = None
    """The path and the fields that the visitor may send again if this fails."""
    apologies: Mapping[str, rendering.Apology] = rendering.APOLOGIES
    """What errors mean for the visitor, by their code."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name, value in html.HEADERS.items():
            self.set_header(name, value)

    @property
    def cookie_options(self) -> dict[str, Any]:
        """Return the options of every cookie: it is sent to this site alone, and only over HTTPS if
        the shop is reached by HTTPS."""
        context = self.service.context
        known = (context.config.public_url or context.node.url).startswith("https:")
        secure = known or self.request.protocol == "https"
        return {"samesite": "Lax", "secure": secure}

    # --- in --------------------------------------------------------------------------------------

    def form(self, name: str) -> str:
        """Return the field of the form that must be there once."""
        value = self._once(self.request.body_arguments, name)
        if value is None:
            raise BadRequest(f"{name}: is missing")
        return value

    def fields(self, name: str) -> list[str]:
        """Return the values of a field that may be there several times."""
        try:
            return [one.decode("utf-8") for one in self.request.body_arguments.get(name, [])]
        except UnicodeDecodeError:
            raise BadRequest(f"{name}: is not UTF-8") from None

    def all_fields(self) -> Fields:
        """Return the form as it came."""
        names = self.request.body_arguments
        return [(name, value) for name in names for value in self.fields(name)]

    # --- out -------------------------------------------------------------------------------------

    def paint(self, template: str, **values: Any) -> None:
        """Answer with a page of this visitor alone. Whoever comes back to it is to see it as it is
        then, and not as a browser has kept it."""
        self.set_header("Cache-Control", "private, no-store")
        self.finish(rendering.paint(template, **values))

    def go(self, path: str, status: int = 303) -> None:
        """Answer a form by a redirect to its result, so that a reload sends nothing again; by 307
        the browser sends the form there."""
        self.set_status(status)
        self.set_header("Location", path)
        self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        apologize(self, status_code, kwargs, self.retry, self.apologies)


def apologize(
    handler: Handler,
    status: int,
    failure: dict[str, Any],
    retry: tuple[str, Fields] | None = None,
    apologies: Mapping[str, rendering.Apology] = rendering.APOLOGIES,
) -> None:
    """Answer with a page that says what went wrong, and what to do."""
    error = as_error(status, failure.get("exc_info", (None, None, None))[1], handler)
    handler.set_status(error.status)
    handler.tell_error(error)
    heading, text = rendering.apology(error, apologies)
    handler.finish(
        rendering.paint(
            "error.html",
            title=heading,
            text=text,
            error=error,
            retry=retry,
            again=handler.request.uri if handler.request.method == "GET" else None,
            request_id=handler.request_id,
        )
    )


class NotFoundPage(NoRoute):
    """The answer where no route is: a page for a browser, JSON for every other client."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if "text/html" not in self.request.headers.get("Accept", ""):
            super().write_error(status_code, **kwargs)
            return
        for name, value in html.HEADERS.items():
            self.set_header(name, value)
        apologize(self, status_code, kwargs)


class ShelfPage(PageHandler):
    """A page that is the same for all visitors, and cached."""

    async def show_page(
        self, question: Question, body: Callable[[Answer], bytes], *more: dict[str, Any]
    ) -> None:
        """Answer with the page, as `body` paints it, of what `question` asks, and of `more` items
        of the same service. The page may be painted again when this visitor has gone."""
        await self.show(
            replace(
                question,
                store=self.service.pages,
                key=f"page_{question.key}",
                more=more,
                show=partial(_page, body),
            )
        )


def _page(body: Callable[[Answer], bytes], answer: Answer, replica: str) -> CachedResponse:
    return CachedResponse(body(answer), replica, own=html.HEADERS)


def new_key() -> str:
    return secrets.token_hex(16)
