"""Mutations of books that are retired: not sold, not found, and not lost."""

from __future__ import annotations

from storage import working_set
from storage.catalog import Catalog
from tests.simulation.mutations.mutation import mutation, shop

TAGS = "return tags | {SEARCHES, TOPICS}\n    if"

RETIRING = (
    mutation(
        "a retired book is sold",
        "S8",
        (Catalog, "_sell", 'if book["retired"]:', "if False:"),
        focus="retiring",
    ),
    mutation(
        "a book that was retired once is not sold any more",
        "S8",
        (Catalog, "_update", 'RETIRED if fields["retired"] else None', "RETIRED"),
        focus="retiring",
    ),
    mutation(
        "cancelled copies do not go back to a retired book",
        "S6",
        (
            Catalog,
            "_cancel",
            "if quantity > total[book]:",
            'if quantity > total[book] and not work.book(book)["retired"]:',
        ),
        focus="retiring",
        near=8,
    ),
    mutation(
        "cancelled copies bring a retired book back",
        "S8",
        (Catalog, "_cancel", "back.append({**row, ", 'back.append({**row, "retired": None, '),
        focus="retiring",
        near=14,
    ),
    shop(
        "what is cached does not hear that a book is retired",
        "C5",
        (working_set, "touched", "in FIELDS)", 'in FIELDS if name != "retired")'),
        focus="retiring",
        near=28,
    ),
    shop(
        "cached searches go on showing a retired book",
        "C5",
        (working_set, "touched", TAGS, TAGS.replace("SEARCHES, ", "")),
        focus="retiring",
        near=13,
    ),
    shop(
        "the cached topics go on showing one whose books are retired",
        "C5",
        (working_set, "touched", TAGS, TAGS.replace(", TOPICS", "")),
        focus="retiring",
        near=2,
    ),
)
