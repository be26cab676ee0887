"""A catalog replica over HTTP: public reads, and what only the cluster may do."""

from __future__ import annotations

import json
from typing import Any

from bazar.rpc.client import CALLS_PATH
from storage.history import Position
from tests.http.shop import TOKEN, ShopTestCase
from tests.http.test_frontend import STARTING_STOCK, book

NEW_BOOK = {"title": "A new book", "author": "Ada", "topic": "New things", "cost": 5, "count": 3}


class ReadingTest(ShopTestCase):
    def test_both_replicas_answer_the_same(self) -> None:
        for node, prefix in (("catalog-1", "/catalog"), ("catalog-2", "/catalog2")):
            for row in STARTING_STOCK:
                self.assertEqual(self.get(f"{prefix}/info/{row[0]}", node), book(row[0]))
            found = self.get(f"{prefix}/search?topic=Distributed", node)
            self.assertEqual(found, [book(1), book(2)])

    def test_every_prefix_is_taken_by_every_replica(self) -> None:
        for node in ("catalog-1", "catalog-2"):
            for prefix in ("", "/catalog", "/catalog2"):
                self.assertEqual(self.get(f"{prefix}/info/3", node), book(3))
                self.assertEqual(len(self.get(f"{prefix}/search?topic=under", node)), 5)
            for prefix in ("/catalog1", "/catalog3", "/FrontEnd_service", "/catalog/catalog2"):
                self.assert_error(self.ask(f"{prefix}/info/3", node=node), 404, "not_found")

    def test_it_names_itself(self) -> None:
        for node in ("catalog-1", "catalog-2"):
            headers = self.ask("/info/1", node=node).headers
            self.assertEqual(headers["X-Replica"], node)
            self.assertNotIn("X-Cache", headers)

    def test_unknown_malformed_and_out_of_range(self) -> None:
        for node in ("catalog-1", "catalog-2"):
            self.assert_error(self.ask("/info/8", node=node), 404, "not_found")
            self.assert_error(self.ask("/info/01", node=node), 400, "bad_request")
            self.assert_error(self.ask("/search", node=node), 400, "bad_request")
            self.assert_error(self.ask("/search?topic=a&limit=101", node=node), 400)

    def test_etag_304_and_head(self) -> None:
        for node in ("catalog-1", "catalog-2"):
            etag = self.ask("/info/1", node=node).headers["Etag"]
            self.assertEqual(self.ask("/info/1", node=node, If_None_Match=etag).code, 304)
            head = self.ask("/info/1", "HEAD", node=node)
            self.assertEqual((head.code, head.body, head.headers["Etag"]), (200, b"", etag))

    def test_search_is_paged_with_link(self) -> None:
        response = self.ask("/catalog2/search?topic=under&limit=3", node="catalog-2")
        self.assertEqual(
            response.headers["Link"],
            '</catalog2/search?topic=under&limit=3&after=5>; rel="next"',
        )
        for part in ("after=5", "offset=3"):
            rest = self.ask(f"/catalog2/search?topic=under&limit=3&{part}", node="catalog-2")
            self.assertNotIn("Link", rest.headers)
            self.assertEqual([one["id"] for one in json.loads(rest.body)], [6, 7])


