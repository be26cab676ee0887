"""The description is valid, kept in docs/openapi, and what the nodes do."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest
from openapi_schema_validator import OAS31Validator

from handlers import ROLES
from handlers.openapi import written
from tests.described.keep import KEPT, described
from tests.described.shop import ask, shop


@pytest.mark.parametrize("role", ROLES)
async def test_a_description_is_valid(role: str) -> None:
    openapi_spec_validator.validate(await described(role))


@pytest.mark.parametrize("role", ROLES)
async def test_what_is_kept_is_what_is_served(role: str) -> None:
    kept = (KEPT / f"{role}.json").read_bytes()
    assert kept == written(await described(role)), "run: python -m tests.described.keep"


@pytest.mark.parametrize("role", ROLES)
async def test_examples_are_what_they_are_examples_of(role: str) -> None:
    plain = await described(role)
    shown = 0
    for name, schema in plain["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            whole: dict[str, Any] = {"$ref": f"#/components/schemas/{name}", **plain}
            OAS31Validator(whole).validate(example)
            shown += 1
    assert shown > 3


@pytest.mark.parametrize("role", ROLES)
async def test_each_operation_has_a_name_of_its_own(role: str) -> None:
    paths = (await described(role))["paths"].values()
    names = [one["operationId"] for methods in paths for one in methods.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("node", ["frontend-1", "catalog-1", "order-1"])
async def test_every_answer_is_as_described(node: str, tmp_path: Path) -> None:
    async with shop(tmp_path / "shop") as cluster:
        await cluster.start()
        with ThreadPoolExecutor(1) as executor:
            found = await ask(cluster, node, executor, seed=1, examples=2)
        assert not found.failures, json.dumps(found.failures[:5], indent=1)
        assert found.requests > 200
