"""What lists from elsewhere have in their cells, and in which letters: ISBNs that spreadsheets have
spoilt, words for nothing, HTML, marks that can't be seen, the code pages of other countries."""

from __future__ import annotations

import unittest

from bazar.cli.importing import report
from bazar.cli.importing.isbns import NotAnIsbn, isbn
from bazar.cli.importing.text import check_encoding
from bazar.errors import BadRequest
from tests.unit.cli.lists import books, columns, read, said

OURS = "title,topic,author,cost,count\n"
DEFAULTS = {"topic": "Tales", "cost": 500, "count": 2}
FOG = ("The Fog", "Ida Roe", "Tales", 1299, 3)


class EncodingsTest(unittest.TestCase):
    def test_the_names_of_the_columns_tell_it(self) -> None:
        for encoding, header in (
            *(
                ("cp1250", "Tytuł;Autor;Kategoria;Cena;Ilość"),
                ("cp1251", "Название;Автор;Жанр;Цена;Остаток"),
            ),
            *(
                ("koi8_r", "Название;Автор;Жанр;Цена;Остаток"),
                ("cp866", "Название;Автор;Жанр;Цена;Остаток"),
            ),
            *(
                ("cp1253", "Τίτλος;Συγγραφέας;Κατηγορία;Τιμή;Απόθεμα"),
                ("cp1254", "Kitap Adı;Yazar;Tür;Fiyat;Stok"),
            ),
            *(
                ("mac_roman", "Título;Autor;Género;Precio;Cantidad"),
                ("cp850", "Título;Autor;Género;Precio;Cantidad"),
            ),
            *(("cp932", "書名;著者;ジャンル;定価;在庫数"), ("gb18030", "书名;作者;分类;定价;库存")),
            *(("big5", "書名;作者;分類;價格;庫存"), ("cp949", "제목;저자;분류;가격;재고")),
        ):
            with self.subTest(encoding):
                title = header.split(";")[0]
                content = f"{header}\n{title} 2;A;B;1,50;3\n".encode(encoding)
                understood, _ = read(content)
                self.assertEqual(understood.encoding.name, encoding)
                self.assertEqual(books(content), [(f"{title} 2", "A", "B", 150, 3)])

    def test_where_it_is_assumed_a_word_shows_it(self) -> None:
        content = f"{OURS}A,T,,1,1\nDas Märchen,T,,1,1\n".encode("cp1252")
        understood, _ = read(content)
        self.assertIn("is 'Märchen' right? (--encoding)", next(report.describe(understood)))

    def test_two_and_four_bytes_without_a_mark(self) -> None:
        for told, written in (
            *(("utf-16", "utf-16-le"), ("UTF16", "utf-16-be"), ("utf_32", "utf-32-be")),
            *((None, "utf-32-le"), (None, "utf-32-be")),
        ):
            content = f"{OURS}The Fog,Tales,Ida Roe,1299,3\n".encode(written)
            self.assertEqual(books(content, encoding=told), [FOG], (told, written))
        with self.assertRaisesRegex(BadRequest, "line 1 names no column"):
            read(OURS + "A,T,,1,1\n", encoding="utf-16")

    def test_encodings_that_no_file_is_in(self) -> None:
        for name in ("idna", "punycode", "unicode_escape", "rot13", "hex", "excel", ""):
            with self.assertRaisesRegex(BadRequest, "is no encoding of text"):
                check_encoding(name)


class IsbnsTest(unittest.TestCase):
    def test_as_people_and_programs_write_them(self) -> None:
        for cell in (
            *("9780306406157", "978-0-306-40615-7", "ISBN-13: 9780306406157", "0-306-40615-2"),
            *("[0306406152]", "'9780306406157", "9780306406157 (pbk.)", "(pbk.) 9780306406157"),
            *("978 0 306 40615 7 : £12", "0306406152 9780306406157", "9780306406157|0306406152"),
            *("306406152", "306406152.0", "9780306406157.0", "urn:isbn:9780306406157"),
            *("https://books.example/9780306406157", "eISBN 9780306406157"),
        ):
            self.assertEqual(isbn(cell), "9780306406157", cell)
        self.assertEqual(isbn("80442957X"), "9780804429573")
        self.assertIsNone(isbn("0000000000"))
        for cell in (
            "9780306406158",
            "97803064061571",
            "4006381333931",
            "ISSN 1234-5679",
            "B00SHK",
        ):
            with self.assertRaisesRegex(NotAnIsbn, "is no ISBN: 10 or 13 digits"):
                isbn(cell)
        for cell in ("9.78E+12", "9,78031E+12", "9.78030640616e+12"):
            with self.assertRaisesRegex(NotAnIsbn, r"rounded by a spreadsheet.*--ignore"):
                isbn(cell)

    def test_the_column_that_has_some_is_taken(self) -> None:
        content = "isbn,isbn13,title\n439023483,9.78043902348e+12,A\n,,B\n"
        _, rows = read(content, DEFAULTS)
        self.assertEqual([(row.book or {}).get("isbn") for row in rows], ["9780439023481", None])
        _, rows = read("isbn,title\n9.78E+12,A\n", DEFAULTS)
        self.assertIn("isbn: '9.78E+12' was rounded", said(rows)[2])
        understood, _ = read("asin1,title\n0306406152,A\n,B\n", DEFAULTS)
        self.assertIn("isbn", understood.layout.chosen.places)


