"""Searching by words in a real database."""

from __future__ import annotations

from tests.unit.storage.contract import finding
from tests.unit.storage.postgresql.test_catalog import CatalogTest


class WordsFoundTest(finding.WordsFound, CatalogTest):
    pass


class OrderTest(finding.Order, CatalogTest):
    pass


class PagesTest(finding.Pages, CatalogTest):
    pass
