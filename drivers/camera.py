"""Codes held up to a camera: a device, a stream, or frames out of a file.

    frame ─► decode ─► (text, symbology) ─► Presence ─► Scan, once for each time a product is held up

zbar reads the frames. A frame of which it can make nothing is looked at once more, turned by 45°: it sees bars only
near the axes. Of a device or stream the newest frame is read and the others dropped; a file plays every frame.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from ctypes import CDLL, POINTER, c_uint, c_void_p, string_at
from dataclasses import dataclass
from itertools import count
from math import inf, sqrt
from pathlib import Path
from typing import Any

import cv2
from cv2.typing import MatLike
from pyzbar import wrapper as zbar
from pyzbar.wrapper import ZBarSymbol

from edge.codes import valid
from edge.model import Ready, Scan
from edge.ports import DeviceLost, Emit, Source

TOGETHER, REARMED = 0.5, 0.8
"""Seconds between two sightings that make a code present; seconds out of sight after which it may be scanned again."""
OPENING, SILENT = 10.0, 2.0
"""Seconds that the first frame and any other of a device or stream may take."""
RATE = 25.0
"""Frames a second of a file that does not say."""
AGREEING = 6
"""Passes over a bar code that must read alike (zbar's `quality`): fewer are as often wrong as right."""
TURNED = 5_000_000
"""Pixels of the largest frame that is turned: 1920 × 1080 and its corners."""

Code = tuple[str, str]
_Shot = tuple[float, MatLike]

_BARS = {
    ZBarSymbol.EAN13: "EAN13",  # with a leading 0 it is UPCA, of 12 digits; an add-on is left out
    ZBarSymbol.EAN8: "EAN8",
    ZBarSymbol.UPCA: "UPCA",
    ZBarSymbol.UPCE: "UPCE",
    ZBarSymbol.I25: "ITF14",
    ZBarSymbol.CODE128: "CODE128",
    ZBarSymbol.DATABAR: "DATABAR",
    ZBarSymbol.DATABAR_EXP: "DATABAR-EXPANDED",
}
_ALL = {**_BARS, ZBarSymbol.QRCODE: "QR"}
_Y800 = int.from_bytes(b"Y800", "little")
_GS1 = 1
_BINARY = 4
_LIMITS = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2000]
_modifiers = zbar.zbar_function("zbar_symbol_get_modifiers", c_uint, POINTER(zbar.zbar_symbol))

# What is lost is said once, by the supervisor. zbar prints failed assertions of its DataBar reader on C's stderr.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
_libc = CDLL(None)
_libc.fopen.restype = c_void_p
_stderr = c_void_p.in_dll(_libc, "stderr")
_LOUD, _QUIET = _stderr.value, _libc.fopen(b"/dev/null", b"w")


def decode(frame: MatLike) -> list[Code]:
    """What can be read in a frame (uint8, height × width × 3, blue first): (text, symbology), each once."""
    if not frame.size:
        return []
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    found = _read(gray, _ALL)
    height, width = gray.shape
    side = int((height + width) * sqrt(0.5)) + 1
    if not found and side * side <= TURNED:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 45, 1)
        turn[:, 2] += (side - width) / 2, (side - height) / 2
        found = _read(cv2.warpAffine(gray, turn, (side, side), borderMode=cv2.BORDER_REPLICATE), _BARS)
    return found


def _read(gray: MatLike, names: dict[ZBarSymbol, str]) -> list[Code]:
    """pyzbar's own `decode` takes the blue channel, and does not tell GS1-128 from Code 128."""
    scanner, image = zbar.zbar_image_scanner_create(), zbar.zbar_image_create()
    try:
        zbar.zbar_image_scanner_set_config(scanner, ZBarSymbol.NONE, zbar.ZBarConfig.CFG_ENABLE, 0)  # none: all
        for kind in names:
            zbar.zbar_image_scanner_set_config(scanner, kind, zbar.ZBarConfig.CFG_ENABLE, 1)
        zbar.zbar_image_scanner_set_config(scanner, ZBarSymbol.QRCODE, _BINARY, 1)  # it guesses encodings badly
        zbar.zbar_image_set_format(image, _Y800)
        zbar.zbar_image_set_size(image, gray.shape[1], gray.shape[0])
        zbar.zbar_image_set_data(image, gray.ctypes.data, gray.size, None)
        _stderr.value = _QUIET
        zbar.zbar_scan_image(scanner, image)
        return list(dict.fromkeys(_codes(zbar.zbar_image_first_symbol(image), names)))
    finally:
        _stderr.value = _LOUD
        zbar.zbar_image_destroy(image)
        zbar.zbar_image_scanner_destroy(scanner)


def _codes(symbol: Any, names: dict[ZBarSymbol, str]) -> Iterator[Code]:
    while symbol:
        name = names.get(symbol.contents.type)
        text = _text(string_at(zbar.zbar_symbol_get_data(symbol), zbar.zbar_symbol_get_data_length(symbol)))
        sure = name == "QR" or zbar.zbar_symbol_get_quality(symbol) >= AGREEING
        if name == "CODE128" and _modifiers(symbol) & _GS1:
            name = "GS1-128"
        if name and text and sure and (name != "ITF14" or (len(text) == 14 and valid(text))):
            yield text, name
        symbol = zbar.zbar_symbol_next(symbol)


