"""Lists in the forms in which programs and people write them: each is understood, or asked about in
one sentence; no row of them gets lost, whatever its neighbours are like."""

from __future__ import annotations

import unittest
from unittest import mock

from bazar.cli.importing import report
from bazar.cli.importing.text import check_encoding
from bazar.errors import BadRequest
from handlers import validation
from tests.unit.cli.lists import books, columns, read, said

OURS = "title,topic,author,cost,count\n"
DEFAULTS = {"topic": "Tales", "cost": 500, "count": 2}


class HeadersTest(unittest.TestCase):
    def test_our_own(self) -> None:
        self.assertEqual(
            books(OURS + "The Fog,Tales,Ida Roe,1299,3\n"),
            [("The Fog", "Ida Roe", "Tales", 1299, 3)],
        )

    def test_in_many_languages_and_programs(self) -> None:
        for header in (
            *("Title;Author;Genre;Price;Quantity", "BOOK TITLE;AUTHOR(S);SUBJECT;LIST PRICE;QTY"),
            *("product_name;authors;product_category;unit_price;stock_quantity",),
            *("BookTitle;AuthorName;SubjectHeading;ListPrice;QtyOnHand", "Name;By;Type;RRP;Units"),
            *(
                "*Title;Author;*Category;*StartPrice;*Quantity",
                "name;writer;theme;price (USD);count",
            ),
            *(
                "Titel;Autor/in;Warengruppe;VK-Preis;Bestand",
                "Buchtitel;Verfasser;Genre;Preis;Menge",
            ),
            *(
                "Titel;Autor;Thema;Preis in EUR;Anzahl",
                "Titel;Auteur;Rubriek;Prijs incl. btw;Voorraad",
            ),
            *(
                "Titre;Auteur;Catégorie;Prix TTC;Quantité",
                "Titolo;Autore;Argomento;Prezzo;Giacenza",
            ),
            *("Título;Autor;Género;Precio;Existencias", "Título;Autor;Assunto;Preço;Estoque"),
            *("Tytuł;Autor;Kategoria;Cena brutto;Ilość", "Název;Autor;Žánr;Cena s DPH;Skladem"),
            *("Titel;Forfatter;Emne;Pris;Antal", "Titel;Författare;Ämne;Pris;Lager"),
            *("Nimi;Tekijä;Aihe;Hinta;Määrä", "Kitap Adı;Yazar;Tür;Fiyat;Stok"),
            *("Название;Автор;Жанр;Цена, руб.;Остаток", "書名;著者;ジャンル;定価（税込）;在庫数"),
            *("书名;作者;分类;定价;库存",),
        ):
            with self.subTest(header):
                self.assertEqual(
                    books(f"{header}\nThe Fog;Ida Roe;Tales;12,99;3\n"),
                    [("The Fog", "Ida Roe", "Tales", 1299, 3)],
                )

    def test_the_better_of_two_is_taken_and_the_other_said(self) -> None:
        header = "Tags,Name,Type,Sale price,Cost per item,Price,In stock?,Stock,Title,Vendor,Author"
        understood, _ = read(f"{header}\na,b,c,1.1,2.2,3.3,1,7,The Fog,v,Ida Roe\n")
        self.assertEqual(
            columns(understood),
            {
                "title": "Title",
                "author": "Author",
                "topic": "Type",
                "cost": "Price",
                "count": "Stock",
            },
        )
        shown = "\n".join(report.describe(understood))
        self.assertIn("'Tags' (may be topic, too: --map)", shown)
        self.assertIn("'Cost per item'", shown)

    def test_one_that_is_empty_is_taken_last(self) -> None:
        understood, _ = read("Title,Genre,Subject,Price,Qty\nThe Fog,Tales,,1.5,2\n")
        self.assertEqual(columns(understood)["topic"], "Genre")

    def test_a_name_that_means_two_things(self) -> None:
        french, _ = read("Titre,Nombre,Prix,Sujet\nLa Brume,3,5.50,Contes\n")
        spanish, _ = read("Nombre,Cantidad,Precio,Tema\nLa Niebla,3,5.50,Cuentos\n")
        self.assertEqual((columns(french)["title"], columns(french)["count"]), ("Titre", "Nombre"))
        self.assertEqual(columns(spanish)["title"], "Nombre")

    def test_mapped_by_name_by_number_and_either_way_round(self) -> None:
        content = "a,b,Price,Price\nThe Fog,2,1.10,2.20\n"
        for mapped in (
            ("title=a", "count=b", "cost=#4"),
            ("a=title", "b=count", "cost=#4"),
            ("title=A", "count= b", "cost=#4"),
        ):
            self.assertEqual(
                books(content, {"topic": "Tales"}, mapped=mapped),
                [("The Fog", None, "Tales", 220, 2)],
            )

    def test_all_that_is_missing_or_wrong_is_said_at_once(self) -> None:
        content = "SKU,Naming,Prise\n1,The Fog,2\n"
        with self.assertRaises(BadRequest) as raised:
            read(content, mapped=("cost=Price", "x=y", "title=Naming", "author=#9"), ignored=("z",))
        for part in (
            *("--map cost=Price: the list has no column 'Price'; did you mean 'Prise'?",),
            *("--map x=y: must be OURS=THEIRS", "--map author=#9: the list has no column"),
            *("--ignore: the list has no column 'z'", "topic (--map topic=COLUMN, or --topic)"),
            *("cost (--map cost=COLUMN, or --cost)", "count (--map count=COLUMN, or --stock)"),
            *("line 1", "'SKU', 'Prise'"),
        ):
            self.assertIn(part, str(raised.exception))
        self.assertNotIn("title (--map", str(raised.exception))

    def test_rows_without_a_header_are_not_taken_for_one(self) -> None:
        with self.assertRaisesRegex(BadRequest, "Does a line above the rows name the columns"):
            read("The Fog,Ida Roe,Tales,5.70,3\nThe Sea,Ida Roe,Tales,5.70,3\n")

    def test_ignored(self) -> None:
        content = "Title,Genre,Price,Stock,Author\nThe Fog,Tales,1.5,9,Ida Roe\n"
        self.assertEqual(
            books(content, {"count": 1}, ignored=("stock", "Author")),
            [("The Fog", None, "Tales", 150, 1)],
        )

    def test_a_field_that_books_get_is_filled_by_its_column(self) -> None:
        content = "ISBN,Barcode,Title\n9780000000002 (pbk.) | 12,123,The Fog\n,,The Sea\n"
        with mock.patch.dict(validation.FIELD_RULES, {"isbn": validation.TEXT}):
            _, rows = read(content, DEFAULTS)
        found = [(row.book or {}).get("isbn") for row in rows]
        self.assertEqual(found, ["9780000000002", None])

    def test_a_barcode_that_is_no_isbn_is_not_taken_for_one(self) -> None:
        understood, _ = read("Barcode,Title\n300000000001,The Fog\n", DEFAULTS)
        self.assertNotIn("isbn", understood.layout.chosen.places)
        understood, _ = read("EAN,Title\n9780000000002,The Fog\n", DEFAULTS)
        self.assertIn("isbn", understood.layout.chosen.places)
        understood, _ = read('ISBN,Title\n"=""0000000000""",The Fog\n', DEFAULTS)
        self.assertIn("isbn", understood.layout.chosen.places)

    def test_family_names_first(self) -> None:
        content = "Title;{};Genre;Price;Qty\nA;Roe; Ida;T;1;1\n".replace("Roe; Ida", '"Roe; Ida"')
        for header, author in (("Author (last; first)", "Ida Roe"), ("Author", "Roe; Ida")):
            self.assertEqual(books(content.format(f'"{header}"'))[0][1], author)
        several = 'Title,"Author (Last name, First name)"\nA,"Roe, Ida, Jr."\nB,Homer\n'
        self.assertEqual([b[1] for b in books(several, DEFAULTS)], ["Roe, Ida, Jr.", "Homer"])


