"""What the text of a code is: the store's own label, a product (GTIN), or nobody's.

GTIN rules are those of the GS1 General Specifications: check digit 3,1,3… from the right (§7.9), restricted
circulation numbers (§1.4, §2.1.11), UPC-E expansion (§5.2.2.4.2). Element strings and Digital Link are biip's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edge.model import SYMBOLOGIES, Item

MAX_TEXT = 2048
"""Characters of a code that are looked at; the longest GS1 symbol is far shorter."""

_AIM = {
    "]E0": "EAN13",
    "]E4": "EAN8",
    "]I1": "ITF14",
    "]C0": "CODE128",
    "]C1": "GS1-128",
    "]e0": "DATABAR",
    "]d1": "DATAMATRIX",
    "]d2": "DATAMATRIX",
    "]Q1": "QR",
    "]Q3": "QR",
}
_GS1_AIM = frozenset({"]C1", "]e0", "]d2", "]Q3"})
_GS1 = frozenset({"GS1-128", "DATABAR", "DATABAR-LIMITED", "DATABAR-EXPANDED", "DATAMATRIX", "QR"})
_RESTRICTED_13 = ("02", "04", *(str(n) for n in range(20, 30)))


@dataclass(frozen=True, slots=True)
class InStore:
    """One kind of label the store prints: 13 digits = prefix, item, value, check digit."""

    prefix: str
    item: int
    value: int
    decimals: int
    kind: Literal["price", "weight"]


@dataclass(frozen=True, slots=True)
class Code:
    """A code's text without its AIM id. `gs1`: its symbology says that it holds GS1 element strings."""

    text: str
    symbology: str | None
    gs1: bool


def read(text: str, symbology: str | None) -> Code:
    """Takes off the AIM symbology id (ISO/IEC 15424), which also names the symbology where none is given."""
    aim = text[:3] if text.startswith("]") else ""
    known = symbology or _AIM.get(aim) or (None if not aim else _family(aim))
    gs1 = aim in _GS1_AIM or (not aim and known in _GS1)
    return Code(text[len(aim) :].removeprefix("\x1d"), known, gs1)


def item(code: Code, in_store: Iterable[InStore] = ()) -> Item | None:
    """The product or store label that `code` names, without its cached product; None if it is nobody's."""
    text = code.text
    if not text or len(text) > MAX_TEXT:
        return None
    digits = expand(text) if code.symbology == "UPCE" else text
    if digits.isascii() and digits.isdigit() and len(digits) in (8, 12, 13, 14):
        return _numeric(digits, code.symbology, in_store)
    link = text.lower().startswith(("http://", "https://"))
    gtin = _biip(text, link=link) if link or code.gs1 else None
    return Item(gtin, code.symbology) if gtin and not restricted(gtin) else None


def check_digit(payload: str) -> str:
    """The GS1 check digit of digits that lack it."""
    total = 3 * sum(map(int, payload[::-2])) + sum(map(int, payload[-2::-2]))
    return str(-total % 10)


def valid(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it; all zeros are no number."""
    return check_digit(digits[:-1]) == digits[-1] and digits.strip("0") != ""


def restricted(gtin14: str) -> bool:
    """Whether a GTIN-14 holds a number of the store's own: a GTIN-13 form 02, 04, 20-29, a GTIN-8 0 or 2."""
    if gtin14.startswith("000000"):
        return gtin14[6] in "02"
    return gtin14[0] == "0" and gtin14[1:3] in _RESTRICTED_13


def expand(upce: str) -> str:
    """A UPC-E text of 8, 7 (no check digit) or 6 digits (neither end) as UPC-A; other text as it is."""
    if not (upce.isascii() and upce.isdigit() and 6 <= len(upce) <= 8):
        return upce
    system, six = (upce[0], upce[1:7]) if len(upce) > 6 else ("0", upce)
    if system not in "01":
        return upce
    match six[5]:
        case "0" | "1" | "2":
            payload = system + six[:2] + six[5] + "0000" + six[2:5]
        case "3":
            payload = system + six[:3] + "00000" + six[3:5]
        case "4":
            payload = system + six[:4] + "00000" + six[4]
        case _:
            payload = system + six[:5] + "0000" + six[5]
    return payload + (upce[7] if len(upce) == 8 else check_digit(payload))


def _numeric(digits: str, symbology: str | None, in_store: Iterable[InStore]) -> Item | None:
    if not valid(digits):
        return None
    gtin = digits.zfill(14)
    thirteen = gtin[1:] if len(digits) > 8 and gtin[0] == "0" else ""
    for label in in_store:
        if thirteen.startswith(label.prefix):
            head = len(label.prefix) + label.item
            payload = thirteen[:head] + "0" * label.value
            value = {"kind": label.kind, "value": _decimal(thirteen[head:12], label.decimals)}
            return Item("0" + payload + check_digit(payload), symbology, in_store=value)
    return None if restricted(gtin) else Item(gtin, symbology)


def _decimal(digits: str, decimals: int) -> str:
    whole, part = (digits[:-decimals], digits[-decimals:]) if decimals else (digits, "")
    return (whole.lstrip("0") or "0") + ("." + part if part else "")


def _family(aim: str) -> str | None:
    """]E3, ]C2, ]d3 … : modifiers that change nothing we use."""
    name = {"E": "EAN13", "I": "ITF14", "C": "CODE128", "d": "DATAMATRIX", "Q": "QR", "e": "DATABAR"}.get(aim[1:2])
    return name if name in SYMBOLOGIES else None


def _biip(text: str, *, link: bool) -> str | None:
    from biip import ParseError
    from biip.gs1_digital_link_uris import GS1DigitalLinkURI
    from biip.gs1_messages import GS1Message

    try:
        found = GS1DigitalLinkURI.parse(text) if link else GS1Message.parse(text)
    except (ParseError, ValueError):  # urllib's, of a link that is none
        return None
    for element in found.element_strings:
        if element.ai.ai == "01" and element.gtin:
            return element.gtin.as_gtin_14()
    return None
