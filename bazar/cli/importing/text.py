"""Find a list's encoding: by its byte order mark, else by its NULs, else UTF-8, else by the names
of its columns, else cp1252.

UTF-8 is recognized with near certainty, by the whole file, so that the first umlaut may stand in
its last line. What is neither is read in each of the encodings that spreadsheets still write, and
if one of them makes more names of columns (`Tytuł`, `Название`) than cp1252 does, it is that one.
Else it is taken for cp1252, a superset of Latin-1: so write spreadsheets and shop systems of
Western Europe and America. A detector that looks at letters would guess, and guess wrong, where
they are few; here the keeper sees the first of them, and has `--encoding`. But where whole words
are beyond ASCII, as in Cyrillic, Greek or Chinese, cp1252 is none of the guesses: it would fill the
shop with titles that nobody can read.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from bazar.errors import BadRequest

CHUNK_BYTES = 1 << 20
LOST = re.compile("[\udc80-\udcff]")  # stands for a byte that means nothing in the encoding

# UTF-32 before UTF-16: its mark begins with that one's. Python's names without an end of the word
# read the mark themselves.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_BEYOND_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")
_BYTES_BEYOND = re.compile(rb"[\x80-\xff]+")
_FIRST_BEYOND = re.compile(rb"(?<![0-9A-Za-z])[0-9A-Za-z]*+[\x80-\xff][0-9A-Za-z\x80-\xff]*")
LONGEST_WESTERN = 3  # letters beyond ASCII side by side, as in the Icelandic Þýðing


_MARKUP = (b"<?xml", b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML", b"<table", b"<ONIX")
# What people have, and take for a list; by its first bytes.
NO_TEXT = (
    (b"PK\x03\x04", "a workbook, or another archive: save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old workbook: save the sheet as CSV"),
    (b"%PDF", "a PDF: the list is wanted as CSV"),
    (b"{\\rtf", "a document of a word processor: the list is wanted as CSV"),
    *((begins, "XML or HTML: the list is wanted as CSV") for begins in _MARKUP),
    *((begins, "JSON: the list is wanted as CSV") for begins in (b"[{", b"[\n", b'{"', b"{\n")),
    (b"SQLite format 3", "a database: export the table as CSV"),
    (b"\x00\x01\x00\x00", "a database: export the table as CSV"),
    *(
        (begins, "compressed: unpack it first")
        for begins in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")
    ),
)

# By the letters that they can write; of those that read a header equally well the first counts.
ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("mac_roman", "cp850", "iso8859_2", "cp852", "mac_latin2", "koi8_r", "koi8_u", "cp866"),
    *("mac_cyrillic", "cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
HEADER_BYTES = 1 << 13
# Python's "encodings of text" that no file is in; they raise what `_mark` can't mend.
_NO_FILES = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}

MARKED = "bazar-marked"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """As `surrogateescape` does, for encodings of other than single bytes, too."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + max(byte, 0x80)) for byte in lost), error.end


codecs.register_error(MARKED, _mark)


@dataclass(frozen=True, slots=True)
class Encoding:
    name: str
    why: str


def check_encoding(name: str) -> str:
    """A name that Python knows for text. Raises BadRequest."""
    try:
        if codecs.lookup(name).name.replace("_", "-") in _NO_FILES:
            raise LookupError(name)
        "title".encode(name).decode(name)
    except (LookupError, ValueError):
        raise BadRequest(
            f"--encoding: {name[:40]!r} is no encoding of text that is known"
        ) from None
    return name


def find_encoding(
    chunks: Iterable[bytes], wanted: str | None = None, named: Callable[[str], int] = len
) -> Encoding:
    """The encoding of these bytes, which are all of the file. A byte order mark decides, even
    over `wanted`, for what follows it is never anything else. `named` tells how many columns a
    text's beginning names. Raises BadRequest if it is no text."""
    rest = iter(chunks)
    first = next(rest, b"")
    for begins, what in NO_TEXT:
        if first.startswith(begins):
            raise BadRequest(f"this is {what}")
    for mark, name in MARKS:
        if first.startswith(mark):
            return Encoding(name, "by its byte order mark")
    wide = _by_nuls(first)
    if wanted is not None:
        family = codecs.lookup(wanted).name
        if family in ("utf-16", "utf-32"):  # without a mark, by which Python would know the order
            order = wide.removeprefix(family) if wide is not None else "-le"
            return Encoding(family + (order if order in ("-le", "-be") else "-le"), "as told")
        return Encoding(wanted, "as told")
    if wide is not None:
        return Encoding(wide, "by its zero bytes")
    good = bad = alone = crowded = 0
    example = b""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in itertools.chain((first,), rest):
        text = decoder.decode(chunk)
        if not text.isascii():
            bad += len(lost := LOST.findall(text))
            good += len(_BEYOND_ASCII.findall(text))
            if lost and not example and (match := _FIRST_BEYOND.search(chunk)) is not None:
                example = match[0][:30]
            for run in _BYTES_BEYOND.findall(chunk) if lost else ():
                if len(run) > LONGEST_WESTERN:
                    crowded += len(run)
                else:
                    alone += len(run)
    bad += len(decoder.decode(b"", final=True))
    if bad > good:
        if (by_header := _by_header(first, named)) is not None:
            return Encoding(by_header, "by the names of its columns")
        if crowded > alone:
            raise BadRequest(
                "this is not UTF-8, and has whole words beyond ASCII: say in which encoding they"
                " are, as in --encoding cp1251 (or koi8-r, cp1253, gb18030, big5, shift_jis)"
            )
        seen = example.decode("cp1252", "replace")
        return Encoding("cp1252", f"assumed, for it is not UTF-8: is {seen!r} right?")
    if bad:
        return Encoding("utf-8", f"but for bytes that are not ({bad})")
    return Encoding("utf-8", "all of it is" if good else "all of it is ASCII")


def _by_header(first: bytes, named: Callable[[str], int]) -> str | None:
    """The encoding in which more columns have a name than in cp1252."""
    first = first[:HEADER_BYTES]
    names = {name: named(first.decode(name, "replace")) for name in ENCODINGS}
    best = max(ENCODINGS, key=lambda name: names[name])
    return best if names[best] > names["cp1252"] else None


def _by_nuls(sample: bytes) -> str | None:
    """UTF-16 or 32 without a mark: of its Latin letters every other byte is zero, or three."""
    sample = sample[:4096]
    nuls = [sample[at::4].count(0) * 8 > len(sample) for at in range(4)]
    if nuls in ([False, True, True, True], [True, True, True, False]):
        return "utf-32-be" if nuls[0] else "utf-32-le"
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd > len(sample) // 8 and even * 8 < odd:
        return "utf-16-le"
    if even > len(sample) // 8 and odd * 8 < even:
        return "utf-16-be"
    return None


def read_chunks(file: BinaryIO) -> Iterable[bytes]:
    """All of the file, from its beginning."""
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def open_text(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """The text from its beginning, line ends as they are. Close it by `detach`."""
    file.seek(0)
    return io.TextIOWrapper(file, encoding, errors=MARKED, newline="")


def read_sample(file: BinaryIO, encoding: str, size: int) -> str:
    """The first characters."""
    lines = open_text(file, encoding)
    try:
        return lines.read(size)
    finally:
        lines.detach()