def _text(data: bytes) -> str:
    """What is not UTF-8 is Shift JIS, which a QR code's kanji are in, else Latin-1."""
    for encoding in ("utf-8", "shift_jis"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")


class Presence:
    """What is held up is one scan: two sightings make a code present, and it stays so while it is seen."""

    def __init__(self) -> None:
        self._seen: dict[Code, tuple[float, bool]] = {}

    def see(self, at: float, codes: Iterable[Code]) -> list[Code]:
        """The codes that became present with the frame made `at` (seconds that never fall) in which `codes` are."""
        new = []
        for code in dict.fromkeys(codes):
            last, present = self._seen.get(code, (-inf, False))
            gap = round(at - last, 3)  # 1.2 - 0.4 is a little less than 0.8
            if present:
                present = gap < REARMED
            elif gap <= TOGETHER:
                present = True
                new.append(code)
            self._seen[code] = at, present
        self._seen = {code: seen for code, seen in self._seen.items() if at - seen[0] <= REARMED}
        return new


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`source`: a device, an index or a URL; or a file, an image sequence (seq/f%03d.jpg) or an image, played once."""

    read_point: str
    source: Source

    async def run(self, emit: Emit) -> None:
        presence, ready = Presence(), False
        async with aclosing(_shots(self.source)) as shots:
            async for at, frame in shots:
                if not ready:
                    await emit(Ready(read_point=self.read_point))
                    ready = True
                for text, symbology in presence.see(at, await asyncio.to_thread(decode, frame)):
                    await emit(Scan(read_point=self.read_point, text=text, symbology=symbology))


def attached() -> list[tuple[str, dict[str, str]]]:
    """The cameras on this machine and the keys that name them; one in use is left out."""
    paths = sorted(map(str, Path("/dev").glob("video*")))
    return [(f"camera {path}", {"source": path}) for path in paths if _open(path).isOpened()]


async def _shots(source: str) -> AsyncGenerator[_Shot, None]:
    """Frames with their times: the newest, or each of a file. Raises DeviceLost.

    One thread alone touches the device, and releases it: what hangs there holds up nobody else.
    """
    loop, live, patience = asyncio.get_running_loop(), _is_live(source), OPENING
    newest: deque[_Shot | DeviceLost | None] = deque(maxlen=1)
    came, room, stop = asyncio.Event(), threading.Semaphore(), threading.Event()

    def hand(shot: _Shot | DeviceLost | None) -> None:
        if not live and not stop.is_set():
            room.acquire()
        newest.append(shot)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(came.set)

    thread = threading.Thread(target=_work, args=(source, stop, hand), name="camera", daemon=True)
    thread.start()
    try:
        while True:
            while not newest:
                came.clear()
                async with asyncio.timeout(patience if live else None):
                    await came.wait()
            shot = newest.popleft()
            room.release()
            if not isinstance(shot, tuple):
                break
            yield shot
            patience = SILENT
        if shot:
            raise shot
    except TimeoutError:
        raise DeviceLost(f"{_shown(source)}: no picture for {patience:g} s") from None
    finally:
        stop.set()
        room.release()
        await asyncio.to_thread(thread.join, SILENT)


def _work(source: str, stop: threading.Event, hand: Callable[[_Shot | DeviceLost | None], None]) -> None:
    end: DeviceLost | None = DeviceLost(f"{_shown(source)}: cannot be read")
    try:
        for shot in _frames(source, stop):
            hand(shot)
        end = None
    except DeviceLost as error:
        end = error
    finally:
        hand(end)


def _frames(source: str, stop: threading.Event) -> Iterator[_Shot]:
    """Frames as they come until `stop`; those of a file when they are due."""
    live = _is_live(source)
    if not live and cv2.haveImageReader(source) and not source.endswith((".mjpeg", ".mjpg")):
        if (image := cv2.imread(source)) is None:
            raise DeviceLost(f"{source}: is a broken image")
        yield from [(0.0, image)] * 2  # one sighting must do
        return
    capture = _open(source)
    try:
        rate, begun = capture.get(cv2.CAP_PROP_FPS), time.monotonic()
        if not capture.isOpened():
            raise DeviceLost(f"{_shown(source)}: cannot be opened; is it there, free, and ours to read?")
        for number in count():
            got, frame = capture.read()
            if not got and (live or not number):
                raise DeviceLost(f"{_shown(source)}: gives no picture")
            at = time.monotonic() - begun if live else number / (rate if rate > 0 else RATE)
            if not got or stop.wait(0 if live else max(0.0, begun + at - time.monotonic())):
                return
            yield at, frame
    finally:
        capture.release()


def _open(source: str) -> cv2.VideoCapture:
    if source.isdecimal():
        return cv2.VideoCapture(int(source), cv2.CAP_V4L2)
    if "://" in source:
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, _LIMITS)
    return cv2.VideoCapture(source, cv2.CAP_V4L2 if _is_live(source) else cv2.CAP_ANY)


def _is_live(source: str) -> bool:
    return source.isdecimal() or "://" in source or source.startswith("/dev/")


def _shown(source: str) -> str:
    """The source without the password of a URL."""
    return re.sub(r"//[^/]*@", "//", source)
