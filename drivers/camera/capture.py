"""Frames out of a device, a stream or a file. One thread alone touches the device: what hangs there holds up nobody.

Of a device or stream the newest frame is looked at and the others are skipped; a file plays every frame.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from itertools import count

import cv2
from cv2.typing import MatLike

from drivers.camera.exposure import Exposure
from drivers.camera.pace import Pace
from edge.ports import DeviceLost

OPENING, SILENT = 10.0, 2.0
"""Seconds that the first frame and any other of a device or stream may take."""
RATE = 25.0
"""Frames a second of a file that does not say."""

_Shot = tuple[float, MatLike]
_LIMITS = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2000]

# What is lost is said once, by the supervisor.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")


async def shots(source: str, name: str) -> AsyncGenerator[_Shot, None]:
    """Frames with their times: the newest, or each of a file. `name`: what the log calls it. Raises DeviceLost."""
    pace = Pace(f"{name}: camera {shown(source)}")
    loop, live, patience = asyncio.get_running_loop(), _is_live(source), OPENING
    newest: deque[_Shot | DeviceLost | None] = deque(maxlen=1)
    came, room, stop = asyncio.Event(), threading.Semaphore(), threading.Event()

    def hand(shot: _Shot | DeviceLost | None) -> None:
        pace.came += isinstance(shot, tuple)
        if not live and not stop.is_set():
            room.acquire()
        newest.append(shot)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(came.set)

    called = f"camera {shown(source)}"
    if live and any(thread.name == called for thread in threading.enumerate()):
        raise DeviceLost(f"{shown(source)}: hangs; unplug it and plug it in again")
    thread = threading.Thread(target=_work, args=(source, stop, hand), name=called, daemon=True)
    thread.start()
    try:
        while True:
            while not newest:
                came.clear()
                await _picture(came, patience if live else None)
            shot = newest.popleft()
            room.release()
            if not isinstance(shot, tuple):
                break
            pace.look(shot[0])
            yield shot
            patience = SILENT
        if shot:
            raise shot
    except TimeoutError:
        raise DeviceLost(f"{shown(source)}: no picture for {patience:g} s") from None
    finally:
        stop.set()
        room.release()
        pace.over()
        await asyncio.to_thread(thread.join, SILENT)


async def _picture(came: asyncio.Event, patience: float | None) -> None:
    """Waits in halves: that the machine stood still is no silence of the camera. Raises TimeoutError."""
    for _ in range(2):
        with suppress(TimeoutError):
            async with asyncio.timeout(patience and patience / 2):
                await came.wait()
        if came.is_set():
            return
    raise TimeoutError


def _work(source: str, stop: threading.Event, hand: Callable[[_Shot | DeviceLost | None], None]) -> None:
    end: DeviceLost | None = DeviceLost(f"{shown(source)}: cannot be read")
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
    capture, exposure = opened(source), None
    try:
        rate, begun = capture.get(cv2.CAP_PROP_FPS), time.monotonic()
        if not capture.isOpened():
            raise DeviceLost(f"{shown(source)}: cannot be opened; is it there, free, and ours to read?")
        exposure = Exposure(capture) if live else None
        for number in count():
            got, frame = capture.read()
            if not got and (live or not number):
                raise DeviceLost(f"{shown(source)}: gives no picture")
            at = time.monotonic() - begun if live else number / (rate if rate > 0 else RATE)
            if not got or stop.wait(0 if live else max(0.0, begun + at - time.monotonic())):
                return
            if exposure:
                exposure.see(frame)
            yield at, frame
    finally:
        if exposure:
            exposure.release()
        capture.release()


def opened(source: str) -> cv2.VideoCapture:
    if source.isdecimal():
        return cv2.VideoCapture(int(source), cv2.CAP_V4L2)
    if "://" in source:
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, _LIMITS)
    return cv2.VideoCapture(source, cv2.CAP_V4L2 if _is_live(source) else cv2.CAP_ANY)


def _is_live(source: str) -> bool:
    return source.isdecimal() or "://" in source or source.startswith("/dev/")


def shown(source: str) -> str:
    """The source without the password of a URL."""
    return re.sub(r"//[^/]*@", "//", source)
