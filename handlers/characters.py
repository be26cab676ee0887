"""Which characters a text may have: those that are visible, and stay where they are.

Invisible characters make two different titles look alike. Characters that turn the line around make
one title look like another. Unassigned characters look different everywhere. Joiners belong to
words of many scripts, and to emoji: there they are allowed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container

_TURNING = {
    "\u061c",
    "\u200e",
    "\u200f",
    *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
}
_JOINERS = {"\u200c", "\u200d"}
_FILLERS = set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc\U0001d159")
_VARIANTS = {*map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))}
_MONGOLIAN = set("\u180b\u180c\u180d\u180e\u180f")
_HIDDEN = _FILLERS | _VARIANTS | _MONGOLIAN
# Signs that stand around or before a number: of the category "format", but visible.
_SEEN = {*map(chr, range(0x600, 0x606)), *"\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"}
_KEYCAP = "\u20e3"
_VIRAMA = 9  # the combining class of signs that remove a consonant's vowel
_JOINING = {
    *("ARABIC", "SYRIAC", "MANDAIC", "MANICHAEAN", "NKO", "ADLAM", "HANIFI", "MONGOLIAN"),
    *("PHAGS-PA", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU"),
    *("KANNADA", "MALAYALAM", "SINHALA", "TIBETAN", "MYANMAR", "KHMER", "BALINESE", "JAVANESE"),
    *("SUNDANESE", "CHAKMA", "KAITHI", "NEWA", "TIRHUTA", "GRANTHA", "BRAHMI", "MEETEI"),
    *("LIMBU", "TAI"),
}

_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})


def control(text: str) -> str | None:
    """Return the first character that not even a search may have; None if there is none."""
    for char in text:
        if unicodedata.category(char) in _CONTROLS:
            return f"the control character U+{ord(char):04X}"
    return None


def wrong(text: str) -> str | None:
    """Return what is wrong with the first character that a text may not have; None if there is
    none."""
    for at, char in enumerate(text):
        if char.isascii() and char.isprintable():
            continue
        kind = unicodedata.category(char)
        if kind in _CONTROLS:
            return control(char)
        reason = None
        if char in _TURNING:
            reason = "which turns the line around"
        elif kind in ("Co", "Cn"):
            reason = "which is not assigned"
        elif (kind == "Cf" and char not in _SEEN) or char in _HIDDEN:
            before, after = text[at - 1 : at], text[at + 1 : at + 2]
            if not _belongs(char, before, after):
                reason = "which can't be seen here"
        if reason is not None:
            name = unicodedata.name(char, "")
            return f"U+{ord(char):04X}{name and f' ({name})'}, {reason}"
    return None


def is_seen(text: str) -> bool:
    """Return whether the text has more than spaces and marks that need a letter."""
    return any(unicodedata.category(char)[0] in "LNPS" for char in text)


def _belongs(char: str, before: str, after: str) -> bool:
    """Return whether an invisible character changes how its neighbours look."""
    if not before:
        return False
    if char in _JOINERS:
        if unicodedata.combining(before) == _VIRAMA:
            return True
        if _script(before, _JOINING) and _script(after, _JOINING):
            return True
        emoji = unicodedata.category(before) in ("So", "Sk") or before == "\ufe0f"
        return char == "\u200d" and emoji and bool(after) and unicodedata.category(after) == "So"
    if char in _VARIANTS:
        pictured = unicodedata.category(before) in ("So", "Sm") or after == _KEYCAP
        return pictured or _script(before, {"CJK"})
    return char in _MONGOLIAN and _script(before, {"MONGOLIAN"})


def _script(char: str, scripts: Container[str]) -> bool:
    """Return whether a letter or mark is of one of these scripts, by the first word of its name."""
    seen = bool(char) and unicodedata.category(char)[0] in "LM"
    return seen and unicodedata.name(char, "").partition(" ")[0] in scripts
