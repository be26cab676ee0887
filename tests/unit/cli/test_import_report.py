"""What the keeper of a list is told, and the file of rows that were rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bazar.cli.importing import report
from bazar.cli.importing.rejects import Rejects, default_path
from bazar.cli.importing.report import Tally
from bazar.errors import BadRequest
from tests.files import FilesTestCase
from tests.unit.cli.lists import read, said

LIST = (
    'Titel;Autor;Thema;Preis;Menge\n"A; b";X;T;frei;1\n"B;X;T;1,50;1\nC;X;T;1,50;1;2\n'
    "D;Ä;T;1,50;\n\nE;X;T;2,50;1\nSumme;;;5,00;\n"
)


class ReportTest(FilesTestCase):
    def test_what_is_understood(self) -> None:
        books, _ = read(LIST.encode("cp1252"), {"topic": "Tales"})
        shown = "\n".join(report.describe(books))
        for part in (
            *(
                "cp1252, assumed",
                "';'",
                "line 1",
                "'Titel'",
                "'Thema', or 'Tales' where it is empty",
            ),
            *("'Preis': decimal sign ','", "'1,50' is 1.50"),
        ):
            self.assertIn(part, shown)

    def test_whole_numbers_are_shown_as_what_they_are_taken_for(self) -> None:
        for name, part in (("cost", "whole numbers are cents"), ("Price", "are not cents")):
            books, _ = read(f"title,topic,{name},count\nA,T,1500,1\n")
            shown = "\n".join(report.describe(books))
            self.assertIn(part, shown)
            self.assertIn(f"'1500' is {'15.00' if name == 'cost' else '1,500.00'}", shown)

    def test_several_currencies(self) -> None:
        books, _ = read("title,topic,price,count\nA,T,$1.5,1\nB,T,€1.5,1\n")
        self.assertIn("several currencies", "\n".join(report.describe(books)))

    def test_faults_are_bounded(self) -> None:
        content = "title,topic,price,count\n" + "A,T,free,\n" * 1000 + ",T,-1,x\n" * 500
        tally = Tally()
        for row in read(content)[1]:
            tally.reject(row)
        lines = list(tally.faults("list.csv"))
        self.assertLess(len(lines), report.MAX_SHOWN + report.MAX_KINDS + 2)
        self.assertEqual(lines[0], "list.csv:2: cost: 'free' is not a number; count: is missing")
        self.assertIn("… and 1,480 rows more:", lines)
        self.assertIn("  980 × cost: is not a number", lines)
        self.assertIn("  500 × title: is missing", lines)

    def test_kinds_are_bounded(self) -> None:
        tally = Tally()
        [row] = read("title,topic,cost,count\nA,T,free,1\n")[1]
        [problem] = row.problems
        for number in range(1000):
            row.problems = [type(problem)(f"kind {number}", "text")]
            tally.reject(row)
        self.assertLessEqual(len(tally.kinds), report.MAX_KINDS + 1)
        self.assertEqual(sum(tally.kinds.values()), 1000 - report.MAX_SHOWN)


class RejectsTest(FilesTestCase):
    def reject(self, content: str | bytes) -> Path:
        """The file of what is rejected of a list."""
        books, rows = read(content)
        rejects = Rejects(self.directory / "rejects.csv", books.layout)
        for row in rows:
            if row.problems:
                rejects.add(str(row), row.cells)
        rejects.close()
        return rejects.path

    def test_it_is_the_list_with_reasons_and_can_be_mended(self) -> None:
        text = self.reject(LIST.encode("cp1252")).read_bytes().decode("utf-8-sig")
        self.assertEqual(
            text.splitlines(),
            [
                "rejected because;Titel;Autor;Thema;Preis;Menge",
                "cost: 'frei' is not a number;\"A; b\";X;T;frei;1",
                '"a quote is opened and not closed: ""B;X;T;1,50;1";B;X;T;1,50;1',
                "has 6 cells, the header 5;C;X;T;1,50;1;2",
                "count: is missing;D;Ä;T;1,50;",
            ],
        )
        mended = text.replace("frei;1", "9,99;1").replace("1;2", "1").replace("1,50;\r", "1,50;4\r")
        self.assertEqual(list(said(read(mended)[1]).values()), ["A; b", "B", "C", "D"])

    def test_what_is_not_mended_is_rejected_once_more_for_its_new_reason_only(self) -> None:
        first = self.reject(LIST).read_bytes()
        again = self.reject(first).read_bytes().decode("utf-8-sig").splitlines()
        self.assertEqual(again[0], "rejected because;Titel;Autor;Thema;Preis;Menge")
        self.assertEqual(again[1], "cost: 'frei' is not a number;\"A; b\";X;T;frei;1")
        self.assertEqual(len(again), 4)  # B was whole

    def test_bytes_that_can_not_be_read_stay_so(self) -> None:
        bad = "title,topic,cost,count\nÄÖ,T,1,1\n".encode() + b"M\xfcller,T,1,1\n"
        again = self.reject(self.reject(bad).read_bytes()).read_bytes()
        self.assertIn(b"M\xfcller", again)

    def test_the_command_names_no_separator_that_is_found(self) -> None:
        """A spreadsheet may save the rejects with another one."""
        for sign, options in ((",", []), (";", []), ("\t", []), ("|", []), ("~", ["~"])):
            wanted: dict[str, Any] = {"delimiter": sign} if options else {}
            rows = "title,topic,cost,count\nA,T,x,2\n".replace(",", sign)
            found, _ = read(rows, **wanted)
            self.assertEqual(report.again(found, []), ["--delimiter", *options] if options else [])

    def test_nothing_is_left_of_one_that_is_empty(self) -> None:
        self.reject("title,topic,cost,count\nA,T,1,1\n")
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_its_place_is_beside_the_list_and_never_taken(self) -> None:
        source = self.directory / "books.txt"
        source.touch()
        first = default_path(source)
        self.assertEqual(first, self.directory / "books.rejects.txt")
        first.touch()
        self.assertEqual(default_path(source).name, "books.rejects-2.txt")
        self.assertEqual(default_path(Path("/dev/stdin")).parent, Path())

    def test_a_place_where_nobody_may_write_is_noticed_first(self) -> None:
        books, _ = read(LIST)
        with self.assertRaisesRegex(BadRequest, "no-such: No such file.*--rejects|--rejects FILE"):
            Rejects(self.directory / "no-such" / "rejects.csv", books.layout)
