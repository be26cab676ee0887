"""The contract of searching by words: what is found, in which order, page by page to the end."""

from __future__ import annotations

import random
from itertools import product

from storage.searches import SORTS, Count, Found, Search
from tests.unit.storage.contract.cases import CatalogCase
from tests.unit.storage.operations import create, update

FIRST = 8  # the number of the first book that a test makes
PLACES = {
    None: "5",
    "fit": "1-6-0",
    "title": "b-5",
    "price": "20-5",
    "-price": "20-5",
    "newest": "5",
}
"""A place in each order."""


class Finding(CatalogCase):
    async def ids(self, q: str) -> list[int]:
        return [book["id"] for book in (await self.found(q=q)).books]

    async def titles(self, q: str) -> list[str]:
        return [book["title"] for book in (await self.found(q=q)).books]

    async def make(self, *titles: str, author: str | None = None) -> None:
        await self.batch(create("k" + titles[0] + str(author), *((t, author, "T") for t in titles)))

    async def pages(self, q: str, limit: int) -> list[list[int]]:
        """All pages, to the very end."""
        pages, after = [], None
        while True:
            page = await self.found(q=q, limit=limit, after=after)
            pages.append([book["id"] for book in page.books])
            if page.after is None:
                return pages
            after = page.after


class WordsFound(Finding):
    async def test_every_word_matches_the_beginning_of_a_word(self) -> None:
        for q, ids in (
            ("cooking", [4]),
            ("IMPATIENT cook", [4]),
            ("impatient cooking undergrads", []),
            ("undergrad", [4, 3]),
            ("under", [4, 3]),
            ("grad", [1]),  # "grade" begins with it, "undergrad" does not
            ("40 dos", [1]),
            ("pioneer spring VALL", [7]),
        ):
            self.assertEqual(await self.ids(q), ids, q)

    async def test_a_beginning_may_be_a_whole_word_that_has_longer_ones(self) -> None:
        """Of each length: the index has lists of the short beginnings only."""
        for length in range(1, 6):
            word = "zyxwv"[:length]
            await self.make(f"{word} dogs", f"{word}s and others")
            self.assertEqual(await self.titles(f"{word} dog"), [f"{word} dogs"])

    async def test_a_word_is_found_with_and_without_what_is_inside_of_it(self) -> None:
        await self.make("Email", "E-Mail, E-Mail", "A Mail, E")
        await self.make("x", author="J. R. R. Roe")
        for q, titles in (
            ("e-mail", ["Email", "E-Mail, E-Mail"]),
            ("email", ["Email", "E-Mail, E-Mail"]),
            ("e mail", ["A Mail, E", "E-Mail, E-Mail"]),
            ("jrr roe", ["x"]),
            ("roe j.r.r.", ["x"]),
            ("x o'roe", []),
        ):
            self.assertEqual(await self.titles(q), titles, q)

    async def test_a_title_of_signs_only(self) -> None:
        await self.make("!!!", "!", "∞", "A word!!!", "+", '"')
        for q, titles in (
            *(("!!!", ["!!!"]), ("!", ["!", "!!!"]), ("∞", ["∞"]), ('"', ['"']), ("+", ["+"])),
            *(("word !!!", ["A word!!!"]), ("?", [])),
        ):
            self.assertEqual(await self.titles(q), titles, q)

    async def test_punctuation_makes_no_difference(self) -> None:
        await self.batch(
            create("k", ("Émile, ou De l’éducation", "Jean-Jacques Rousseau", "Pedagogy")),
            create("l", ('C++ "and" (or) NOT * - NEAR: ^x', "O'Reilly", "Programs")),
            create("m", ("हिन्दी की किताब", "日本太郎", "Языки")),
        )
        for q, ids in (
            *(("emile", [8]), ("ÉMILE", [8]), ("emile\u0301 E\u0301duc", [8]), ("jean jac", [8])),
            *(("jean-jac", [8]), ("l'educ", [8]), ("rousseau émile", [8])),
            *(("o'rei", [9]), ("o’reilly", [9]), ("oreil", [9]), ("OReilly", [9]), ("rei", [9])),
            *(("leduc", [8]), ('"and" not or', [9]), ("near", [9]), ("c++ ^x", [9])),
            *(("हिन्दी", [10]), ("日本", [10]), ("太郎", [10]), ("本太", [10]), ("郎太", [])),
        ):
            self.assertEqual(await self.ids(q), ids, q)

    async def test_letters_follow_updates(self) -> None:
        await self.batch(
            create("k", ("Die weiße Straße", "Jo Nesbø", "Krimi")),
            create("l", ("ŁÓDŹ, ÆSOP", "Þórr Đặng", "Travel")),
        )
        for q, ids in (("weisse strasse", [8]), ("nesbo", [8]), ("lodz aesop thorr", [9])):
            self.assertEqual(await self.ids(q), ids, q)
        await self.batch(update("m", 8, author="Søren"), update("n", 9, title="Œuvres"))
        for q, ids in (("nesbo", []), ("soren", [8]), ("oeuvres", [9]), ("lodz", [])):
            self.assertEqual(await self.ids(q), ids, q)

    async def test_nothing_in_it_is_syntax(self) -> None:
        for q in (
            '"',
            '""',
            "title:how",
            "how OR",
            "NEAR(how to, 2)",
            "-how",
            "*",
            "{a b}",
            "a AND",
        ):
            await self.ids(q)
        for q in ("title: how", "how NOT good", "tokens:how"):
            self.assertEqual(await self.ids(q), [], q)
        for q in ("@how", "=how", "#how"):
            self.assertEqual(await self.ids(q), await self.ids("how"), q)

    async def test_beginnings_of_every_length(self) -> None:
        """Some have lists of their own, some are looked up word by word, some are too many."""
        words = [f"prefix{letter}{n}" for letter in "ab" for n in range(40)]
        await self.make(*words)
        await self.make("Other", author="Prefixer")
        for typed in ("p", "pr", "pre", "pref", "prefix", "prefixa", "prefixb1", "prefixb12"):
            found = {b["title"] for b in (await self.found(q=typed)).books}
            self.assertLessEqual({word for word in words if word.startswith(typed)}, found, typed)
            self.assertEqual("Other" in found, "prefixer".startswith(typed), typed)
        self.assertEqual(await self.ids("prefix a"), [])

    async def test_an_isbn_is_found_however_it_is_typed(self) -> None:
        await self.batch(update("a", 3, isbn="9780306406157"), update("b", 5, isbn="9780306406157"))
        for typed in ("0306406152", "0-306-40615-2", "978-0-306-40615-7", "ISBN 9780306406157"):
            self.assertEqual(sorted(await self.ids(typed)), [3, 5], typed)
        self.assertEqual(await self.ids("0306406153"), [])
        self.assertEqual(await self.ids("9780306"), [])
        await self.batch(update("c", 3, isbn=None), update("d", 7, title="0306406152"))
        self.assertEqual(sorted(await self.ids("0306406152")), [5, 7])