class FormsTest(unittest.TestCase):
    FOG = (("Nebel; Moor", "Zoë Öst", "Märchen", 1250, 2),)

    def test_encodings(self) -> None:
        content = 'Titel;Autor;Thema;Preis;Menge\r\n"Nebel; Moor";Zoë Öst;Märchen;12,50;2\r\n'
        for encoding, found in (
            *(("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252")),
            *(("latin-1", "cp1252"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le")),
            *(("utf-16-be", "utf-16-be"), ("utf-32", "utf-32")),
        ):
            with self.subTest(encoding):
                understood, _ = read(content.encode(encoding))
                self.assertEqual(understood.encoding.name, found)
                self.assertEqual(tuple(books(content.encode(encoding))), self.FOG)
        for told in ("mac_roman", "utf-16-be", "utf-32-le"):
            encoding = check_encoding(told)
            self.assertEqual(tuple(books(content.encode(told), encoding=encoding)), self.FOG)

    def test_whole_words_beyond_ascii_are_not_taken_for_western_ones(self) -> None:
        for word, encoding in (
            *(("Война", "cp1251"), ("Война", "koi8-r"), ("Λόγος", "cp1253")),
            *(("שלום", "cp1255"), ("红楼梦", "gb18030"), ("紅樓夢", "big5")),
            *(("ほんのむし", "shift_jis"), ("한국어", "cp949")),
        ):
            with self.subTest(encoding):
                content = f"{OURS}{word},Tales,{word},1299,3\n".encode(encoding)
                with self.assertRaisesRegex(BadRequest, "--encoding cp1251"):
                    read(content)
                found = books(content, encoding=encoding)
                self.assertEqual(found, [(word, word, "Tales", 1299, 3)])
        western = f"{OURS}Þýðing,Ævintýri,«À Ésope…»,1299,3\n".encode("cp1252")
        self.assertEqual(books(western)[0][:2], ("Þýðing", "«À Ésope…»"))

    def test_a_mark_decides_over_what_is_told(self) -> None:
        content = ("\ufeff" + OURS + "Nebel über,T,,1,1\n").encode()
        self.assertEqual(books(content, encoding="cp1252")[0][0], "Nebel über")

    def test_the_first_letter_beyond_ascii_may_come_late(self) -> None:
        rows = OURS + f"{'A' * 400},T,,1,1\n" * 4000  # more than is read at once
        understood, found = read(rows.encode() + "Märchen,T,,1,1\n".encode("cp1252"))
        self.assertEqual(understood.encoding.name, "cp1252")
        self.assertEqual((found[-1].book or {})["title"], "Märchen")

    def test_a_few_bad_bytes_make_bad_rows_not_another_encoding(self) -> None:
        content = (OURS + "Märchen aus Žižkov,T,,1,1\n").encode() + b"M\xe4rchen,T,,1,1\nA,T,,1,1\n"
        understood, rows = read(content)
        self.assertEqual(understood.encoding.name, "utf-8")
        self.assertIn("title: has a character that can't be read", said(rows)[3])
        self.assertEqual(said(rows)[4], "A")

    def test_a_character_that_was_lost_before_is_one_like_others(self) -> None:
        self.assertEqual(books(OURS + "Caf\ufffd,T,,1,1\n")[0][0], "Caf\ufffd")

    def test_cut_in_a_character(self) -> None:
        _, rows = read((OURS + "A,T,,1,1\n吾輩,T,,1,1\nB").encode("utf-16")[:-1])
        self.assertEqual([said(rows)[2], said(rows)[3]], ["A", "吾輩"])
        self.assertTrue(said(rows)[4].startswith("!"))

    def test_separators(self) -> None:
        for sign in ",;\t|":
            content = f"Title{sign}Genre{sign}Price{sign}Qty\n{'A, b; c'!r}{sign}T{sign}12{sign}2\n"
            quoted = content.replace("'", '"')
            self.assertEqual(books(quoted)[0][0], "A, b; c", sign)
        self.assertEqual(books("sep=;\r\nTitle;Genre;Price;Qty\r\nA;T;1,5;2\r\n")[0][3], 150)
        self.assertEqual(books("title~topic~cost~count\nA~T~1~2\n", delimiter="~")[0][0], "A")
        # Others may stand in names, and more often than the separator.
        header = 'Author (last; first),"a;b;c;d",Title,Genre,Price,Qty\n'
        self.assertEqual(books(header + "Roe; Ida,x;y;z,A,T,1,2\n")[0][:2], ("A", "Ida Roe"))

    def test_a_list_of_titles_alone(self) -> None:
        rows = books("title\nFog, Mist; and Rain\nPart 1, Part 2\nEnd of Winter\n", DEFAULTS)
        self.assertEqual([row[0] for row in rows], ["Fog, Mist; and Rain", "Part 1, Part 2",
                                                    "End of Winter"])  # fmt: skip

    def test_line_ends(self) -> None:
        for end in ("\n", "\r\n", "\r"):
            self.assertEqual(len(books(end.join((OURS.strip(), "A,T,,1,1", "B,T,,1,1")))), 2)

    def test_what_stands_above_and_below(self) -> None:
        understood, rows = read(
            "Books of the Moor\n\nas of Monday, by Ida\nTitle,Author,Genre,Price,Qty\n"
            "A,X,T,1.50,2\n,,,,\n   \nTitle,Author,Genre,Price,Qty\nEnd of Winter,Y,T,2,1\n"
            "Total,,,3.50,3\n2 titles,,,,\n(2 rows)\n-- end --\n\x1a"
        )
        self.assertEqual(understood.layout.line, 4)
        self.assertEqual(
            said(rows),
            {
                **{5: "A", 6: "empty", 7: "empty", 8: "the header again", 9: "End of Winter"},
                **dict.fromkeys((10, 11, 12, 13), "below the list"),
                14: "empty",
            },
        )

    def test_cells_that_are_missing_or_too_many(self) -> None:
        _, rows = read(
            "Title;Genre;Price;Qty;Note\nA;T;1,5;2\nB;T;1,5;2;;;\nC;T\nD;T;1,5;2;x;y\nE;;1,5;;\n"
        )
        self.assertEqual(
            said(rows),
            {
                **{2: "A", 3: "B", 4: "! cost: is missing; count: is missing"},
                **{5: "! has 6 cells, the header 5", 6: "! topic: is missing; count: is missing"},
            },
        )

    def test_what_is_no_list(self) -> None:
        for content in (
            *(b"PK\x03\x04\0\0", b"\xd0\xcf\x11\xe0\xa1", b"%PDF-1.7", b"\x1f\x8b\x08", b"[{}]"),
            *(
                b"BZh91AY",
                b"\xfd7zXZ\0",
                b"\x28\xb5\x2f\xfd",
                b"7z\xbc\xaf",
                b"{\\rtf1",
                b'{"books":',
            ),
            *(b"<?xml", b"<!DOCTYPE html>", b"SQLite format 3\0", b"\0\x01\0\0Standard Jet DB"),
        ):
            with self.assertRaisesRegex(BadRequest, "this is "):
                read(content)
        for content in (bytes(range(256)) * 20, b"\0" * 9000, b'"' * 5000, b"[0]", b"<p>\n</p>\n"):
            with self.assertRaisesRegex(BadRequest, "names no column|quote|empty|beyond ASCII"):
                read(content)

    def test_empty_lists(self) -> None:
        for content in ("", "\n\n", "\ufeff", " , \n"):
            with self.assertRaisesRegex(BadRequest, "the list is empty"):
                read(content)
        self.assertEqual(books(OURS), [])


class QuotesTest(unittest.TestCase):
    def bad(self, content: str, *lines: int) -> dict[int, str]:
        """What became of each row, of which only these are bad."""
        _, rows = read(content)
        found = said(rows)
        self.assertEqual(tuple(n for n, text in found.items() if text.startswith("!")), lines)
        return found

    def test_an_open_quote_takes_no_other_row_along(self) -> None:
        for opened in ('"A,T,X,1,1', 'A,"T,X,1,1', 'A,T,X,1,"1'):
            for others in (
                "B,T,,1,1\nC,T,,1,1\n",
                '"B",T,,1,1\nC,T,"X",1,1\n',
                '"B",T,"",1,1\nC,T,,1,1',
            ):
                with self.subTest(opened, others=others):
                    found = self.bad(f"{OURS}F,T,,1,1\n{opened}\n{others}", 3)
                    self.assertIn("a quote is opened and not closed", found[3])
                    self.assertEqual([found[2], found[4], found[5]], ["F", "B", "C"])

    def test_several(self) -> None:
        found = self.bad(OURS + '"A,T,X,1,1\nB,T,X,1,1\n"C,T,X,1,1\n"D, d",T,X,1,1\n', 2, 4)
        self.assertEqual((found[3], found[5]), ("B", "D, d"))

    def test_one_that_another_seems_to_close(self) -> None:
        found = self.bad(OURS + '"A,T,X,1,1\nB 12",T,X,1,1\nC,T,X,1,1\n', 2)
        self.assertEqual((found[3], found[4]), ('B 12"', "C"))
        noted = OURS.strip() + ",note\n"
        found = self.bad(noted + 'A,T,X,1,1,"note\nB,T,X,1,1,5"\nC,T,X,1,1,\n', 2)
        self.assertEqual((found[3], found[4]), ("B", "C"))

    def test_cells_of_several_lines(self) -> None:
        noted = OURS.strip() + ",note\n"
        found = self.bad(noted + '"A\nb",T,X,1,1,"a, b, c, d, e, f\r\nx\n\ny"\nC,T,X,1,1\n')
        self.assertEqual(found, {2: "A b", 7: "C"})

    def test_spaces_around_quotes(self) -> None:
        found = self.bad('"title" , "topic" , "cost" , "count"\n"A, b" , "T" , "1" , "2"\n')
        self.assertEqual(found, {2: "A, b"})

    def test_quotes_within(self) -> None:
        found = self.bad(
            OURS + '"The "Old" Fog",T,,1,1\nThe "Old" Sea,T,,1,1\n"""A""", b",T,,1,1\n', 2, 4
        )
        self.assertIn("must be doubled", found[2])
        self.assertEqual(found[3], 'The "Old" Sea')

    def test_in_the_header_it_is_refused(self) -> None:
        for content in (
            'title,"topic,author,cost,count\nA,T,X,1,1\n',
            '"title,topic,author,cost,count\n"A",T,X,1,1\n',
        ):
            with self.assertRaisesRegex(
                BadRequest, "line 1, which names the columns: a quote is op"
            ):
                read(content)

    def test_a_line_without_end(self) -> None:
        found = self.bad(OURS + "A" * (1 << 21) + ",T,,1,1\nB,T,,1,1\n", 2)
        self.assertEqual(found[3], "B")


class VariantsTest(unittest.TestCase):
    def test_rows_of_one_product(self) -> None:
        _, rows = read(
            "Handle,Title,Vendor,Type,Option1 Name,Option1 Value,Variant Inventory Qty,"
            "Variant Price,Image Src\na,A,X,T,Title,Default Title,3,9.99,1\na,,,,,,,,2\n"
            "b,B,Y,T,Format,Hard,3,19.99,\nb,,,,,Paper,3,free,\nb,,,,,Audio,3,7.99,\n,,,,,Paper,3,1,\n"
        )
        self.assertEqual(
            said(rows),
            {
                **{2: "A", 3: "more of the product above", 4: "B (Hard)", 6: "B (Audio)"},
                5: "! cost: 'free' is not a number",
                7: "! title: is missing; topic: is missing",
            },
        )
        self.assertEqual((rows[4].book or {})["author"], "Y")
        # What is rejected stands by itself, and can be imported alone.
        self.assertEqual(rows[3].cells[:4], ["b", "B (Paper)", "Y", "T"])

    def test_rows_with_a_parent(self) -> None:
        _, rows = read(
            "ID,Type,SKU,Name,Regular price,Stock,Categories,Parent\n1,simple,s,A,1.50,1,T,\n"
            "2,variable,p,B,,,U,\n3,variation,p-h,B - Hard,20,3,,p\n"
            "4,variation,p-p,B - Soft,9,3,,id:2\n"
        )
        self.assertEqual(
            said(rows),
            {2: "A", 3: "a product of which only variants are sold", 4: "B - Hard", 5: "B - Soft"},
        )
        self.assertEqual({(row.book or {})["topic"] for row in rows[2:]}, {"U"})

    def test_a_name_of_the_variant_is_no_title(self) -> None:
        rows = books("Item Name,Variation Name,Category,Price,Qty\nA,Regular,T,1,1\nB,Soft,T,1,1\n")
        self.assertEqual([row[0] for row in rows], ["A", "B (Soft)"])

    def test_the_same_book_in_formats_one_below_the_other(self) -> None:
        rows = books(
            "Title,Author,Genre,Binding,Price,Qty\nA,X,T,Hard,20,1\nA,X,T,Soft,10,1\n"
            "A,X,T,Audio,9,1\nB,X,T,Hard,1,1\n"
        )
        self.assertEqual([row[0] for row in rows], ["A (Hard)", "A (Soft)", "A (Audio)", "B"])