class CellsTest(unittest.TestCase):
    def test_words_for_nothing(self) -> None:
        header = "title,author,topic,price,stock,isbn\n"
        rows = "".join(
            f"{nothing},{nothing},{nothing},{nothing},{nothing},{nothing}\n"
            for nothing in ("NULL", "N/A", "\\N", "-", "nan")
        )
        self.assertEqual(
            books(header + rows, DEFAULTS),
            [(title, None, "Tales", 500, 2) for title in ("NULL", "N/A", "\\N", "-", "nan")],
        )
        self.assertEqual(
            books(header + "A,Null,None,?,none,\n", DEFAULTS), [("A", "Null", "None", 500, 2)]
        )
        _, found = read(header + "A,NULL,NULL,NULL,n/a,NULL\n")
        self.assertEqual(said(found)[2], "! topic: is missing; cost: is missing; count: is missing")

    def test_markup(self) -> None:
        for cell, title in (
            *(
                ("Mist &amp; Rain", "Mist & Rain"),
                ("R&eacute;mi&#39;s", "Rémi's"),
                ("A &lt; B", "A < B"),
            ),
            *(
                ("<i>The Fog</i>", "The Fog"),
                ("<p>A</p><p><b>B</b></p>", "A B"),
                ("A<br />B", "A B"),
            ),
            *(("Fish &nbsp; chips", "Fish chips"), ('<span class="x">A</span>', "A")),
            *(("AT&T; R&D", "AT&T; R&D"), ("List<B> & co", "List<B> & co"), ("A <b> C", "A <b> C")),
        ):
            quoted = cell.replace('"', '""')
            self.assertEqual(books(f'title\n"{quoted}"\n', DEFAULTS)[0][0], title, cell)
        _, rows = read(f"title\n{'<i>' * 300_000}\n", DEFAULTS)
        self.assertIn("must have 1 to 500 characters", said(rows)[2])
        _, rows = read("title\n<i></i>\n&#8238;x\n", DEFAULTS)
        self.assertEqual(said(rows)[2], "! title: is missing")
        self.assertIn("turns the line around", said(rows)[3])

    def test_marks_that_are_not_seen_are_left_out(self) -> None:
        for mark in "\u00ad\u200b\u200e\u200f\u061c\u2060\ufeff":
            self.assertEqual(books(f"title\n{mark}Fo{mark}g{mark}\n", DEFAULTS)[0][0], "Fog")
        _, rows = read("title\nF\u202eog\nF\0og\n", DEFAULTS)
        self.assertIn("turns the line around", said(rows)[2])
        self.assertIn("control character U+0000", said(rows)[3])

    def test_tabs_without_quoting(self) -> None:
        titles = ('"Mist" and Rain', '"Fog', 'A "B" 5"', '"C"')
        content = "title\ttopic\tcost\tcount\n" + "".join(f"{one}\tT\t1\t1\n" for one in titles)
        self.assertEqual(
            [book[0] for book in books(content)], ['"Mist" and Rain', '"Fog', 'A "B" 5"', "C"]
        )
        _, rows = read(content.replace("\t", ","))
        self.assertIn("a quote closes before its cell ends", said(rows)[2])

    def test_prices(self) -> None:
        for cells, cents in (
            *(
                (("¥1,200", "￥12,000"), 120000),
                (("120.000đ",), 12000000),
                (("Rp 50.000",), 5000000),
            ),
            *(
                (("12,500원",), 1250000),
                (("12.990000000000002",), 1299),
                (("12.989999999999998",), 1299),
            ),
            *(
                (("12,99 € inkl. MwSt.",), 1299),
                (("12.99 each",), 1299),
                (("1,299円（税込）",), 129900),
            ),
            *((("RM 35.00",), 3500), (("'12.99",), 1299), (("Rs. 1,23,450/-",), 12345000)),
        ):
            content = "title\tprice\n" + "".join(f"A\t{cell}\n" for cell in cells)
            self.assertEqual(books(content, DEFAULTS)[0][3], cents, cells)
        for cell in ("12.99 excl. VAT", "12.99 + VAT", "12.99999", "from 12.99", "(12.99)"):
            _, rows = read(f"title\tprice\nA\t{cell}\n", DEFAULTS)
            self.assertRegex(said(rows)[2], "! cost: ", cell)

    def test_stock_in_words_asks_for_a_number(self) -> None:
        for cell in ("in stock", "yes", "available"):
            _, rows = read(f"title,stock\nA,{cell}\n", DEFAULTS)
            self.assertIn("is not a number: --ignore its column, and --stock N", said(rows)[2])

    def test_quotes_behind_a_backslash(self) -> None:
        rows = 'title,author\n"The \\"Fog\\"","A, B"\n"C:\\",X\n"\\"Q\\"","\\"R\\", S"\n'
        self.assertEqual(
            [book[:2] for book in books(rows, DEFAULTS)],
            [('The "Fog"', "A, B"), ("C:\\", "X"), ('"Q"', '"R", S')],
        )

    def test_the_usual_price_counts_where_there_is_no_special_one(self) -> None:
        understood, _ = read(
            "Name,Sale price,Regular price\nA,,12.99\nB,9.99,10.99\nC,,\n", DEFAULTS
        )
        content = "Name,Sale price,Regular price\nA,,1299\nB,9.99,10.99\n"
        self.assertEqual([book[3] for book in books(content, DEFAULTS)], [129900, 999])
        self.assertIn(
            "'Sale price', or 'Regular price' where it is empty",
            "\n".join(report.describe(understood)),
        )
        self.assertEqual(columns(understood)["cost"], "Sale price")
        # What is told is told; what the seller pays is no price.
        _, rows = read(
            "Name,Sale price,Regular price\nA,,12.99\nB,9.99,\n",
            DEFAULTS | {"cost": None},
            mapped=("cost=Sale price",),
        )
        self.assertEqual(said(rows)[2], "! cost: is missing")
        _, rows = read("Name,Sale price,Cost\nA,,12.99\nB,9.99,\n", DEFAULTS | {"cost": None})
        self.assertEqual(said(rows)[2], "! cost: is missing")

    def test_totals_in_other_languages(self) -> None:
        for word in (
            "Razem",
            "Celkem",
            "Toplam",
            "Total général",
            "Összesen",
            "Всього",
            "合計",
            "합계",
        ):
            _, rows = read(f"title;topic;price;stock\nA;T;1,50;3\n{word};;1,50;3\n")
            self.assertEqual(said(rows)[3], "below the list", word)