class Order(Finding):
    async def test_the_best_come_first(self) -> None:
        await self.make("Kingdoms of the Sea", "The Old King and the Young King", author="A. B.")
        await self.make("Carrie", author="Stephen King")
        await self.make("The King", "King", "Of Ink", author=None)
        await self.make("Poems", author="Kingsley Amis")
        self.assertEqual(
            await self.titles("king"),
            [
                "King",  # what was typed
                "The King",  # the word is in the title; the shorter first
                "The Old King and the Young King",
                "Carrie",  # it is the author's
                "Kingdoms of the Sea",  # a word of the title begins so
                "Poems",
            ],
        )
        self.assertEqual((await self.titles("stephen king")), ["Carrie"])
        self.assertEqual((await self.titles("KÏNG"))[0], "King")

    async def test_what_was_typed_is_found_behind_thousands(self) -> None:
        with self.ranked(20):
            await self.make(*(f"Cooking for {n}" for n in range(50)), author="Cooking School")
            await self.make(*(f"Other {n}" for n in range(50)), author="Cooking School")
            await self.make("Cooking", "Best Cooking")
            self.assertEqual((await self.titles("cooking"))[0], "Cooking")
        await self.make(*(f"By another {n}" for n in range(50)), author="Baker")
        await self.make("A Baker")
        with self.ranked(20):
            self.assertEqual((await self.titles("baker"))[0], "A Baker")

    async def test_single_characters_of_runs_rank_too(self) -> None:
        await self.make("吾輩は猫である", "猫", "犬と猫", author=None)
        await self.make("動物", author="猫田")
        self.assertEqual(await self.titles("猫"), ["猫", "犬と猫", "吾輩は猫である", "動物"])


