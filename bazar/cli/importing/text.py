"""Find a list's encoding: by its byte order mark, else by its zero bytes, else UTF-8, else cp1252.

UTF-8 is recognized with near certainty, by the whole file, so that the first umlaut may stand in
its last line. Any other file is taken for cp1252, a superset of Latin-1, which spreadsheets and
shop systems of Western Europe and America write. Detecting more encodings would be guessing, often
wrongly if names are few; here the keeper sees the first rows, and has `--encoding`. But if whole
words are beyond ASCII, as in Cyrillic, Greek or Chinese, cp1252 is not assumed: it would fill the
shop with unreadable titles.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterable
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
LONGEST_WESTERN = 3  # letters beyond ASCII side by side, as in the Icelandic Þýðing


# Files that people take for a list, by their first bytes.
NO_TEXT = (
    (b"PK\x03\x04", "a workbook, or another archive: save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old workbook: save the sheet as CSV"),
    (b"%PDF", "a PDF: the list is wanted as CSV"),
    (b"\x1f\x8b", "compressed: unpack it first"),
)

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
        "title".encode(name).decode(name)
    except (LookupError, ValueError):
        raise BadRequest(
            f"--encoding: {name[:40]!r} is no encoding of text that is known"
        ) from None
    return name


def find_encoding(chunks: Iterable[bytes], wanted: str | None = None) -> Encoding:
    """Return the encoding of these bytes, which are the whole file. A byte order mark decides, even
    against `wanted`, because such a file is never in another encoding. Raises BadRequest if it is
    no text."""
    rest = iter(chunks)
    first = next(rest, b"")
    for begins, what in NO_TEXT:
        if first.startswith(begins):
            raise BadRequest(f"this is {what}")
    for mark, name in MARKS:
        if first.startswith(mark):
            return Encoding(name, "by its byte order mark")
    if wanted is not None:
        return Encoding(wanted, "as told")
    if (wide := _by_nuls(first)) is not None:
        return Encoding(wide, "by its zero bytes")
    good = bad = alone = crowded = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in itertools.chain((first,), rest):
        text = decoder.decode(chunk)
        if not text.isascii():
            bad += len(lost := LOST.findall(text))
            good += len(_BEYOND_ASCII.findall(text))
            for run in _BYTES_BEYOND.findall(chunk) if lost else ():
                if len(run) > LONGEST_WESTERN:
                    crowded += len(run)
                else:
                    alone += len(run)
    bad += len(decoder.decode(b"", final=True))
    if bad > good:
        if crowded > alone:
            raise BadRequest(
                "this is not UTF-8, and has whole words beyond ASCII: say in which encoding they"
                " are, as in --encoding cp1251 (or koi8-r, cp1253, gb18030, big5, shift_jis)"
            )
        return Encoding("cp1252", "assumed, for it is not UTF-8")
    if bad:
        return Encoding("utf-8", f"but for bytes that are not ({bad})")
    return Encoding("utf-8", "all of it is" if good else "all of it is ASCII")


def _by_nuls(sample: bytes) -> str | None:
    """Return UTF-16 without a mark, or None: every other byte of its Latin letters is zero."""
    sample = sample[:4096]
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