class HeadersTest(unittest.TestCase):
    def test_in_more_languages_and_programs(self) -> None:
        for header in (
            *(
                "العنوان;المؤلف;الموضوع;السعر;الكمية",
                "כותר;מחבר;נושא;מחיר;מלאי",
                "عنوان;نویسنده;موضوع;قیمت;موجودی",
            ),
            *("Tên sách;Tác giả;Thể loại;Giá bán;Số lượng", "Judul;Penulis;Kategori;Harga;Stok"),
            *("शीर्षक;लेखक;विषय;मूल्य;स्टॉक", "ชื่อหนังสือ;ผู้แต่ง;หมวดหมู่;ราคา;จำนวน"),
            *("Naslov;Autor;Kategorija;Cijena;Količina", "Títol;Autor;Matèria;Preu;Estoc"),
            *(
                "Назва;Автор;Розділ;Ціна, грн;Кількість",
                "Title;Author;Topic;Price US$;Qty.",
                "書名;作者;類別;售價;庫存",
            ),
            *(
                "Pavadinimas;Autorius;Kategorija;Kaina;Likutis",
                "Titlu;Autor;Domeniu;Preț (lei);Cantitate",
            ),
            *("TitleText;PersonNameInverted;BISACMainSubject;PriceAmount;OnHand",),
        ):
            with self.subTest(header):
                self.assertEqual(books(f"{header}\nThe Fog;Ida Roe;Tales;12,99;3\n"), [FOG])

    def test_one_cell_asks_for_the_separator(self) -> None:
        with self.assertRaisesRegex(BadRequest, "none of , ; | and tab: --delimiter"):
            read("Title~Author~Price\nA~B~1\n")
