"""The front end's HTTP suites through Tornado's own server: the edge in front must not show."""

from __future__ import annotations

from tests.unit import (
    test_access,
    test_basket_page,
    test_frontend,
    test_hostile_http,
    test_pages,
)
from tests.unit.shop import ShopTestCase

for module in (test_access, test_basket_page, test_frontend, test_hostile_http, test_pages):
    for name, case in list(vars(module).items()):
        if isinstance(case, type) and issubclass(case, ShopTestCase) and case is not ShopTestCase:
            members = {"edge": False, "__module__": __name__, "__doc__": case.__doc__}
            globals()[f"Tornado{name}"] = type(f"Tornado{name}", (case,), members)
del module, name, case
