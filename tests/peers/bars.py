"""Codes as a printer prints them, and as a camera sees what is held up to it."""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

LEFT = re.findall(r"\w+", "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011")
PARITY = re.findall(r"\w+", "LLLLLL LLGLGG LLGGLG LLGGGL LGLLGG LGGLLG LGGGLL LGLGLG LGLGGL LGGLGL")
TWO_OF_FIVE = re.findall(r"\w+", "nnwwn wnnnw nwnnw wwnnn nnwnw wnwnn nwwnn nnnww wnnwn nwnwn")
WIDTHS = re.findall(
    r"\d+",
    """
    212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222
    123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321
    232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121
    313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224
    111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 241112 134111
    111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 412121 111143 111341 131141 114113
    114311 411113 411311 113141 114131 311141 411131 211412 211214 211232 2331112""",
)
FNC1, START_B, STOP = 102, 104, 106


def ean13(text: str) -> str:
    """Modules of an EAN-13, 1 for black; of a UPC-A with a 0 in front."""
    left = "".join(_side(digit, side) for digit, side in zip(text[1:7], PARITY[int(text[0])], strict=True))
    return f"101{left}01010{''.join(_side(digit, 'R') for digit in text[7:])}101"


def ean8(text: str) -> str:
    left, right = ("".join(_side(digit, side) for digit in part) for part, side in ((text[:4], "L"), (text[4:], "R")))
    return f"101{left}01010{right}101"


def upce(text: str) -> str:
    """Of 8 digits, the first a 0."""
    sides = PARITY[int(text[7])].translate(str.maketrans("LG", "GL")) if text[7] != "0" else "GGGLLL"
    return f"101{''.join(_side(digit, side) for digit, side in zip(text[1:7], sides, strict=True))}010101"


def code128(text: str, *, gs1: bool = False) -> str:
    """Code set B; a GS1-128 begins with FNC1, which also stands for each 0x1D."""
    values = [FNC1 if letter == "\x1d" else ord(letter) - 32 for letter in "\x1d" * gs1 + text]
    check = (START_B + sum(place * value for place, value in enumerate(values, 1))) % 103
    return "".join(_runs(WIDTHS[value]) for value in (START_B, *values, check, STOP))


def itf(digits: str) -> str:
    pairs = zip(digits[::2], digits[1::2], strict=True)
    widths = "".join(
        bar + gap for a, b in pairs for bar, gap in zip(TWO_OF_FIVE[int(a)], TWO_OF_FIVE[int(b)], strict=True)
    )
    return _runs(("nnnn" + widths + "wnn").replace("n", "1").replace("w", "3"))


def printed(modules: str, module: int = 3, height: int = 110) -> Picture:
    """A label, black on white, with quiet zones of 10 modules; `module` in pixels."""
    row = np.array([255 * (bit == "0") for bit in "0" * 10 + modules + "0" * 10], np.uint8)
    return np.pad(np.tile(row.repeat(module), (height, 1)), ((12, 12), (0, 0)), constant_values=255)


def qr(text: str, module: int = 6) -> Picture:
    cells = np.asarray(cv2.QRCodeEncoder.create().encode(text), np.uint8)
    return np.pad(cells, 4, constant_values=255).repeat(module, 0).repeat(module, 1)


def seen(label: Picture | None, angle: float = 0.0, seed: int = 0, size: tuple[int, int] = (480, 640)) -> Picture:
    """What the camera sees of a label held up in uneven light: tilted, blurred, noisy. None: nobody is there."""
    dice, (height, width) = np.random.default_rng(seed), size
    light = np.linspace(0.6, 0.95, width) * np.linspace(1.0, 0.8, height)[:, None]
    scene = np.full(size, 90.0)
    if label is not None:
        rows, columns = label.shape
        corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, 1.0)
        turn[:, 2] += (width - columns) / 2, (height - rows) / 2
        held = cv2.transform(corners[None], turn)[0] + dice.uniform(-6, 6, (4, 2))
        lens = cv2.getPerspectiveTransform(corners, held.astype(np.float32))
        cv2.warpPerspective(label.astype(np.float64), lens, (width, height), scene, borderMode=cv2.BORDER_TRANSPARENT)
    gray = cv2.GaussianBlur(scene * light, (0, 0), 0.8) + dice.normal(0, 4, size)
    return np.repeat(np.clip(gray, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _side(digit: str, side: str) -> str:
    left = LEFT[int(digit)]
    right = left.translate(str.maketrans("01", "10"))
    return {"L": left, "R": right, "G": right[::-1]}[side]


def _runs(widths: str) -> str:
    return "".join("10"[place % 2] * int(width) for place, width in enumerate(widths))
