"""Style sheets, scripts and pictures: our own files, under names that change with their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bazar.errors import NotFound
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


def _load() -> dict[str, Asset]:
    assets = {}
    for path in sorted(HERE.glob("*/static/*")):
        content = path.read_bytes()
        mark = hashlib.blake2b(content, digest_size=6).hexdigest()
        assets[path.name] = Asset(content, KINDS[path.suffix], f"/static/{path.name}?v={mark}")
    return assets


ASSETS = _load()


class AssetHandler(Handler):
    query_names = None

    def get(self, name: str) -> None:
        asset = ASSETS.get(name)
        if asset is None:
            raise NotFound(f"no such file: {name[:100]!r}")
        self.set_header("Content-Type", asset.kind)
        if self.request.uri == asset.url:
            self.set_header("Cache-Control", FOREVER)
        self.finish(asset.content)
