"""The protocol's rules as a page shows them, read from the docstring of `bazar.replication`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tornado.escape import xhtml_escape

from bazar import replication

_SECTION = re.compile(r"\*\*(.+)\*\*")
_RULE = re.compile(r"([A-Z]\d+)  (.+)")
_CODE = re.compile(r"`(.+?)`")
_EMPHASIS = re.compile(r"\*(.+?)\*")


@dataclass(slots=True)
class RuleSection:
    """A heading of the rules, and each rule's name and text, which is HTML."""

    title: str
    rules: dict[str, str] = field(default_factory=dict)


def read(text: str) -> list[RuleSection]:
    """Return the sections of a text that is written like that docstring."""
    sections: list[RuleSection] = []
    name = ""
    for line in text.splitlines():
        if section := _SECTION.fullmatch(line):
            sections.append(RuleSection(section[1]))
            name = ""
        elif rule := _RULE.fullmatch(line):
            name = rule[1]
            sections[-1].rules[name] = _html(rule[2])
        elif name and line.strip():
            sections[-1].rules[name] += " " + _html(line.strip())
    return sections


def _html(text: str) -> str:
    return _EMPHASIS.sub(r"<em>\1</em>", _CODE.sub(r"<code>\1</code>", xhtml_escape(text)))


RULES = read(replication.__doc__ or "")
