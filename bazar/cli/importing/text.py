"""Find a list's encoding: by its byte order mark, else by its NULs, else UTF-8, else by the names
of its columns, else cp1252.

UTF-8 is recognized with near certainty, by the whole file, so that the first umlaut may stand in
its last line. Any other file is read in each of the encodings that spreadsheets still write; if
one of them shows more names of columns (`Tytuł`, `Название`) than cp1252 does, it is that one. Else
the file is taken for cp1252, a superset of Latin-1, which spreadsheets and shop systems of Western
Europe and America write. Detecting more would be guessing, often wrongly if names are few; here the
keeper sees the first rows, and has `--encoding`. But if whole words are beyond ASCII, as in
Cyrillic, Greek or Chinese, cp1252 is not assumed: it would fill the shop with unreadable titles.
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
LOST = re.compile("[\udc80-\udcff]")  # a byte that means nothing in the encoding

# UTF-32 before UTF-16, whose mark is the beginning of UTF-32's. Python's encodings without an
# endianness in their name read the mark themselves.
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
# Files that people take for a list, by their first bytes.
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
    """Do what `surrogateescape` does, also for encodings with several bytes per unit."""
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
    """Return the name of a text encoding of Python's. Raises BadRequest."""
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
    chunks: Iterable[bytes], wanted: str | None, named: Callable[[str], int]
) -> Encoding:
    """Return the encoding of these bytes, which are the whole file. A byte order mark decides, even
    against `wanted`, because such a file is never in another encoding. `named` returns how many
    columns the beginning of a text names. Raises BadRequest if it is no text."""
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
    """Return the encoding in which more columns have a name than in cp1252."""
    first = first[:HEADER_BYTES]
    names = {name: named(first.decode(name, "replace")) for name in ENCODINGS}
    best = max(ENCODINGS, key=lambda name: names[name])
    return best if names[best] > names["cp1252"] else None


def _by_nuls(sample: bytes) -> str | None:
    """Return UTF-16 or UTF-32 without a mark, or None: of each Latin letter all bytes but one are
    zero."""
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
    """Yield the whole file, from its beginning."""
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def open_text(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """Open the text from its beginning, with line ends as they are. Close it by `detach`."""
    file.seek(0)
    return io.TextIOWrapper(file, encoding, errors=MARKED, newline="")


def read_sample(file: BinaryIO, encoding: str, size: int) -> str:
    """Return the first characters."""
    lines = open_text(file, encoding)
    try:
        return lines.read(size)
    finally:
        lines.detach()
