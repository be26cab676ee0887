"""Text to words, and words to what they are compared by: in every script.

A word is a run of letters, marks and digits, without what makes no difference to a reader: case,
accents, points, and the forms that letters have only in print (NFKD, then Unicode's case folding).

* Marks go where they are accents or points that readers do without: Latin, Greek and Cyrillic
  accents, Hebrew points, Arabic harakat. Where a mark is a letter of its own it stays: vowel signs
  and viramas of the scripts of India and Southeast Asia, tones of Thai, the voicing of kana.
  Unicode tells them apart by the combining class: the latter have 0, or one of their script's own.
* A nasal before a consonant of its own row is written as that letter or as a dot (हिन्दी, हिंदी), in
  Hindi as in Gujarati, Telugu and Kannada: it becomes the dot.
* Scripts that put no spaces between words have no words that a program could find. Their runs
  become pairs of neighbours, and the last character by itself; any part of a run is
  then found as pairs that follow each other. Korean is among them: its particles stick to words.
* `C++`, `C#` and `.NET` are names of their own, and so are words with an apostrophe, a hyphen or
  points inside, without these: `O'Reilly` is `o reilly` and `oreilly`, `e-mail` is also `email`,
  `J. R. R.` also `jrr`, as some write them. They are kept beside the plain words, behind them, so
  that words that follow each other still do.
* A title without a word, as `!!!` or `∞`, is found by its signs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

# Another version of this module, or of Unicode, may make other words of the same text.
VERSION = f"3, Unicode {unicodedata.unidata_version}"

# Letters that have no accent to drop, but are written, or typed, as others are.
_SAME = {
    **{"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t"},
    "ı": "i",
    **{"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ٱ": "ا"},  # Arabic and Persian keyboards
    "ґ": "г",  # Ukrainian, and not on Russian keyboards
    "♯": "#",
    **dict.fromkeys("’‘ʼ＇", "'"),
    "‐": "-",
}
# Kana of both kinds are the same letters, as capitals and small ones are: Unicode's collation, too,
# tells them apart at the third level only. Names are often typed in the other kind.
_SAME |= {chr(code): chr(code + 0x60) for code in (*range(0x3041, 0x3097), 0x309D, 0x309E)}
# Characters inside of words that are no part of them: dots between the parts of a foreign name in
# Chinese and Japanese, the Arabic stretch, signs for letters of Arabic or Hebrew in Latin text, the
# nukta of Hindi.
_NOTHING = frozenset("·・ـ\u093c\u034fʹʺʻʽʾʿ")
_SYMBOLS = "+#.'&/-"
MOST_JOINED = 3  # of one word: d'O'Reilly is found by both
SORTED = 200  # letters of a title that decide its place among others: they stand in addresses

_ACCENTS = (range(10, 37), range(200, 241))  # combining classes
_VARIANTS = (range(0xFE00, 0xFE10), range(0x180B, 0x1810), range(0xE0100, 0xE01F0))

_SPACELESS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese and its neighbours
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Korean
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u303c\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Chinese
    "\U00020000-\U0003ffff"
    "\u3040-\u312f\u31a0-\u31ff"  # kana, bopomofo
    "\ua000-\ua4cf"  # Yi
)
_SPACED = f"[^ {re.escape(_SYMBOLS)}{_SPACELESS}]"
_RUN = f"([{_SPACELESS}]+)|{_SPACED}+"
_ASCII = re.compile("[0-9a-z]+")  # the same where a text is ASCII, several times faster
_ENDS = rf"{_SPACED}+(?:\+\++|#|\+(?!{_SPACED}))"
_BEGINS = rf"\.(?![0-9]){_SPACED}+"
_NAME = f"{_ENDS}|{_BEGINS}"
_INSIDE = r"(?:['&/-]|(?<![0-9])\.(?![0-9]))"  # of a word; 3.14 are two
_JOINED = f"{_SPACED}++(?:{_INSIDE}{_SPACED}++)+"
_INSIDE_ASCII = re.compile("['&./-]")
_INITIALS = re.compile(r"(?<![^\W\d_])([^\W\d_]\.)\s+(?=[^\W\d_]\.)")
_TYPED_NAME = f"{_ENDS}|(?<![^ ]){_BEGINS}"  # typing "node.js" means both words


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile what has all scripts in it when it is first used: together that takes 13 ms, for
    which no node that starts should wait."""
    return re.compile(pattern)


def _nasals(block: int) -> str:
    """Return a pattern of what becomes the dot (anusvara) in one of the blocks of Unicode that are
    laid out alike: the last of each row of five consonants, without its vowel, before another."""
    rows = (0x15, 0x1A, 0x1F, 0x24, 0x2A)
    parts = ((block + row + 4, block + 0x4D, block + row, block + row + 3) for row in rows)
    return "|".join("{:c}{:c}(?=[{:c}-{:c}])".format(*part) for part in parts)


_DOTTED = (0x900, 0xA80, 0xC00, 0xC80)  # Devanagari, Gujarati, Telugu, Kannada
_NASAL = re.compile("|".join(f"({_nasals(block)}|{chr(block + 1)})" for block in _DOTTED))


def _dot(match: re.Match[str]) -> str:
    return chr(_DOTTED[(match.lastindex or 1) - 1] + 2)


class _Letters(dict[int, str]):
    """Maps each character to its letters, for `str.translate`; computed once each."""

    def __missing__(self, code: int) -> str:
        made = self[code] = _letter(chr(code))
        return made


