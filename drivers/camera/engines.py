"""The two engines that read codes: zxing-cpp, which reads all kinds, and zbar, which reads bars in its own way.

Both say the same code in the same words: a UPC-A is 12 digits, a UPC-E 8, a GS1 text has its 0x1D.
"""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import CDLL, c_void_p, string_at
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import zxingcpp
from cv2.typing import MatLike
from pyzbar import wrapper as zb
from pyzbar.wrapper import ZBarConfig, ZBarSymbol
from zxingcpp import BarcodeFormat, BarcodeFormats, TextMode

from edge.codes import valid

Code = tuple[str, str]
"""The text and the symbology."""

_MATRIX = {
    BarcodeFormat.QRCode: "QR",
    BarcodeFormat.QRCodeModel1: "QR",
    BarcodeFormat.QRCodeModel2: "QR",
    BarcodeFormat.DataMatrix: "DATAMATRIX",
}
_BARS = {
    BarcodeFormat.EAN13: "EAN13",  # an add-on is left out
    BarcodeFormat.EAN8: "EAN8",
    BarcodeFormat.UPCA: "UPCA",
    BarcodeFormat.UPCE: "UPCE",
    BarcodeFormat.ITF: "ITF14",
    BarcodeFormat.Code128: "CODE128",
    BarcodeFormat.DataBarOmni: "DATABAR",
    BarcodeFormat.DataBarStk: "DATABAR",
    BarcodeFormat.DataBarStkOmni: "DATABAR",
    BarcodeFormat.DataBarLtd: "DATABAR-LIMITED",
    BarcodeFormat.DataBarExp: "DATABAR-EXPANDED",
    BarcodeFormat.DataBarExpStk: "DATABAR-EXPANDED",
}
_NAMES = {**_BARS, **_MATRIX}
BARS, MATRIX, ALL = (BarcodeFormats(list(names)) for names in (_BARS, _MATRIX, _NAMES))
"""What `zxing` is asked for."""
_ZBAR = {  # what it reads of a Code 128 lacks FNC4, of an ITF it is often wrong
    ZBarSymbol.EAN13: "EAN13",
    ZBarSymbol.EAN8: "EAN8",
    ZBarSymbol.UPCA: "UPCA",
    ZBarSymbol.UPCE: "UPCE",
    ZBarSymbol.DATABAR: "DATABAR",
    ZBarSymbol.DATABAR_EXP: "DATABAR-EXPANDED",
}
_Y800 = int.from_bytes(b"Y800", "little")
LINES = 40
"""Lines over a bar code that zbar looks at, and of which it must read two alike."""

# zbar prints failed assertions of its DataBar reader on C's stderr.
_libc = CDLL(None)
_libc.fopen.restype = c_void_p
_stderr = c_void_p.in_dll(_libc, "stderr")
_LOUD, _QUIET = _stderr.value, _libc.fopen(b"/dev/null", b"w")


@dataclass(frozen=True, slots=True)
class Reading:
    """A code, and the four corners of where it was read."""

    code: Code = field(repr=False)
    corners: MatLike

    @property
    def matrix(self) -> bool:
        """Whether it corrects its own errors: then one reading is enough."""
        return self.code[1] in _MATRIX.values()


def zxing(gray: MatLike, formats: BarcodeFormats, *, thorough: bool = False) -> list[Reading]:
    """`thorough`: also at right angles, in half the size, and light on dark."""
    found = zxingcpp.read_barcodes(
        np.ascontiguousarray(gray),
        formats,
        try_rotate=thorough,
        try_downscale=thorough,
        try_invert=thorough,
        text_mode=TextMode.Plain,
    )
    return [Reading(code, _corners(one.position)) for one in found if (code := _of_zxing(one)) is not None]


def _of_zxing(one: zxingcpp.Barcode) -> Code | None:
    text, name, aim = one.text, _NAMES.get(one.format), one.symbology_identifier
    if name == "UPCE":  # `text` is the whole GTIN
        text = cast("dict[str, str]", one.extra)["UPCE"]
    if name == "CODE128" and aim == "]C1":
        name = "GS1-128"
    return _known(text, name)


def _corners(position: zxingcpp.Position) -> MatLike:
    points = position.top_left, position.top_right, position.bottom_right, position.bottom_left
    return np.array([(point.x, point.y) for point in points], np.float32)


def zbar(gray: MatLike) -> list[Code]:
    """The bar codes whose bars stand upright."""
    gray = np.ascontiguousarray(gray)
    scanner, image = zb.zbar_image_scanner_create(), zb.zbar_image_create()
    try:
        zb.zbar_image_scanner_set_config(scanner, ZBarSymbol.NONE, ZBarConfig.CFG_ENABLE, 0)  # none: all
        for kind in _ZBAR:
            zb.zbar_image_scanner_set_config(scanner, kind, ZBarConfig.CFG_ENABLE, 1)
        every = max(1, gray.shape[0] // LINES)
        zb.zbar_image_scanner_set_config(scanner, ZBarSymbol.NONE, ZBarConfig.CFG_X_DENSITY, 0)
        zb.zbar_image_scanner_set_config(scanner, ZBarSymbol.NONE, ZBarConfig.CFG_Y_DENSITY, every)
        zb.zbar_image_set_format(image, _Y800)
        zb.zbar_image_set_size(image, gray.shape[1], gray.shape[0])
        zb.zbar_image_set_data(image, gray.ctypes.data, gray.size, None)
        _stderr.value = _QUIET
        zb.zbar_scan_image(scanner, image)
        return list(_of_zbar(zb.zbar_image_first_symbol(image)))
    finally:
        _stderr.value = _LOUD
        zb.zbar_image_destroy(image)
        zb.zbar_image_scanner_destroy(scanner)


def _of_zbar(symbol: Any) -> Iterator[Code]:
    while symbol:
        data = string_at(zb.zbar_symbol_get_data(symbol), zb.zbar_symbol_get_data_length(symbol))
        code = _known(data.decode("latin-1"), _ZBAR.get(symbol.contents.type))
        if code and zb.zbar_symbol_get_quality(symbol) > 1:
            yield code
        symbol = zb.zbar_symbol_next(symbol)


def _known(text: str, name: str | None) -> Code | None:
    """The code in the words of both engines; None: not one of a shop."""
    if not (name and text):
        return None
    if name == "EAN13" and text.startswith("0"):
        return text[1:], "UPCA"
    if name == "ITF14" and not (len(text) == 14 and valid(text)):
        return None
    return text, name
