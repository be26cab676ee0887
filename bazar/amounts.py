"""Read prices and numbers as people write them: `12.99`, `1.234,56 €`, `$1,234`, `12,-`.

A single sign before exactly three digits (`1.234`) can be read in two ways. How a list's column as
a whole decides of it is in `bazar/cli/importing/amounts.py`; whoever types one price is asked.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass

POINT, COMMA, EITHER, WHOLE = ".", ",", "either", "whole"
MAX_DIGITS = 18
MAX_LENGTH = 60  # of a number with its currency

_NUMBER = re.compile(r"([^\d]*?)([.,]?)(\d(?:[\d.,'’ ]*\d)?)([^\d]*)")
_GROUPED = {
    sign: re.compile(rf"\d{{1,3}}(?:{re.escape(sign)}\d{{3}})+|\d{{1,3}}(?:{re.escape(sign)}\d\d)*"
                     rf"{re.escape(sign)}\d{{3}}")
    for sign in (".", ",", "'", " ")
}  # fmt: skip
DIGIT = re.compile(r"\d")
_SPELLED = str.maketrans({"\u2212": "-", "’": "'", "\u066b": ".", "\u066c": ","})  # Arabic signs
_WORD = re.compile(r"[^ .,()]+")
_DASH = re.compile(r"[.,:/] ?[-–—]{1,2}")  # 12,- and 129:- and Rs 450/-
_CODES = """
    usd eur gbp chf cad aud nzd jpy cny rmb inr sek nok dkk pln czk huf ron rub uah try brl mxn
    ars clp cop zar krw hkd sgd ils thb isk bgn php idr myr aed sar us kr krona kroner zł zl kč
    kc ft rs r руб р грн лв lei din tl fr sfr euro euros dollar dollars pound pounds 円 元 원 ریال
    ريال درهم دينار جنيه a c nz hk au ca mx s nt rp rm đ vnd twd egp mad tnd kwd bhd omr jod qar lkr
    bdt pkr pen uyu crc dop ngn kes ghs rsd bam mkd mdl gel amd azn kzt kgs uzs byn xaf xof fcfa cfa
    yen ksh won din дин ₽ тг сом
"""
# Nobody divides these: in `¥1,200` the sign parts thousands.
_UNDIVIDED_CODES = """
    ¥ jpy yen 円 ₩ krw won 원 ₫ đ vnd rp idr ft huf isk clp ₲ xaf xof fcfa cfa
"""
# What may stand behind a price that has it in it already.
_INCLUDED_WORDS = """
    incl inkl inc including included vat mwst ust ttc gst iva tva kdv dph moms btw 税込 each ea
"""
# What copies are counted in.
_UNIT_WORDS = """
    pc pcs piece pieces unit units copy copies book books vol vols st stk stck stück ex expl
    exemplar exemplare exempl exemplaire exemplaires ejemplares uds ud pz pezzi copie szt sztuk ks
    kusů db adet шт экз штук prc kpl x 冊 本 部 册 点 個 개 권 부
"""


def _listed(words: str) -> frozenset[str]:
    return frozenset(unicodedata.normalize("NFKC", words).split())


_CURRENCIES, UNDIVIDED = _listed(_CODES), _listed(_UNDIVIDED_CODES)
_INCLUDED, _UNITS = _listed(_INCLUDED_WORDS), _listed(_UNIT_WORDS)


class NotAnAmount(ValueError):
    """The reason why a cell is no amount: one of few sentences, without the cell."""


class TwoWays(NotAnAmount):
    """A sign in it may part thousands, or be the decimal sign."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column's numbers are to be read. `decimal` is None if each number shows its own."""

    decimal: str | None
    cents: bool = False
    strict: bool = False  # as the keeper said: another sign is an error, however clear


