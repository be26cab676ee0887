"""What a place says of the copy that comes to it."""

from __future__ import annotations

from typing import Any

from bazar.cluster_file import parse
from bazar.node.data_directory import prepare_data_dir
from handlers import ROLES
from storage.engines import TABLES, place_of
from storage.moving import ARRIVING, Note
from tests.files import FilesTestCase


class NotesTest(FilesTestCase):
    async def test_a_copy_takes_the_place_of_one_that_was_broken_off(self) -> None:
        """Else the older one could be finished there, when the newer one's shop is gone already."""
        nodes: dict[str, Any] = {
            f"{role}-1": {"role": role, "port": port} for port, role in enumerate(TABLES, 8000)
        }
        config = parse({"nodes": nodes, "data_dir": "data"}, self.directory, ROLES)
        prepare_data_dir(config)
        for name in ("a backup", "a shop that moves"):
            place = place_of(config, "token")
            await place.hold()
            try:
                await place.expect(list(TABLES), Note(name, ARRIVING, "elsewhere"))
            finally:
                await place.close()
            place = place_of(config, "token")
            await place.hold()
            try:
                self.assertEqual({note and note.id for note in place.notes.values()}, {name})
            finally:
                await place.close()
