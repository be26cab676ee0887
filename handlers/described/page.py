"""The description as a page. It is drawn from the document alone, so it shows what programs see."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tornado.escape import xhtml_escape
from tornado.template import Loader

from bazar.errors import answered
from handlers.assets import assets
from handlers.openapi import meaning

_CODE = re.compile(r"`(.+?)`")
_BOUNDS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "{} character or more",
    "maxLength": "{} characters at most",
    "minItems": "{} or more",
    "maxItems": "{} at most",
    "pattern": "as <code>{}</code>",
    "default": "default {}",
}


def painted(document: Mapping[str, Any]) -> bytes:
    """Return the page."""
    loader = Loader(
        str(Path(__file__).parent),
        whitespace="single",
        namespace={"asset": lambda name: assets()[name].url, "marked": marked, "kind": kind},
    )
    errors = [(one.status, one.code, meaning(one)) for one in answered()]
    page: bytes = loader.load("page.html").generate(
        document=document,
        operations=list(_operations(document)),
        schemas=document["components"]["schemas"],
        errors=errors,
    )
    return page


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            yield method.upper(), path, one


def marked(text: str) -> str:
    """Return a text as HTML; what stands in backticks is code.

    >>> marked("`a<b` & so on")
    '<code>a&lt;b</code> &amp; so on'
    """
    return _CODE.sub(r"<code>\1</code>", xhtml_escape(text))


def kind(schema: Mapping[str, Any]) -> str:
    """Return a schema in a few words, as HTML.

    >>> kind({"type": "integer", "minimum": 1, "maximum": 100})
    'integer, from 1, to 100'
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " or ".join(kind(one) for one in schema[several])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"<code>{one}</code>" for one in schema.get("enum", [schema.get("const")]))
    named = schema.get("type", "anything")
    words = " or ".join(named) if isinstance(named, list) else named
    if "items" in schema:
        words = f"list of {kind(schema['items'])}"
    words = f"{words} ({schema['format']})" if "format" in schema else words
    bounds = [
        bound.format(
            f"<code>{xhtml_escape(str(schema[name]))}</code>" if name == "pattern" else schema[name]
        )
        for name, bound in _BOUNDS.items()
        if name in schema
    ]
    return ", ".join([words, *bounds])