def _letter(char: str) -> str:
    """Return one letter or more, nothing, or a space between words."""
    category, code = unicodedata.category(char), ord(char)
    if char in _NOTHING or category in ("Cf", "Me") or any(code in some for some in _VARIANTS):
        return ""
    if category == "Mn" and any(unicodedata.combining(char) in some for some in _ACCENTS):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(char))
    plain = char.casefold()
    if plain in _SAME:
        return _SAME[plain]
    return plain if category[0] in "LMN" or char in _SYMBOLS else " "


_LETTERS = _Letters()


@lru_cache(maxsize=64)  # the words of a book are looked at more than once
def plain(text: str) -> str:
    """Return the words of a text with spaces between them, and symbols that names may have.

    >>> plain("Ὁ λόγος, or: THE Ⅻth Straße (C++)")
    'ο λογοσ  or  the xiith strasse  c++ '
    """
    if text.isascii():
        return text.translate(_LETTERS)
    letters = _NASAL.sub(_dot, unicodedata.normalize("NFKD", text).translate(_LETTERS))
    # Composed again: a syllable of Korean is one character, and so is a voiced kana.
    return unicodedata.normalize("NFC", letters)


def _pieces(run: re.Match[str]) -> Iterator[str]:
    if run[1] is None:
        yield run[0]
        return
    yield from map("".join, zip(run[0], run[0][1:], strict=False))
    yield run[0][-1]


def tokens(text: str) -> list[str]:
    """Return the tokens of a text, in its order; names with symbols after the rest.

    >>> tokens("C++ für 計算機")
    ['c', 'fur', '計算', '算機', '機', 'c++']
    """
    if text.isascii():
        letters = text
        found: list[str] = _ASCII.findall(text.lower())
    else:
        letters = plain(text)
        found = [piece for run in _compiled(_RUN).finditer(letters) for piece in _pieces(run)]
    if any(symbol in letters for symbol in _SYMBOLS):
        found += dict.fromkeys(_compiled(_NAME).findall(plain(text)))
    return found or [signs for signs in [_signs(text)] if signs]


def findable(text: str) -> str:
    """Return all tokens by which phrases find a text, with spaces between them."""
    return " ".join(tokens(text) + joined(text))


def joined(text: str) -> list[str]:
    """What else it is found by: its words that have something inside, without that.

    >>> joined("J. R. R. Tolkien's e-mail")
    ['jrr', 'rr', 'tolkiens', 'email']
    """
    if text.isascii() and not _INSIDE_ASCII.search(text):
        return []
    found = []
    for word in _compiled(_JOINED).findall(plain(_INITIALS.sub(r"\1", text))):
        parts = re.split(_INSIDE, word)
        found += ["".join(parts[at:]) for at in range(len(parts) - 1)[:MOST_JOINED]]
    return [word for word in found if not word.isdigit()]  # 9/11 is not 911


def sort_key(title: str) -> str:
    """Return by what a title is put in order, letter by letter: its plain words, in the order of
    Unicode's code points.

    >>> sort_key("“Émile”, ou De l’éducation"), sort_key(".NET"), sort_key("!!!")
    ('emile ou de l'education', 'net', '！！！')
    """
    words = plain(title).lstrip(f" {_SYMBOLS}").split()
    return (" ".join(words) or _signs(title))[:SORTED]


def _signs(text: str) -> str:
    """What is found of a text without a word; those of ASCII as wide ones, which nothing splits."""
    signs = (c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c)[0] in "SP")
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() else c for c in signs)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Tokens that must follow each other. If it is `open`, the last one may be only the beginning
    of a word; a `single` character of a run always is the beginning of a pair. The whole word
    `joined` does instead of all of them."""

    tokens: tuple[str, ...]
    open: bool = True
    single: bool = False
    joined: str | None = None

    def fits(self, text: str) -> bool:
        """Return whether `text`, tokens with spaces between them, has the phrase."""
        end = "" if self.open else " "
        if self.joined is not None and f" {self.joined} " in f" {text} ":
            return True
        return f" {' '.join(self.tokens)}{end}" in f" {text} "


def searched(typed: str) -> list[str]:
    """Return what is looked for of a query: its words, or its signs if it has no word.

    >>> searched("R & D"), searched("!!!"), searched(" ")
    (['R', 'D'], ['!!!'], [])
    """
    parts = typed.split()
    run = _compiled(_RUN)
    return [part for part in parts if run.search(plain(part))] or list(filter(_signs, parts))


def _instead(part: str) -> str | None:
    """Return a typed word without the sign inside of it, if it has one."""
    whole = _compiled(_JOINED).fullmatch(part.strip(f" {_SYMBOLS}"))
    return None if whole is None else next(iter(joined(whole[0])), None)


@lru_cache(maxsize=256)
def phrases(typed: str) -> tuple[Phrase, ...]:
    """Return what to search for: each word `typed`, as a phrase where it has parts.

    >>> [one.tokens for one in phrases("l'été 計算機 c++17")]
    [('l', 'ete'), ('計算', '算機'), ('c++',), ('17',)]
    """
    found: dict[Phrase, None] = {}
    for word in typed.split():
        letters = plain(word)
        for name in _compiled(_TYPED_NAME).findall(letters):
            found[Phrase((name,))] = None
        for part in _compiled(_TYPED_NAME).split(letters):
            runs = list(_compiled(_RUN).finditer(part))
            if not runs:
                continue
            pieces = [piece for run in runs for piece in _pieces(run)]
            spaceless = runs[-1][1]
            if spaceless is None:
                phrase = Phrase(tuple(pieces), joined=_instead(part))
            elif len(spaceless) == 1:
                phrase = Phrase(tuple(pieces), single=True)
            else:  # its end need not be the end of a run
                phrase = Phrase(tuple(pieces[:-1]), open=False)
            found[phrase] = None
    if not found and (signs := _signs(typed)):
        found[Phrase((signs,))] = None
    return tuple(found)