class UpdateTest(ShopTestCase):
    def put(self, path: str, body: Any, node: str = "catalog-1", **headers: str) -> Any:
        return self.ask(path, "PUT", body, node=node, token=TOKEN, **headers)

    def test_update_answers_the_updated_book(self) -> None:
        changes: tuple[dict[str, Any], ...] = (
            {"title": "T"},
            {"topic": "Systems, distributed"},
            {"cost": 0},
            {"count": 10**12},
            {"author": "A. Uthor"},
            {"title": "U", "topic": "V", "cost": 1, "count": 2, "author": "W"},
        )
        shown = book(1)
        for change in changes:
            response = self.put("/catalog/update/1", change)
            self.assertEqual(response.code, 200, response.body)
            shown |= change
            answer = json.loads(response.body)
            self.assertEqual({**answer, "catalog_id": 1}, shown)
        response = self.put("/catalog/update/1", {"author": None})
        self.assertNotIn("author", json.loads(response.body))

    def test_an_isbn_comes_in_any_spelling_and_has_one(self) -> None:
        for number, isbn in ((1, "0-306-40615-2"), (2, "978-0-306-40615-7")):  # two editions of it
            self.assertEqual(self.update(number, isbn=isbn)["isbn"], "9780306406157")
        for node in ("catalog-1", "catalog-2", "frontend-1"):
            self.assertEqual(self.get("/info/1", node)["isbn"], "9780306406157")
            found = self.get("/search?q=0306406152", node)
            self.assertEqual(sorted(one["id"] for one in found), [1, 2])
        for wrong in ("0-306-40615-3", "", 9780306406157, "x" * 501):
            error = self.assert_error(self.put("/update/1", {"isbn": wrong}), 400)["error"]
            self.assertIn("isbn: ", error)
        self.assertNotIn("isbn", self.update(1, isbn=None))
        self.assertEqual([one["id"] for one in self.get("/search?q=0306406152")], [2])

    def test_any_replica_takes_an_update_and_all_show_it_at_once(self) -> None:
        for cost, (node, prefix) in enumerate(
            (
                ("catalog-1", "/catalog"),
                ("catalog-2", "/catalog2"),
                ("catalog-2", ""),
                ("frontend-1", "/FrontEnd_service"),
                ("frontend-1", ""),
            )
        ):
            response = self.put(f"{prefix}/update/7", {"cost": cost}, node)
            self.assertEqual(response.code, 200, response.body)
            for name in ("catalog-1", "catalog-2", "frontend-1"):
                self.assertEqual(self.get("/info/7", name)["cost"], cost)

    def test_a_topic_gets_one_id(self) -> None:
        ids = [self.update(number, topic="Same topic")["catalog_id"] for number in (1, 2)]
        self.assertEqual(ids, [3, 3])
        self.assertEqual(self.update(1, topic="Undergraduate School")["catalog_id"], 2)

    def test_text_is_kept_in_nfc(self) -> None:
        self.assertEqual(self.update(1, title="e\N{COMBINING ACUTE ACCENT}")["title"], "\xe9")

    def test_nothing_to_change_and_unknown_books(self) -> None:
        self.assert_error(self.put("/update/1", {}), 400, "bad_request")
        self.assert_error(self.put("/update/1", None), 400, "bad_request")
        self.assert_error(self.put("/update/8", {"cost": 1}), 404, "not_found")
        self.assert_error(self.put("/update/8", {"cost": 1}, "catalog-2"), 404, "not_found")

    def test_a_key_is_good_for_one_update(self) -> None:
        first = self.put("/update/1", {"count": 5}, Idempotency_Key="k")
        self.put("/update/1", {"count": 6})
        for node in ("catalog-2", "frontend-1"):
            again = self.put("/update/1", {"count": 5}, node, Idempotency_Key="k")
            self.assertEqual(again.body, first.body)
        self.assertEqual(self.get("/info/1")["count"], 6)
        self.assert_error(self.put("/update/1", {"count": 7}, Idempotency_Key="k"), 422)

    def test_create_is_201_with_its_location(self) -> None:
        found = []
        for number, node in enumerate(("catalog-2", "frontend-1"), 8):
            new = {**NEW_BOOK, "title": f"By {node}"}
            response = self.ask("/create", "POST", new, node=node, token=TOKEN)
            self.assertEqual(response.code, 201, response.body)
            self.assertEqual(response.headers["Location"], f"/info/{number}")
            found.append(json.loads(response.body))
            self.assertEqual(found[-1], {**new, "id": number, "catalog_id": 3})
            self.assertEqual(self.get(f"/info/{number}"), found[-1])
            self.assertEqual(self.get("/search?topic=new"), found)

    def test_create_of_the_same_book_is_409(self) -> None:
        self.ask("/create", "POST", NEW_BOOK, node="catalog-1", token=TOKEN)
        same = {**NEW_BOOK, "cost": 1}
        for node in ("catalog-1", "frontend-1"):
            response = self.ask("/create", "POST", same, node=node, token=TOKEN)
            self.assertIn("book 8", self.assert_error(response, 409, "conflict")["error"])
        other = {**NEW_BOOK, "author": "Bob"}
        response = self.ask("/create", "POST", other, node="catalog-1", token=TOKEN)
        self.assertEqual(response.code, 201)

    def test_create_again_with_its_key_is_the_first_answer(self) -> None:
        first, again = (
            self.ask(
                "/create", "POST", NEW_BOOK, node="catalog-1", token=TOKEN, Idempotency_Key="k"
            )
            for _ in range(2)
        )
        self.assertEqual((again.code, again.body), (first.code, first.body))

    def test_import_takes_the_good_rows_and_names_the_bad(self) -> None:
        rows = [
            NEW_BOOK,
            {**NEW_BOOK, "cost": -1},
            NEW_BOOK,
            {"title": "no topic", "cost": 1, "count": 1},
            "not a book",
            {**NEW_BOOK, "title": "Another"},
        ]
        for created in (True, False):
            response = self.ask("/import", "POST", {"books": rows}, node="catalog-2", token=TOKEN)
            results = json.loads(response.body)["results"]
            self.assertEqual(results[0], {"id": 8, "created": created})
            self.assertIn("books[1].cost", results[1]["error"])
            self.assertEqual(results[2], {"id": 8, "created": False})
            self.assertIn("books[3]: topic is missing", results[3]["error"])
            self.assertIn("books[4]", results[4]["error"])
            self.assertEqual(results[5], {"id": 9, "created": created})

    def test_import_without_a_good_row_writes_nothing(self) -> None:
        self.get("/info/1")  # so it is open
        books = self.shop.rows("catalog-1", "books")
        rows = {"books": ["not a book", {}]}
        response = self.ask("/import", "POST", rows, node="catalog-1", token=TOKEN)
        results = json.loads(response.body)["results"]
        self.assertEqual([[*result] for result in results], [["error"], ["error"]])
        self.assertEqual(self.shop.rows("catalog-1", "books"), books)

    def test_import_has_bounds(self) -> None:
        bodies: tuple[Any, ...] = ({}, {"books": []}, {"books": {}}, {"books": [NEW_BOOK] * 1001},
                     {"books": [NEW_BOOK], "more": 1})  # fmt: skip
        for body in bodies:
            response = self.ask("/import", "POST", body, node="catalog-1", token=TOKEN)
            self.assert_error(response, 400, "bad_request")
        many = [{**NEW_BOOK, "title": f"{number:0300}"} for number in range(1000)]
        response = self.ask("/import", "POST", {"books": many}, node="catalog-1", token=TOKEN)
        self.assertGreater(len(json.dumps(many)), 64 << 10)  # import is excepted from that limit
        self.assertEqual(response.code, 200)
        response = self.ask("/import", "POST", b" " * (5 << 20), node="catalog-1", token=TOKEN)
        self.assert_error(response, 413, "too_large")


