"""Hostile requests, made from a node's description: right in most, and wrong somewhere."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import quote

from tests.hostile import parts

DISTURBS = {"/cluster/nodes/{name}", "/cluster/links", "/links/{name}"}
MAX_PIPELINED = 6
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Maker:
    """Makes requests to one node. The same `random` makes the same ones."""

    def __init__(self, random: Random, document: Mapping[str, Any], token: str) -> None:
        self._random, self._token = random, token
        self._schemas = document["components"]["schemas"]
        self._operations = [
            (path, method, one)
            for path, methods in document["paths"].items()
            for method, one in methods.items()
        ]

    def talk(self) -> bytes:
        """Return what is sent over one connection: a few requests, one behind another."""
        random = self._random
        sent = b"".join(self.request() for _ in range(random.randint(1, MAX_PIPELINED)))
        for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 3))):
            at, length = random.randrange(len(sent)), random.randrange(4)
            new = random.choice((b"\r\n", b"\n", b"\x00", b"\r\n\r\n", random.randbytes(3), b""))
            sent = sent[:at] + new + sent[at + length :]
        return sent + LAST

    def request(self) -> bytes:
        random = self._random
        path, method, one = random.choice(self._operations)
        lines = [b"Host: localhost"] if random.random() < 0.98 else []
        if random.random() < 0.7 and path not in DISTURBS:
            lines.append(b"Authorization: Bearer " + self._token.encode())
        lines += random.sample(parts.FIELDS, random.choice((0, 0, 0, 0, 0, 0, 1, 1, 2, 5)))
        body = self._body(one)
        if body:
            lines.append(b"Content-Type: " + self._type(one))
        body = self._framed(body, lines)
        verb = method.upper().encode()
        verb = random.choice(parts.METHODS) if random.random() < 0.1 else verb
        target = self._target(path, one)
        version = random.choice((b"HTTP/1.1",) * 20 + (b"HTTP/1.0", b"HTTP/2.0", b"HTTQ/1.1"))
        return b"\r\n".join([b" ".join((verb, target, version)), *lines, b"", body])

    # --- where -----------------------------------------------------------------------------------

    def _target(self, path: str, one: Mapping[str, Any]) -> bytes:
        random = self._random
        if random.random() < 0.05:
            return random.choice(parts.TARGETS)
        path = re.sub(r"\{\w+\}", lambda _: self._text(), path)
        names = [item["name"] for item in one["parameters"] if item.get("in") == "query"]
        names = [name for name in names if random.random() < 0.6]
        names += random.choices((*names, "x", "", "%ff"), k=random.choice((0, 0, 0, 1, 2)))
        query = "&".join(f"{name}={self._text()}" for name in names)
        return (path + (f"?{query}" if query else "")).encode()

    def _text(self) -> str:
        random = self._random
        text = "4" if random.random() < 0.4 else random.choice(parts.TEXTS)
        return text if "%" in text and random.random() < 0.9 else quote(text, safe="")

    # --- what ------------------------------------------------------------------------------------

    def _body(self, one: Mapping[str, Any]) -> bytes:
        random = self._random
        if "requestBody" not in one:
            return random.choice(parts.BODIES) if random.random() < 0.05 else b""
        if random.random() < 0.25:
            return random.choice(parts.BODIES)
        [(kind, content)] = one["requestBody"]["content"].items()
        plain = self._spoiled(self._plain(content["schema"]))
        if "json" in kind:
            return json.dumps(plain, ensure_ascii=random.random() < 0.5).encode()
        fields = plain.items() if isinstance(plain, dict) else ()
        return "&".join(f"{quote(name)}={quote(str(value))}" for name, value in fields).encode()

    def _plain(self, schema: Mapping[str, Any]) -> Any:
        """Return something that is about as the schema says."""
        random = self._random
        if "oneOf" in schema or "anyOf" in schema:
            return self._plain(random.choice(schema.get("oneOf") or schema["anyOf"]))
        schema = self._schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        if "items" in schema.get("properties", {}):
            items = random.choices(parts.ITEMS, k=random.randint(1, 3))
            return {"items": [self._spoiled(copy.deepcopy(item)) for item in items]}
        if "examples" in schema and random.random() < 0.7:
            return copy.deepcopy(schema["examples"][0])
        if "properties" in schema:
            return {name: self._plain(its) for name, its in schema["properties"].items()}
        if "items" in schema:
            return [self._plain(schema["items"]) for _ in range(random.randint(0, 3))]
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else random.choice(schema["enum"])
        return random.choice((4, 1, "text", *parts.VALUES))

    def _spoiled(self, plain: Any) -> Any:
        """Return it, in half of the cases with something in it that is wrong."""
        random = self._random
        if random.random() < 0.5:
            return plain
        if isinstance(plain, dict) and plain and random.random() < 0.9:
            name = random.choice(list(plain))
            return {**plain, random.choice((name, name, "x")): self._spoiled(plain[name])}
        if isinstance(plain, list) and plain and random.random() < 0.9:
            at = random.randrange(len(plain))
            return [*plain[:at], self._spoiled(plain[at]), *plain[at:]]
        return random.choice(parts.VALUES)

    def _type(self, one: Mapping[str, Any]) -> bytes:
        if "requestBody" in one and self._random.random() < 0.9:
            [kind] = one["requestBody"]["content"]
            return str(kind).encode()
        return self._random.choice(parts.TYPES)

    def _framed(self, body: bytes, lines: list[bytes]) -> bytes:
        """Say in `lines` how long the body is, in some of the cases wrongly."""
        random = self._random
        if not body:
            return b""
        if random.random() < 0.15:
            lines.append(b"Transfer-Encoding: chunked")
            cut = random.randrange(len(body)) + 1
            chunks = [body[:cut], body[cut:]] if cut < len(body) else [body]
            end = random.choice((b"0\r\n\r\n",) * 5 + (b"0\r\nX: y\r\n\r\n", b"-1\r\n\r\n", b""))
            return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + end
        length = len(body) + random.choice((0,) * 20 + (1, -1, 1000))
        lines.append(b"Content-Length: %d" % length)
        return body
