"""What is in a frame: read whatever the angle and the light, and nothing is read that is not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.camera import decode
from drivers.camera.engines import Code, zbar
from drivers.camera.votes import HALVES, Engine, Votes
from edge.model import SYMBOLOGIES
from peers.bars import Picture, code128, ean8, ean13, itf, printed, qr, seen, upce
from peers.datamatrix import datamatrix
from peers.gtin import gtin13

if TYPE_CHECKING:
    from collections.abc import Callable

GTIN = gtin13(1)
LABEL = printed(ean13(GTIN), module=2, height=80)
OTHER = printed(ean8("96385074"), module=3, height=80)
LOT = "010880104560013010AB\x1d3103001750"
PRINTED: list[tuple[Picture, str, str]] = [
    (printed(ean13(GTIN)), GTIN, "EAN13"),
    (printed(ean13("9780441014989")), "9780441014989", "EAN13"),  # a book
    (printed(ean13("0036000291452")), "036000291452", "UPCA"),
    (printed(upce("01234565")), "01234565", "UPCE"),
    (printed(ean8("96385074")), "96385074", "EAN8"),
    (printed(itf("18801045600137"), 2), "18801045600137", "ITF14"),
    (printed(code128("KR0123456789"), 2), "KR0123456789", "CODE128"),
    (printed(code128("0108801045600130"), 2), "0108801045600130", "CODE128"),
    (printed(code128(LOT, gs1=True), 2, 200), LOT, "GS1-128"),
    (qr("https://id.gs1.org/01/08801045600130"), "https://id.gs1.org/01/08801045600130", "QR"),
    (qr("물 2L"), "물 2L", "QR"),
    (qr("Café"), "Café", "QR"),
    (datamatrix("010880104560013010AB", gs1=True), "010880104560013010AB", "DATAMATRIX"),
    (datamatrix("Lot 7", 9), "Lot 7", "DATAMATRIX"),
]


@pytest.mark.parametrize("angle", [0, 5, 45, 180, 270])
@pytest.mark.parametrize(
    ("label", "text", "symbology"), PRINTED, ids=[f"{name}-{text[:8]}" for *_, text, name in PRINTED]
)
def test_what_is_held_up_is_read(label: Picture, text: str, symbology: str, angle: int) -> None:
    assert decode(seen(label, angle, seed=angle, size=(840, 840))) == [(text, symbology)]


@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_a_product_is_read_however_it_is_turned(angle: int) -> None:
    assert decode(seen(printed(ean13(GTIN)), angle, seed=angle)) == [(GTIN, "EAN13")]


@pytest.mark.parametrize("angle", [0, 45])
def test_products_and_a_square_at_once(angle: int) -> None:
    square = seen(qr("https://id.gs1.org/01/08801045600130", 4), angle, size=SMALL)
    all_of_it = np.concatenate([seen(LABEL, angle, size=SMALL), seen(OTHER, -angle, size=SMALL), square])
    assert {text for text, _ in decode(all_of_it)} == {GTIN, "96385074", "https://id.gs1.org/01/08801045600130"}


SMALL = (240, 320)


# Bad light, bad pictures


def noisy(frame: Picture, dice: np.random.Generator, sigma: float) -> Picture:
    return np.clip(frame + dice.normal(0, sigma, frame.shape), 0, 255).astype(np.uint8)


def dark(frame: Picture, dice: np.random.Generator) -> Picture:
    return noisy((frame * 0.12 + 8).astype(np.uint8), dice, 1.0)


def glaring(frame: Picture, dice: np.random.Generator) -> Picture:
    """A lamp mirrored in a part of the code."""
    height, width = frame.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    spot = np.exp(-((rows - height * 0.42) ** 2 + (columns - width * dice.uniform(0.3, 0.7)) ** 2) / (2 * 45**2))
    return np.clip(frame + 150 * spot[..., None], 0, 255).astype(np.uint8)


def grainy(frame: Picture, dice: np.random.Generator) -> Picture:
    return noisy(frame, dice, 16.0)


def shaken(frame: Picture, dice: np.random.Generator) -> Picture:
    return cv2.blur(frame, (3, 7))


def squeezed(frame: Picture, dice: np.random.Generator) -> Picture:
    """A stream of few bits."""
    return cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], cv2.IMREAD_COLOR)


def far(frame: Picture, dice: np.random.Generator) -> Picture:
    """As small as half of what was seen."""
    return cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("spoiled", [dark, glaring, grainy, shaken, squeezed, far])
def test_a_spoiled_picture_is_read_or_not_but_never_wrongly(
    spoiled: Callable[[Picture, np.random.Generator], Picture],
) -> None:
    codes = [(GTIN, "EAN13"), ("96385074", "EAN8"), ("036000291452", "UPCA")]
    labels = [printed(ean13(GTIN)), printed(ean8("96385074")), printed(ean13("0036000291452"))]
    read = 0
    for seed in range(24):
        dice = np.random.default_rng(seed)
        frame = spoiled(seen(labels[seed % 3], dice.choice([0, 4, 45, 90, 200]), seed), dice)
        found = decode(frame)
        assert found in ([], [codes[seed % 3]])
        read += bool(found)
    assert read >= 12, "half of them"


def burnt_out(frame: Picture, dice: np.random.Generator) -> Picture:
    """A lamp takes away some bars in the middle: what is left may look like a UPC-E."""
    height, width = frame.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    spot = np.exp(-((rows - height / 2) ** 2 / 9000 + (columns - width * dice.uniform(0.3, 0.7)) ** 2 / 400))
    return np.clip(frame + 400 * spot[..., None], 0, 255).astype(np.uint8)


def tiny(frame: Picture, dice: np.random.Generator) -> Picture:
    """A module is about a pixel: digits are mistaken for others."""
    scale = dice.uniform(0.35, 0.6)
    return cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize(("spoiled", "readable"), [(burnt_out, 1), (tiny, 10)])
def test_what_is_hardly_there_is_not_guessed(
    spoiled: Callable[[Picture, np.random.Generator], Picture], readable: int
) -> None:
    """Among these, one engine alone is wrong now and then."""
    read = 0
    for seed in range(25, 60):
        dice = np.random.default_rng(seed)
        digits = "7" + "".join(map(str, dice.integers(0, 10, 11)))
        text = next(text for check in range(10) if is_gtin(text := f"{digits}{check}"))
        frame = spoiled(seen(printed(ean13(text), module=2), 0, seed), dice)
        found = decode(noisy(frame, dice, dice.uniform(0, 8)))
        assert found in ([], [(text, "EAN13")])
        read += bool(found)
    assert read >= readable


def is_gtin(text: str) -> bool:
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(text))) % 10 == 0


# What is no code


@pytest.mark.parametrize(
    "label",
    [
        printed(itf("123456")),
        printed(itf("18801045600130"), 2),  # a wrong check digit
        qr(""),
    ],
    ids=["itf-6", "itf-14", "empty"],
)
def test_what_is_no_code_of_a_shop(label: Picture) -> None:
    assert decode(seen(label)) == []


@pytest.mark.parametrize("angle", [0, 45, 180])
def test_a_part_of_a_code_is_none(angle: int) -> None:
    """Also not the half of an EAN-13 whose middle looks like the end of a UPC-E."""
    for text in ("7319694387070", "7944526092831", "7189394643727", GTIN):
        whole = printed(ean13(text))
        middle = whole.shape[1] // 2
        for part in (whole[:, :middle], whole[:, middle:], whole[:, : middle + 15], whole[:, 66:], whole[:, :-66]):
            assert decode(seen(np.pad(part, 30, constant_values=255), angle, size=(480, 640))) == []


def strangers(dice: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A shelf without codes: words, lines, bars of random widths, stripes and grain."""
    scene = np.full((*size, 3), dice.integers(60, 255), np.uint8)
    height, width = size
    for _ in range(20):
        words = "".join(chr(dice.integers(33, 127)) for _ in range(20))
        corner = int(dice.integers(-50, width)), int(dice.integers(0, height))
        scale, thick = float(dice.uniform(0.4, 2)), int(dice.integers(1, 5))
        cv2.putText(scene, words, corner, int(dice.integers(0, 8)), scale, (int(dice.integers(0, 90)),) * 3, thick)
    bars = np.repeat(dice.integers(0, 2, 120).astype(np.uint8) * 255, dice.integers(1, 5))
    top, left = int(dice.integers(0, height // 2)), int(dice.integers(0, width // 3))
    bars = bars[: width - left]
    scene[top : top + height // 3, left : left + bars.size] = bars[None, :, None]
    scene[-60:] = (np.arange(width) // int(dice.integers(2, 9)) % 2 * 200).astype(np.uint8)[None, :, None]
    return noisy(scene, dice, float(dice.uniform(0, 25)))


def test_nothing_is_read_where_no_code_is() -> None:
    for seed in range(40):
        dice = np.random.default_rng(seed)
        frame = strangers(dice, [(240, 320), (480, 640)][seed % 2])
        turned = cv2.rotate(frame, cv2.ROTATE_90_CLOCKWISE) if seed % 3 == 0 else frame
        assert decode(turned) == []


SCRATCHED = (154, 165, 428, 602, 669, 745, 769, 865, 962, 1002, 1030, 1062, 1335, 1467, 1492, 1503, 1518, 1605)
"""Of 1,723 codes with pen strokes and tears across them those that one engine alone takes for another product's."""


@pytest.mark.parametrize("number", SCRATCHED)
def test_a_few_whole_lines_are_not_believed(number: int) -> None:
    """All pictures that are made of them err alike; the true code stands in the whole height."""
    chance = np.random.default_rng(number)
    picture = seen(printed(ean13(gtin13(number)), 3, 160), 0, seed=number)
    height, width = picture.shape[:2]
    spans = (width // 4, 3 * width // 4), (-60, 60), (1, 9)
    for _ in range(int(chance.integers(1, 6))):
        at, lean, thick = (int(chance.integers(*span)) for span in spans)
        colour = (int(chance.choice((0, 255))),) * 3
        cv2.line(picture, (at, height // 5), (at + lean, 4 * height // 5), colour, thick)
    assert decode(picture) in ([], [(gtin13(number), "EAN13")])


def test_nobody_is_there() -> None:
    assert decode(seen(None)) == []


# Who votes

codes = st.sampled_from([(GTIN, "EAN13"), ("8801000000012", "EAN13"), ("01234565", "UPCE"), ("96385074", "EAN8")])
casts = st.lists(st.tuples(st.sampled_from(get_args(Engine)), st.sampled_from("abcde"), codes), max_size=25)


@given(casts)
def test_who_is_elected_has_what_it_needs(ballots: list[tuple[Engine, str, Code]]) -> None:
    votes = Votes()
    for engine, picture, code in ballots:
        votes.cast(engine, picture, [code])
    of = {code: {ballot[:2] for ballot in ballots if ballot[2] == code} for *_, code in ballots}
    both = {code for code, cast in of.items() if len({engine for engine, _ in cast}) == 2}
    elected = votes.elected()
    if elected:
        rivals = [len(cast) for code, cast in of.items() if code != elected]
        assert len(of[elected]) >= 3 * max(rivals, default=0)
        assert elected in both or (len(of[elected]) >= 3 and elected[1] not in HALVES and not rivals)
    assert not votes.settled() or (elected and len(of) == 1 and elected in both and len(of[elected]) >= 3)


@pytest.mark.parametrize(
    ("ballots", "elected"),
    [
        ("", None),
        ("zxing a", None),
        ("zxing a, zbar a", "EAN13"),
        ("zxing a, zxing b", None),
        ("zxing a, zxing b, zxing c", "EAN13"),
        ("zbar a, zbar b, zbar c", "EAN13"),
    ],
)
@pytest.mark.parametrize("symbology", ["EAN13", "UPCE"])
def test_a_half_needs_more(ballots: str, elected: str | None, symbology: str) -> None:
    votes = Votes()
    for ballot in filter(None, ballots.split(", ")):
        engine, picture = ballot.split()
        votes.cast("zxing" if engine == "zxing" else "zbar", picture, [(GTIN, symbology)])
    assert votes.elected() == ((GTIN, symbology) if elected == symbology else None)


# Any frame


def test_any_layout_of_a_frame_will_do() -> None:
    frame = seen(printed(ean13(GTIN)))
    before = frame.copy()
    frame.flags.writeable = False
    wide = np.repeat(frame, 2, axis=1)
    for view in (frame, frame[::-1, ::-1], np.asfortranarray(frame), wide[:, ::2]):
        assert decode(view) == [(GTIN, "EAN13")]
    assert np.array_equal(frame, before)


def test_a_large_frame_is_read() -> None:
    frame = cv2.resize(seen(printed(ean13(GTIN))), (4000, 3000), interpolation=cv2.INTER_LINEAR)
    assert decode(frame) == [(GTIN, "EAN13")]


def test_colours_are_weighed() -> None:
    """A code on red, which is as dark as its bars in the blue channel."""
    frame = seen(printed(ean13(GTIN)))
    frame[:, :, 0] = 20
    assert decode(frame) == [(GTIN, "EAN13")]


@pytest.mark.parametrize("inputs", [10_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_any_frame_can_be_looked_at(inputs: int) -> None:
    """Of all sorts and forms, most of them small, which is quick."""
    seed = int(os.environ.get("CARTWIRE_SEED", "0"))
    print(f"CARTWIRE_SEED={seed}")
    dice = np.random.default_rng(seed)
    for number in range(inputs):
        height, width = dice.integers(0, 24 if number % 50 else 120, 2)
        found = decode(anything(dice, int(height), int(width)))
        assert all(name in SYMBOLOGIES and text and isinstance(text, str) for text, name in found)
        assert [code for code in found if code[1] not in ("QR", "DATAMATRIX")] == [], "by chance"


def anything(dice: np.random.Generator, height: int, width: int) -> Picture:
    match dice.integers(0, 5):
        case 0:
            return dice.integers(0, 256, (height, width, 3), np.uint8)
        case 1:
            return dice.integers(0, 2, (height, width, 1), np.uint8).repeat(3, 2) * 255
        case 2:  # bars
            return (dice.integers(0, 2, (1, width, 1), np.uint8) * 255).repeat(height, 0).repeat(3, 2)
        case 3:
            return np.full((height, width, 3), dice.integers(0, 256), np.uint8)
        case _:
            tile = dice.integers(0, 256, (height // 3 + 1, width // 3 + 1, 3), np.uint8)
            return tile.repeat(3, 0).repeat(3, 1)[:height, :width]


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1), (2, 40_000), (40, 40_000), (1, 1), (0, 5), (5, 0)])
def test_a_frame_of_any_form_can_be_looked_at(shape: tuple[int, int]) -> None:
    assert decode(np.full((*shape, 3), 255, np.uint8)) == []


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=40)
def test_a_text_of_any_letters_is_read_as_it_is(text: str) -> None:
    """If a QR code can hold it: the encoder of the peers has no more than 271 bytes, and no NUL."""
    label = qr(text.replace("\0", "0"), 4)
    assert decode(np.repeat(label[:, :, None], 3, 2)) == [(text.replace("\0", "0"), "QR")]


def test_zbar_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Bars at which a part of its DataBar reader fails an assertion and prints it."""
    widths = "1111145121119131217111111121352337112411212242113311337111412211331321141115531134113111"
    bars = "".join("10"[n % 2] * int(width) for n, width in enumerate(widths))
    zbar(printed(bars, height=8))
    assert capfd.readouterr().err == ""
