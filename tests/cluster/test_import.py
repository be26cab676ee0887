"""Lists that are imported into a running shop, by the command as its keeper types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.cluster import LONG_LEASES, READY_S, ROOT, Cluster, until
from tests.cluster.databases import Databases, over

SETTLED = {"replication": LONG_LEASES}
LIST = (
    "Nr;Titel;Verfasser;Warengruppe;VK-Preis;Bestand;Bemerkung\r\n"
    '1;"Nebel; oder: Das Moor";Zoë Öst;Märchen;12,50 €;3;\r\n'
    "2;Der Deich;Jan Küst;Märchen;1.234,00;0;selten\r\n"
    "3;Die Düne;Jan Küst;Märchen;frei;1;\r\n"
    '4;"Ebbe;Jan Küst;Reise;8,00;2;\r\n'
    "5;Die Flut;Jan Küst;Reise;9,00;2\r\n"
    "6;Die Flut;Jan Küst;Reise;8,50;4;Mängel\r\n"
    ";;;;;;\r\n"
    "Summe;;;;1.263,50;8;\r\n"
)


def load(
    shop: Cluster, *words: str, given: bytes = b"", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m bazar import WORDS` in the shop's directory, with `more` environment."""
    whole = [sys.executable, "-m", "bazar", "import", *words, "--config", str(shop.config_path)]
    done = subprocess.run(
        whole, cwd=shop.directory, env={**os.environ, "PYTHONPATH": str(ROOT), **more}, input=given,
        capture_output=True, timeout=READY_S,
    )  # fmt: skip
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(whole, done.returncode, out, err)


def shelf(shop: Cluster) -> list[tuple[object, ...]]:
    """Return what has been imported."""
    sql = (
        "SELECT title, author, t.name, cost, count FROM books b JOIN topics t ON t.id = catalog_id"
    )
    return shop.query("catalog-1", f"{sql} WHERE b.id > 7 ORDER BY b.id")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_a_shop_that_is_closed_is_said_at_once(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 1}, settings=SETTLED) as shop:
        await shop.start()
        await shop.terminate_all()
        (tmp_path / "list.csv").write_bytes(LIST.encode("cp1252"))
        refused = load(shop, "list.csv")
        assert len(shop.rows("catalog-1", "books")) == 7
    assert refused.returncode == 2
    assert "no catalog node answers on port" in refused.stderr
    assert "certain" not in refused.stderr
    assert "list.rejects.csv" not in names(tmp_path)


async def test_a_first_list_begins_the_shop_without_the_samples(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as shop:  # whose short leases end soon
        (tmp_path / "list.csv").write_bytes(LIST.encode("cp1252"))
        begun = load(shop, "list.csv")
        assert begun.returncode == 1, begun
        assert "There is no shop yet: it begins with this list" in begun.stdout
        assert begun.stdout.index("3 created") < begun.stdout.index("To open it: ")
        assert shop.all_processes() == {}
        assert [row[1] for row in shop.rows("catalog-1", "books")][1:] == ["Der Deich", "Die Flut"]

        again = load(shop, "list.csv")  # there is one now, and it is closed
        assert (again.returncode, "Nothing was sent" in again.stderr) == (2, True)
        await shop.start_supervised()
        assert len((await shop.same_rows("catalog"))["books"]) == 3
        assert "It has no books yet" not in shop.log("cluster")
        # Who has just taken over writes when the leases of before are over (T2).
        await until(lambda: "4 there already" in load(shop, "list.csv").stdout, "it can write")
        again = load(shop, "list.csv")
        assert "0 created, 4 there already" in again.stdout
        assert "The samples are still there" not in again.stdout


async def test_a_first_list_begins_a_shop_over_postgresql(
    databases: Databases, tmp_path: Path
) -> None:
    async with over(databases, tmp_path) as shop:
        (tmp_path / "list.csv").write_bytes(LIST.encode("cp1252"))
        begun = load(shop, "list.csv")
        assert (begun.returncode, "There is no shop yet" in begun.stdout) == (1, True), begun
        again = load(shop, "list.csv")
        assert (again.returncode, "start the shop. Nothing was sent" in again.stderr) == (2, True)
        await shop.start_supervised()
        assert (await shop.get("frontend-1", "/info/1")).status == 404
        assert len(databases.state("catalog")["books"]) == 3
        await shop.terminate("cluster")


async def test_a_shop_that_can_not_begin_is_not_begun(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 1}) as shop, Cluster(tmp_path / "other") as other:
        shop.ports["catalog-1"] = other.ports["catalog-1"]
        shop.write_config()
        (tmp_path / "list.csv").write_text("title,topic,cost,count\nA,T,1,1\n", "utf-8")
        await other.start("catalog-1")  # on our port, and with another token
        refused = load(shop, "list.csv")
        assert (refused.returncode, "Nothing was sent" in refused.stderr) == (2, True), refused
        assert "the catalog can't begin" in refused.stderr
        refused = load(shop, "list.csv")
        assert (refused.returncode, "does not know our token" in refused.stderr) == (2, True)
        assert not (shop.data_dir / "catalog.members").exists()
        assert len(other.rows("catalog-1", "books")) == 7


