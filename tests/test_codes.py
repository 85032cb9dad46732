"""What a code is: products, the store's own labels, nobody's; and nothing that a scanner sends brings it down."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codes import InStore, check_digit, item, read, valid
from edge.model import SYMBOLOGIES
from peers.day import SEED
from peers.fuzz import NUMBERS, mangled

PRICE = InStore("28", 5, 5, 2, "price")
WEIGHT = InStore("02", 5, 5, 3, "weight")


def with_check(payload: str) -> str:
    return payload + check_digit(payload)


@pytest.mark.parametrize(
    ("text", "symbology", "gtin"),
    [
        ("8801045600130", "EAN13", "08801045600130"),
        ("8801045600130", None, "08801045600130"),
        ("6291041500213", "EAN13", "06291041500213"),
        ("09520123456788", "ITF14", "09520123456788"),
        ("96385074", None, "00000096385074"),
        ("04252614", "UPCE", "00042100005264"),
        ("036000291452", "UPCA", "00036000291452"),
        ("]E08801045600130", None, "08801045600130"),
        ("]C1010952012345678810ABC1", None, "09520123456788"),
        ("]d2010952012345678817180426\x1d21XX", None, "09520123456788"),
        ("https://id.gs1.org/01/09520123456788/10/ABC1/21/12345?17=180426", "QR", "09520123456788"),
    ],
)
def test_products(text: str, symbology: str | None, gtin: str) -> None:
    found = item(read(text, symbology))
    assert found is not None
    assert found.gtin == gtin


@pytest.mark.parametrize(
    "text",
    [
        "6291041500214",  # check digit
        "0000000000000",
        "880104560013",  # a digit short
        "２９４",  # digits, but not ASCII
        with_check("280000100123"),  # the store's own, without a table entry
        with_check("020000100123"),
        with_check("040000000000"),
        with_check("21000000000"),  # UPC-A 2…: GTIN-13 form 02…
        with_check("2000000"),  # GTIN-8 of the store's own
        with_check("0123456"),
        "https://example.com/shoes",
        "https://id.gs1.org/01/" + "0" + with_check("280000100123"),
        "]C1" + "01" + "0" + with_check("280000100123"),
        "",
        "x" * 5000,
    ],
)
def test_nobodys(text: str) -> None:
    assert item(read(text, None)) is None


def test_an_ean_13_is_no_element_string() -> None:
    assert item(read("0195201234567", "EAN13")) is None


@pytest.mark.parametrize(
    ("text", "gtin", "kind", "value"),
    [
        (with_check("281234501299"), "281234500000", "price", "12.99"),
        (with_check("281234500005"), "281234500000", "price", "0.05"),
        (with_check("021234501500"), "021234500000", "weight", "1.500"),
        (with_check("21234501500"), "021234500000", "weight", "1.500"),  # the same label as UPC-A
    ],
)
def test_labels_of_the_store(text: str, gtin: str, kind: str, value: str) -> None:
    found = item(read(text, None), [PRICE, WEIGHT])
    assert found is not None
    assert found.gtin == "0" + with_check(gtin)
    assert found.in_store == {"kind": kind, "value": value}


@given(st.text(alphabet="0123456789", min_size=7, max_size=13))
def test_one_wrong_digit_is_seen(payload: str) -> None:
    right = with_check(payload)
    for place, digit in enumerate(right):
        wrong = right[:place] + str((int(digit) + 1) % 10) + right[place + 1 :]
        assert not valid(wrong)


@pytest.mark.parametrize("number", NUMBERS)
def test_whatever_a_scanner_sends(number: int) -> None:
    """Codes, and codes cut, joined, repeated and with other characters in them: products with a GTIN, or nobody's."""
    chance = random.Random(SEED)
    good = ["8801045600130", "96385074", "04252614", "]C1010952012345678810ABC1", "]d2010952012345678817180426\x1d21X"]
    good += ["https://id.gs1.org/01/09520123456788/10/ABC1?17=180426", "KR0123456789", "2812345012999", "\x1d", "]Q3"]
    kinds = [None, *sorted(SYMBOLOGIES)]
    for _ in range(number):
        found = item(read(mangled(chance, good), chance.choice(kinds)), (PRICE, WEIGHT))
        assert found is None or (len(found.gtin) == len("08801045600130") and valid(found.gtin))