class ConditionsTest(ShopTestCase):
    """What a writer has read anywhere is what its condition is compared with."""

    def put(self, body: Any, node: str = "catalog-1", **headers: str) -> Any:
        return self.ask("/update/3", "PUT", body, node=node, token=TOKEN, **headers)

    def test_every_port_shows_the_tag_that_every_replica_compares_with(self) -> None:
        for number, node in enumerate(("catalog-1", "catalog-2")):
            changes: tuple[dict[str, Any], ...] = (
                {"cost": number},
                {"author": "Åsa \N{GREEK SMALL LETTER ALPHA}"},
                {"author": None, "title": f"Ω{number}"},
                {"count_add": 2},
            )
            for change in changes:
                tags = {
                    name: self.ask("/info/3", node=name).headers["Etag"]
                    for name in ("frontend-1", "catalog-1", "catalog-2")
                }
                self.assertEqual(len(set(tags.values())), 1, tags)
                response = self.put(change, node, If_Match=tags["catalog-1"])
                self.assertEqual(response.code, 200, response.body)
                self.assertNotIn("Etag", response.headers)  # it names what was read, not sent
                for name in (node, "frontend-1"):
                    response = self.put({"cost": 77}, name, If_Match=tags["catalog-1"])
                    error = self.assert_error(response, 412, "precondition_failed")
                    current = self.ask("/info/3").headers["Etag"]
                    self.assertEqual((error["etag"], response.headers["Etag"]), (current, current))
                self.assertNotEqual(self.get("/info/3")["cost"], 77)

    def test_a_sale_is_a_change_like_another(self) -> None:
        tag = self.ask("/info/3").headers["Etag"]
        self.buy(3)
        self.assert_error(self.put({"count": 9}, If_Match=tag), 412, "precondition_failed")
        self.assertEqual(json.loads(self.put({"count_add": 8}).body)["count"], 9)

    def test_any_and_none(self) -> None:
        for node in ("catalog-1", "catalog-2"):
            self.assertEqual(self.put({"cost": 3}, node, If_Match="*").code, 200)
            tag = self.ask("/info/3", node=node).headers["Etag"]
            self.assertEqual(self.put({"cost": 3}, node, If_None_Match='"a", W/"b"').code, 200)
            for none in ("*", tag, f"W/{tag}"):
                self.assert_error(self.put({"cost": 4}, node, If_None_Match=none), 412)
            self.assert_error(self.put({"cost": 4}, node, If_Match=f"W/{tag}"), 412)
        response = self.ask("/update/9", "PUT", {"cost": 1}, node="catalog-1", token=TOKEN,
                            If_Match="*")  # fmt: skip
        self.assert_error(response, 404, "not_found")

    def test_what_is_no_tag_is_refused(self) -> None:
        many = ", ".join(f'"{number}"' for number in range(21))
        for name in ("If_Match", "If_None_Match"):
            for bad in ("", "abc", '"a', 'w/"a"', '"a" "b"', '*, "a"', "**", '"a b"', many):
                response = self.put({"cost": 4}, **{name: bad})
                error = self.assert_error(response, 400, "bad_request")["error"]
                self.assertIn(name.replace("_", "-"), error)

    def test_restocking_by_so_many_more_happens_once(self) -> None:
        for node in ("catalog-1", "catalog-2", "frontend-1"):
            count = self.get("/info/3")["count"]
            for _ in range(2):
                response = self.put({"count_add": 5}, node, Idempotency_Key=f"truck-{node}")
                self.assertEqual(json.loads(response.body)["count"], count + 5)
        response = self.put({"count_add": -1000})
        self.assertEqual(self.assert_error(response, 409, "out_of_stock")["books"][0]["id"], 3)
        for bad in ({"count_add": 1, "count": 1}, {"count_add": 1.5}, {"count_add": 10**13}):
            self.assertIn("count_add", self.assert_error(self.put(bad), 400)["error"])