async def test_a_list_its_rejects_mended_and_both_again(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings=SETTLED) as shop:
        await shop.start()
        (tmp_path / "list.csv").write_bytes(LIST.encode("cp1252"))

        dry = load(shop, "list.csv", "--dry-run", PYTHONIOENCODING="ascii")
        assert dry.returncode == 1
        assert "4 good, 2 rejected; left out: 1 empty, 1 below the list" in dry.stdout
        assert "list.rejects.csv" not in names(tmp_path)
        await shop.same_rows("catalog")
        assert shelf(shop) == []

        loaded = load(shop, "list.csv")
        assert loaded.returncode == 1
        counts = "3 created, 0 there already (left as they are), 1 twice in the list, 2 rejected"
        assert counts in loaded.stdout
        assert "The samples are still there" in loaded.stdout
        assert "line 7: is the same book as a row above" in loaded.stderr
        assert "list.csv:4: cost: 'frei' is not a number" in loaded.stderr
        assert "list.csv:5: a quote is opened and not closed" in loaded.stderr
        await shop.same_rows("catalog")
        good = [
            ("Nebel; oder: Das Moor", "Zoë Öst", "Märchen", 1250, 3),
            ("Der Deich", "Jan Küst", "Märchen", 123400, 0),
            ("Die Flut", "Jan Küst", "Reise", 900, 2),
        ]
        assert shelf(shop) == good

        rejects = tmp_path / "list.rejects.csv"
        rejects.write_text(rejects.read_text("utf-8-sig").replace("frei;1", "7,5;1"), "utf-8")
        mended = load(shop, "list.rejects.csv")
        assert (mended.returncode, mended.stderr) == (0, "")
        assert "2 created" in mended.stdout
        assert "rejected because" in mended.stdout  # is ignored, and said to be
        twice = [load(shop, name).stdout for name in ("list.csv", "list.rejects.csv")]
        assert "0 created, 4 there already" in twice[0]
        assert "0 created, 2 there already" in twice[1]
        await shop.same_rows("catalog")
        assert shelf(shop) == [
            *good,
            ("Die Düne", "Jan Küst", "Märchen", 750, 1),
            ("Ebbe", "Jan Küst", "Reise", 800, 2),
        ]


async def test_our_own_columns_through_a_pipe_in_several_batches(tmp_path: Path) -> None:
    async with Cluster(tmp_path, {"catalog": 1}, settings=SETTLED) as shop:
        await shop.start()
        rows = "".join(f"Tide {number},{number % 7}\n" for number in range(1200))
        words = ("/dev/stdin", "--topic", "Sea", "--cost", "1500", "--map", "count=left")
        loaded = load(shop, *words, given=f"title,left\n{rows}".encode())
        assert loaded.returncode == 0, loaded.stderr
        assert "1,200 created, 0 there already" in loaded.stdout
        assert shelf(shop)[1199] == ("Tide 1199", None, "Sea", 1500, 1199 % 7)


async def test_without_a_shop(tmp_path: Path) -> None:
    """A dry run needs none, and leaves nothing behind."""
    async with Cluster(tmp_path, {"catalog": 1}) as shop:
        (tmp_path / "list.csv").write_text("title,topic,cost,count\nA,T,1,1\nB,T,free,1\n", "utf-8")
        dry = load(shop, "list.csv", "--dry-run")
        assert (dry.returncode, "1 good, 1 rejected" in dry.stdout) == (1, True)
        for words, sentence in (
            (("--map", "cost=Prise"), "list.csv: --map cost=Prise: the list has no column 'Prise'"),
            (("--delimiter", "ab"), "--delimiter: 'ab' is not one sign, or tab"),
            (("--encoding", "rot13"), "--encoding: 'rot13' is no encoding of text that is known"),
            (("--stock", "-1"), "--stock: must be from 0"),
            (("--rejects", "list.csv"), "--rejects list.csv: must be another file"),
        ):
            refused = load(shop, "list.csv", "--dry-run", *words)
            assert refused.returncode == 2, refused
            assert sentence in refused.stderr
        assert names(tmp_path) == ["cluster.json", "list.csv"]