@functools.lru_cache(1 << 12)  # lists repeat their prices
def bare(cell: str, counted: bool = False) -> tuple[str, str]:
    """Return a number without its currency, and the currency; if `counted`, without the name of
    what is counted. Raises NotAnAmount."""
    text = unicodedata.normalize("NFKC", cell).translate(_SPELLED).strip().lstrip("'")
    text = DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)  # of any script
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > MAX_LENGTH:
        raise NotAnAmount("is not a number")
    before, sign, number, after = (part.strip() for part in match.groups())
    if sign == "." and before and before[-1].isalpha():
        before, sign = before + ".", ""  # Rs.450
    after = _DASH.sub("", after, count=1).strip() if _DASH.match(after) else after
    if "-" in before or after == "-" or (before.startswith("(") and after.endswith(")")):
        raise NotAnAmount("is negative")
    currency = [part for part in (before, after.rstrip(".,") or after) if part]
    if not all(map(_is_unit if counted else _is_currency, currency)):
        raise NotAnAmount("is not a number")
    words = _WORD.findall(" ".join(currency))
    said = " ".join(word for word in words if word.casefold() not in _INCLUDED)
    return ("0" if sign else "") + sign + number, said


def _is_currency(text: str) -> bool:
    """Whether it is one, or says what the price includes."""
    plain = "".join(" " if _is_sign(char) else char for char in text)
    return all(word.casefold() in _CURRENCIES | _INCLUDED for word in _WORD.findall(plain))


def _is_unit(text: str) -> bool:
    return all(word.casefold() in _UNITS for word in _WORD.findall(text))


def _is_sign(char: str) -> bool:
    return unicodedata.category(char) == "Sc"


def shape(number: str) -> str:
    """Return which sign is a number's decimal sign: POINT, COMMA, EITHER or none (WHOLE)."""
    last = max(number.rfind("."), number.rfind(","))
    if last < 0:
        return WHOLE
    sign, other = (".", ",") if number[last] == "." else (",", ".")
    if number.count(sign) > 1:
        return other if other not in number else sign
    after = len(number) - last - 1
    before = number[:last]
    if other in before or after != 3 or len(before) > 3 or before.startswith("0"):
        return sign
    return EITHER


def split_number(number: str, reading: Reading) -> tuple[int, str]:
    """Return the whole part, and the digits behind the decimal sign. Raises NotAnAmount."""
    number = number.replace("’", "'")
    decimal = reading.decimal
    kind = shape(number)
    if kind == EITHER and decimal is None:
        if not reading.cents:
            raise TwoWays("can be read in two ways")
        decimal = COMMA if "." in number else POINT  # cents are whole: the sign separates thousands
    if kind in (POINT, COMMA) and (decimal is None or not reading.strict):
        decimal = kind
    whole, sign, fraction = number, "", ""
    if decimal is not None:
        whole, sign, fraction = (
            number.rpartition(decimal) if decimal in number else (number, "", "")
        )
    if not whole.isdigit():
        groups = {char for char in whole if not char.isdigit()}
        if len(groups) != 1 or not _GROUPED[groups.pop()].fullmatch(whole):
            told = f" with the decimal sign {decimal!r}" if decimal and reading.strict else ""
            raise NotAnAmount(f"is not a number{told}")
        whole = "".join(filter(str.isdigit, whole))
    if sign and not fraction.isdigit():
        raise NotAnAmount("is not a number")
    if not (whole + fraction).isascii():
        raise NotAnAmount("is not a number")
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise NotAnAmount(f"has more than {MAX_DIGITS} digits")
    return int(whole), fraction


def price(cell: str, reading: Reading) -> int:
    """Return a price in cents. Raises NotAnAmount."""
    whole, fraction = split_number(bare(cell)[0], reading)
    if reading.cents:
        if fraction:
            raise NotAnAmount("has a decimal sign, but the column is in cents")
        return whole
    if len(fraction) > 6 and fraction[2:6] == "9999":  # of a number that is not exact in binary
        return whole * 100 + int(fraction[:2]) + 1
    if fraction[2:].strip("0") and not (len(fraction) > 6 and fraction[2:6] == "0000"):
        raise NotAnAmount("has parts of a cent")
    return whole * 100 + int(fraction[:2].ljust(2, "0"))
