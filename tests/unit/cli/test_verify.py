"""What `verify` says of files that programs of several versions have made."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping, Sequence

from bazar.cli import Shop, verify
from bazar.cluster_file import parse
from handlers import ROLES
from storage.catalog import Catalog
from storage.orders import Orders
from storage.sqlite.catalog import CatalogRows
from storage.sqlite.model import Model
from storage.sqlite.orders import OrderRows
from storage.sqlite.replicated_store import ReplicatedStore
from tests.files import FilesTestCase


class OldOrders(OrderRows):
    """From before orders could be cancelled."""

    migrations: Sequence[str] = OrderRows.migrations[:2]


class NewerCatalog(CatalogRows):
    migrations: Sequence[str] = (*CatalogRows.migrations, "CREATE TABLE news (id INTEGER)")


class VersionsTest(FilesTestCase):
    async def verified(self, models: Mapping[str, Model]) -> tuple[int, str]:
        """What the command returns and prints of nodes whose files such programs have made."""
        roles = {name: name.partition("-")[0] for name in models}
        nodes = {
            name: {"role": role, "port": at} for at, (name, role) in enumerate(roles.items(), 1)
        }
        config = parse({"nodes": nodes, "data_dir": "data"}, self.directory, ROLES)
        config.data_dir.mkdir()
        for name, model in models.items():
            store = await ReplicatedStore.open(config.data_dir / f"{name}.db", model, 1000)
            await store.close()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = await verify.run(Shop(config), argparse.Namespace(file=None))
        return code, printed.getvalue()

    async def test_one_of_this_program_alone(self) -> None:
        code, printed = await self.verified(
            {"catalog-1": CatalogRows(Catalog()), "order-1": OrderRows(Orders())}
        )
        self.assertEqual(code, 0, printed)
        self.assertIn("order: order-1 at ", printed)

    async def test_a_replica_that_is_yet_to_be_upgraded(self) -> None:
        known = 1 + len(OrderRows.migrations)
        code, printed = await self.verified(
            {
                "catalog-1": CatalogRows(Catalog()),
                "order-1": OldOrders(Orders()),
                "order-2": OrderRows(Orders()),
            }
        )
        self.assertEqual(code, 1)
        said = (
            f"order: order-1 has schema 3, and this program knows {known}: start it with this"
            " program first\n"
        )
        self.assertIn(said, printed)
        self.assertNotIn("order-2 has", printed)
        self.assertNotIn("sales and orders", printed)

    async def test_a_group_that_a_newer_program_has_opened(self) -> None:
        known = 1 + len(CatalogRows.migrations)
        code, printed = await self.verified(
            {
                "catalog-1": CatalogRows(Catalog()),
                "catalog-2": NewerCatalog(Catalog()),
                "order-1": OrderRows(Orders()),
            }
        )
        self.assertEqual(code, 1)
        said = (
            f"catalog: catalog-2 has schema {known + 1}, and this program knows {known}: use its"
            " own program\n"
        )
        self.assertIn(said, printed)
