"""What hostile requests are made of."""

from __future__ import annotations

from typing import Any

TEXTS = (
    *("", " ", "0", "4", "01", "-1", "+3", "1.0", "9" * 18, "9" * 19, "9" * 3000, "١٢", "½", "é"),
    *(
        "%00",
        "%ff",
        "%2f",
        "%0d%0aX:%20y",
        "..",
        "../../etc/passwd",
        "%u0041",
        "%",
        "%4",
        "a" * 600,
    ),
    *(
        "\u202e",
        "\u200b",
        "\U0001f600",
        "NaN",
        "null",
        "true",
        "1e999",
        "{}",
        "[]",
        "'",
        '"',
        "<b>",
    ),
    *("0" * 32, "f" * 32, "G" * 32, "1-2-3", "9-0-17", "1-2", "remove-4", "add", "buy", "4.20"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 4, -1, 1.0, 1.5, 1e308, 2**63, 10**30, "", "4", "x" * 600, [], {}),
    *([[]], [None], {"": {}}, {"op": "sell"}, {"id": None, "number": 1}, "\x00", "\x85", "\u202e"),
    *("é" * 400, "e\u0301", "0" * 32, "sell", "begin", "a-key"),
)
BODIES = (
    *(b"", b" ", b"NaN", b"null", b"[]", b"{", b'{"a":1,"a":2}', b'{"a":1e999}', b"\xff\xfe{}"),
    *(
        b"[" * 5000,
        b'{"a":' * 3000,
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"\x00" * 100,
        b"a=b&a=%ff",
    ),
    *(b"do=add&book=4&quantity=1&cost=20", b"key=k&line=4.20&quantity-4=1", b"do=remove-%C0", b"="),
    *(b"keeper-token=%FF&keeper-to=//evil", b"keeper-to=/keeper&keeper-token=" + b"%F0" * 9000),
    *(
        b"do=restock&count_add=-1",
        b"do=change&title=%00&title=",
        b"do=change&etag=%22&was-cost=%ED",
        b"do=all&sure=sure&sure=%FF",
        b"do=part&copies-4=%2B1&was-copies-4=-1&copies-=&copies-%00=9",
    ),
    b"x" * 70_000,
)
FIELDS = (
    *(b"Accept: text/html", b"Accept: \xff", b"Accept-Encoding: gzip, br", b"Range: bytes=0-1"),
    *(
        b"If-Match: *",
        b'If-None-Match: "a", W/"b"',
        b"If-None-Match: \xe4",
        b"Expect: 100-continue",
    ),
    *(b"Expect: nothing", b"Idempotency-Key: k", b"Idempotency-Key: ", b"Idempotency-Key: \xe9"),
    *(b"X-Request-Id: " + b"x" * 70, b"X-Forwarded-For: ::1, evil", b"Forwarded: for=\x22\x22;;"),
    *(b"Cookie: basket=" + b"0" * 32 + b"~4.1.20; visitor=zz", b"Cookie: =;;=\xff", b"Cookie: a"),
    b"Cookie: keeper=999999999999.999999999999." + b"f" * 64,
    b"Cookie: visitor=%b; order-%b=%b" % (b"f" * 32, b"0" * 32, b"0" * 32),
    b"Cookie: bought=4.x.y~basket.%b.~~; order-=; order-%b=x" % (b"0" * 32, b"1" * 32),
    *(b"Content-Encoding: gzip", b"Content-Range: bytes 0-1/2", b"Sec-Fetch-Site: cross-site"),
    *(
        b"Origin: http://evil.example",
        b"Origin: \x22",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
    ),
    *(
        b"Upgrade: bazar-frames",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"TE: x",
    ),
    *(b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 99999999999", b"No colon"),
    *(
        b"Space : x",
        b" Folded: x",
        b"N\xe4me: x",
        b"X: a\x00b",
        b"Host: b",
        b"Authorization: Basic x",
    ),
    *(
        b"Authorization: Bearer \xff",
        b"X: " + b"y" * 20_000,
        b"Content-Type: text/plain; charset=\xff",
    ),
)
METHODS = (
    b"PATCH",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"BREW",
    b"get",
    b"HEAD",
    b"DELETE",
    b"G\x00T",
)
TARGETS = (
    *(
        b"*",
        b"//",
        b"/%",
        b"/\xff",
        b"http://a/healthz",
        b"a:1",
        b"/?%ff=%ff&&=",
        b"/" + b"a" * 9000,
    ),
    *(b"/../..", b"/static/../page.html", b"/static/shop.css", b"/nothing", b"/catalog/info/4"),
    *(b"/keeper/orders.csv?since=9999-12-31&until=0001-01-01&q=%00", b"/keeper/books.csv?q=%F0"),
    *(b"/healthz#x", b"/FrontEnd_service/search?topic=a&limit=1&limit=2", b"?", b""),
)
TYPES = (
    b"application/json",
    b"application/x-www-form-urlencoded",
    b"application/json; charset=utf-16",
    b"multipart/form-data; boundary=x",
    b"",
)
ITEMS: tuple[dict[str, Any], ...] = (
    {"op": "info", "book": 4},
    {"op": "books", "books": [1, 2]},
    {"op": "search", "topic": "dis", "limit": 2, "skip": 0, "after": None},
    {"op": "find", "q": "rpc", "limit": 2, "before": "1-2-3"},
    {"op": "sell", "key": "k", "lines": [{"book": 4, "quantity": 1, "cost": 20}], "tell": True},
    {"op": "update", "key": "u", "book": 4, "fields": {"count": 5}, "if_match": ["*"]},
    {"op": "create", "key": "c", "books": [{"title": "t", "topic": "t", "cost": 1, "count": 1}]},
    {"op": "order", "order_id": "0" * 32},
    {"op": "orders", "order_ids": ["0" * 32, "f" * 32]},
    {
        **{"op": "cancel", "key": "u", "order_id": "0" * 32},
        **{"lines": [{"book": 4, "quantity": 1}], "buyer": {"key": "k", "within_ms": 600_000}},
    },
    {"op": "project", "after": {"number": 0, "id": None}, "sales": [], "id": None},
    {"op": "begin", "epoch": 1, "id": "x"},
    {"after": {"number": 0, "id": None}, "wait_ms": 0},
    {"before": 5},
    {"seq": 1},
    {"key": "p", "lines": [{"book": 4, "quantity": 1}], "tell": True},
)
