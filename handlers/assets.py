"""Style sheets, scripts and pictures: our own files, under names that change with their content."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bazar.errors import NotFound
from handlers import verbs
from handlers.base import Handler

HERE = Path(__file__).parent
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent. `url` has a hash of its content, so that it may be kept for ever."""

    content: bytes
    kind: str
    url: str


@functools.cache
def assets() -> Mapping[str, Asset]:
    """Return the files by name, which are read when one is asked for first."""
    found = {}
    for path in sorted(HERE.glob("*/static/*")):
        content = path.read_bytes()
        mark = hashlib.blake2b(content, digest_size=6).hexdigest()
        found[path.name] = Asset(content, KINDS[path.suffix], f"/static/{path.name}?v={mark}")
    return found


class AssetHandler(Handler):
    """Under the address that a page names, with a mark of its content, a file is kept for ever."""

    @verbs.SHOW_FILE
    def get(self, name: str) -> None:
        asset = assets().get(name)
        if asset is None:
            raise NotFound(f"no such file: {name[:100]!r}")
        self.set_header("Content-Type", asset.kind)
        if self.request.uri == asset.url:
            self.set_header("Cache-Control", FOREVER)
        self.finish(asset.content)
