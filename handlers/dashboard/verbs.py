"""What the page of the cluster can be asked, and what can be done with it."""

from __future__ import annotations

from bazar.errors import ForeignHistory, NotFound, OutOfStock
from handlers.kinds import Choice, ListOf, Object, OfType, Plain
from handlers.operations import Answer, Body, Operation, Parameter
from handlers.storefront.forms import page
from handlers.validation import BOOK_ID
from handlers.verbs import IMPAIRMENT, USUAL_DELAY

_TEXT = Plain(type="string")
_MS = _SECONDS = Plain(type="number", minimum=0)

SHOW_CLUSTER = page("The cluster as it is")
WATCH = Operation(
    "Watch the cluster",
    [Answer(_TEXT, type="text/event-stream", about="A view of it, again and again, without end.")],
    open_query=True,
)
_STEP = Object(
    "Step",
    {
        "at": _TEXT,
        "to": Plain(type=["string", "null"]),
        "text": _TEXT,
        "rule": _TEXT,
        "began_ms": _MS,
        "ms": _MS,
    },
)
_WAY = Object("Way", {"steps": ListOf(_STEP), "ms": _MS, "result": Plain(type="object")})
TRY = Operation(
    "Send a read or a purchase, and see the way that it takes",
    [Answer(_WAY)],
    body=Body(Object("Try", {"do": Choice("read", "buy"), "book": BOOK_ID})),
    errors=[NotFound, OutOfStock, ForeignHistory],
)
DISTURB = Operation(
    "Pause, kill or return a replica",
    [Answer(Object("Disturbed", {"node": _TEXT, "did": _TEXT}))],
    path=[Parameter("name", _TEXT, "The name of a node.")],
    body=Body(Object("Disturbance", {"do": Choice("pause", "kill", "return")})),
)
_BETWEEN = ListOf(OfType("string"), 2, 2)
DISTURB_LINK = Operation(
    "Cut, slow or mend the link between two nodes",
    [
        Answer(
            Object("LinkDisturbed", {"between": ListOf(_TEXT), "did": _TEXT, "for_s": _SECONDS}),
            about="After `for_s` it is mended by itself.",
        )
    ],
    body=Body(Object("LinkDisturbance", {"between": _BETWEEN, **IMPAIRMENT}, defaults=USUAL_DELAY)),
    errors=[NotFound],
)
