"""Take out what shop systems leave of HTML in a list: `Mist &amp; Rain`, `<i>The Fog</i>`."""

from __future__ import annotations

import html
import re

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|/p|/div)\b[^<>]*>", re.IGNORECASE)
# Only such as stand around words; and of these only pairs, for `List<B>` is a title.
_PAIR = re.compile(
    r"<(i|b|em|strong|u|s|sub|sup|small|big|span|font|cite|p|div)(?: [^<>]*)?>(.*?)</\1>",
    re.IGNORECASE,
)
_DEEPEST = 3
LONGEST = 5000  # no title is; pairs are looked for from each tag on


def without_markup(text: str) -> str:
    """The text as a browser shows it.

    >>> without_markup("<p><i>R&eacute;mi</i><br/>&amp; Co</p>"), without_markup("AT&T <b> R&D;")
    ('Rémi & Co', 'AT&T <b> R&D;')
    """
    if ("<" not in text and "&" not in text) or len(text) > LONGEST:
        return text
    if "<" in text:
        for _ in range(_DEEPEST):
            text = _PAIR.sub(lambda pair: f"{pair[2]} " if pair[1] in "pdiv" else pair[2], text)
        text = _BREAK.sub(" ", text)
    if "&" in text:
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return " ".join(text.split())