class InternalTest(ShopTestCase):
    def test_sales_are_listed_behind_a_cursor(self) -> None:
        bought = [self.buy(4) for _ in range(3)]
        for node in ("catalog-1", "catalog-2"):
            self.settle()
            sales = self.sales(node, 0)
            self.assertEqual([s["order_id"] for s in sales], [b["order_id"] for b in bought])
            self.assertEqual(self.sales(node, sales[0]["seq"]), sales[1:])
            self.assertEqual(self.sales(node, sales[2]["seq"]), [])

    def sales(self, node: str, after: int) -> list[Any]:
        items = [{"after": Position(after).plain, "wait_ms": 0}]
        response = self.ask("/sales", "POST", {"items": items}, node=node, token=TOKEN)
        [result] = json.loads(response.body)["results"]
        sales: list[Any] = result["answer"]["changes"]
        return sales

    def test_batched_reads_answer_each_item_by_itself(self) -> None:
        items = [
            {"op": "info", "book": 1},
            {"op": "info", "book": 99},
            {"op": "search", "topic": "dis", "limit": 1},
            {"op": "topics"},
            {"op": "nothing"},
            {"op": "info", "book": "1"},
            {"op": "search", "topic": "dis", "limit": 1, "offset": 0},  # of another version
            None,
        ]
        response = self.ask("/read", "POST", {"items": items}, node="catalog-1", token=TOKEN)
        results = json.loads(response.body)["results"]
        self.assertEqual(results[0], {"answer": {"book": book(1)}})
        self.assertEqual(results[1]["error"]["code"], "not_found")
        self.assertEqual(
            results[2],
            {
                "answer": {
                    **{"books": [book(1)], "before": None, "after": "1"},
                    **{"count": 2, "more": False, "cut": False},
                }
            },
        )
        self.assertEqual(len(results[3]["answer"]["topics"]), 2)
        self.assertEqual([r["error"]["status"] for r in results[4:]], [400] * 4)

    def test_a_write_is_told_of_wherever_it_is_asked(self) -> None:
        self.settle()
        for number, node in enumerate(("catalog-1", "catalog-2")):
            sell = {"op": "sell", "key": f"k{number}", "lines": [{"book": 4, "quantity": 1}]}
            for tell in (True, False):
                item = {**sell, "key": f"{sell['key']}{tell}", "tell": tell}
                response = self.ask("/write", "POST", {"items": [item]}, node=node, token=TOKEN)
                [result] = json.loads(response.body)["results"]
                self.assertEqual("told" in result["answer"], tell, node)

    def test_batches_must_be_lists(self) -> None:
        bodies: tuple[Any, ...] = ({}, {"items": None}, {"items": {}}, [], None)
        for body in bodies:
            response = self.ask("/read", "POST", body, node="catalog-1", token=TOKEN)
            self.assert_error(response, 400, "bad_request")

    def test_frames_want_an_upgrade_or_are_a_400(self) -> None:
        for path in ("/feed", CALLS_PATH):
            response = self.ask(path, node="catalog-1", token=TOKEN)
            self.assert_error(response, 400, "bad_request")

    def test_status_shows_primary_members_and_feeds(self) -> None:
        first, second = (
            json.loads(self.ask("/status", node=node, token=TOKEN).body)
            for node in ("catalog-1", "catalog-2")
        )
        self.assertEqual((first["primary"], second["primary"]), ("catalog-1", "catalog-1"))
        self.assertEqual(first["members"], ["catalog-1", "catalog-2"])
        self.assertEqual(
            sorted((feed["node"], feed["kind"]) for feed in first["feeds"]),
            [("catalog-2", "replica"), ("frontend-1", "cache")],
        )
        self.assertEqual(first["digest"], second["digest"])
        self.assertGreater(second["lease_s"], 0)