class Pages(Finding):
    async def test_page_by_page_to_the_very_end_and_back(self) -> None:
        chance = random.Random(1)
        vocabulary = ("many", "manyfold", "much", "more")
        books = [
            (f"{chance.choice(vocabulary)} {n}", chance.choice(("Many", None)), "T")
            for n in range(90)
        ]
        await self.batch(create("k", *books))
        for ranked in (10, 30, 1000):
            with self.ranked(ranked):
                everything = await self.ids("many")
                matching = [
                    FIRST + n
                    for n, (title, author, _) in enumerate(books)
                    if title.startswith("many") or author
                ]
                self.assertEqual(sorted(everything), matching)
                self.assertEqual(everything[ranked:], sorted(everything[ranked:]))
                pages = await self.pages("many", 7)
                self.assertEqual([n for page in pages for n in page], everything)
                last = await self.found(q="many", limit=7, skip=7 * (len(pages) - 1))
                self.assertEqual([book["id"] for book in last.books], pages[-1])
                for page in reversed(pages[:-1]):
                    last = await self.found(q="many", limit=7, before=last.before)
                    self.assertEqual([book["id"] for book in last.books], page)
                    self.assertIsNotNone(last.after)
                self.assertIsNone(last.before)

    async def test_words_in_which_there_is_nothing_to_look_for_find_nothing(self) -> None:
        """From wherever a page is read."""
        await self.make("!!!")
        for q, (sort, place), stock in product(("", " ", "\u200b"), PLACES.items(), (False, True)):
            for after, before in ((None, None), (place, None), (None, place)):
                wanted = Search(100, q, in_stock=stock, sort=sort, after=after, before=before)
                with self.subTest(wanted):
                    found = await self.reader.search(wanted)
                    self.assertEqual(found, Found.within(wanted, [], Count(0)))

    async def test_next_to_words_no_topic_is_any(self) -> None:
        for sort in (None, *SORTS):
            with self.subTest(sort=sort):
                found = await self.found(q="the", topic="", sort=sort)
                self.assertEqual(found, await self.found(q="the", sort=sort))
                self.assertGreater(found.count.books, 1)

    async def test_counts_end_at_a_thousand(self) -> None:
        self.assertEqual((await self.found(q="under")).count, Count(2))
        self.assertEqual((await self.found(q="nothing")).count, Count(0))
        with self.ranked(3):
            self.assertEqual((await self.found(q="the", limit=1)).count, Count(3, more=True))

    async def test_books_that_come_and_go_in_between_repeat_none(self) -> None:
        await self.make(*(f"Many {n}" for n in range(10, 30)))
        first = await self.found(q="many", limit=10)
        await self.batch(update("a", first.books[-1]["id"], title="Gone"))
        await self.make("Many", "Many 300")
        rest = await self.found(q="many", after=first.after)
        self.assertEqual(
            [book["id"] for book in rest.books], [*range(FIRST + 10, FIRST + 20), FIRST + 21]
        )

    async def test_places_that_are_nowhere(self) -> None:
        await self.make(*(f"Many {n}" for n in range(10)))
        for place, shown in (("0-0-0", 10), ("8-1-1", 0), ("1-6-0", 10), ("999999", 0), ("3", 0)):
            self.assertEqual(len((await self.found(q="many", after=place)).books), shown, place)
        page = await self.found(q="many", before="0-0-0")
        self.assertEqual((page.books, page.before, page.after), ([], None, None))
