"""The description of a node's API: as OpenAPI for programs, and as a page for people.

It is made when it is asked for first, of the declarations that the handlers parse by: a start does
without it.
"""

from __future__ import annotations

import bazar
from bazar.node.server import PUBLIC, Route
from handlers import html, verbs
from handlers.base import Handler

_made: dict[tuple[str, str], bytes] = {}


class OpenAPIHandler(Handler):
    @verbs.DESCRIBE
    def get(self) -> None:
        self.finish(self.described_as("json"))

    def described_as(self, form: str) -> bytes:
        """Return the description in this form. It is the same at all nodes of a role."""
        role = self.service.context.node.role
        if (role, form) not in _made:
            from handlers.described import page
            from handlers.openapi import document, written

            plain = document(role, bazar.VERSION, self.service.routes())
            _made[role, "json"] = written(plain)
            _made[role, "page"] = page.painted(plain)
        return _made[role, form]


class DescriptionPage(OpenAPIHandler):
    """It needs no script."""

    @verbs.SHOW_DESCRIPTION
    def get(self) -> None:
        for name, value in html.HEADERS.items():
            self.set_header(name, value)
        self.finish(self.described_as("page"))


ROUTES = (
    Route("/openapi.json", OpenAPIHandler, PUBLIC),
    Route("/docs", DescriptionPage, PUBLIC),
)
