"""Readings as JSON lines: a recorded day out of a file, or another program's live readings out of a FIFO.

A file is played at `speed` (0: as fast as readings are taken); the instant of a reading is the start plus its
`at`. At any speed but 1 the driver keeps its read points' time itself. A FIFO is always now, and is opened
again at its end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec
from msgspec import Meta, Struct

from edge.model import SYMBOLOGIES, Lapse, Ready, Scan, Sighting, Tap
from edge.ports import DeviceLost, Emit, Taken

log = logging.getLogger(__name__)

LONGEST = 4096
"""Bytes of a line."""
_CHUNK = 65536
_NOTHING = 1.0
"""Seconds until a file without a reading is played again."""

_Text = Annotated[str, Meta(min_length=1)]
_Pseudonym = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class _Line(Struct, tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    at: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    read_point: _Text | None = None


class _Tap(_Line, tag="tap", kw_only=True):
    type: Literal["nfc", "code"]
    value: _Text | None = None
    pseudonym: _Pseudonym | None = None


class _Scan(_Line, tag="scan", kw_only=True):
    text: _Text
    symbology: str | None = None


class _Sighting(_Line, tag="sighting", kw_only=True):
    type: Literal["ibeacon", "eddystone-uid", "altbeacon"]
    rssi: float
    value: _Text | None = None
    pseudonym: _Pseudonym | None = None


_Any = _Tap | _Scan | _Sighting
_decoder = msgspec.json.Decoder(_Any)


def parse(raw: bytes) -> _Any:
    """One line. Raises ValueError that says where it is wrong, never with what it holds: that may be a UID."""
    if len(raw) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} bytes")
    try:
        line: _Any = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        where = str(error).partition(" - at ")[2]
        raise ValueError(f"is no reading{' at ' if where else ''}{where}") from None
    if isinstance(line, _Scan):
        if line.symbology is not None and line.symbology not in SYMBOLOGIES:
            raise ValueError("its symbology is none there is")
    elif (line.value is None) == (line.pseudonym is None):
        raise ValueError("needs either a value or a pseudonym")
    return line


class Lines:
    """Cuts what is read into lines. What is no reading is reported with its number, counted and skipped."""

    def __init__(self) -> None:
        self.skipped = 0
        self.begin(Path())

    def begin(self, path: Path) -> None:
        """The next that is fed is the first line of `path`; the count goes on."""
        self.number = 0
        self._path = path
        self._rest = b""
        self._overlong = False

    def feed(self, chunk: bytes) -> Iterator[_Any]:
        """The readings that `chunk` completes."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for raw in whole:
            yield from self._take(b"x" * (LONGEST + 1) if self._overlong else raw)
            self._overlong = False
        if len(self._rest) > LONGEST:
            self._rest, self._overlong = b"", True

    def end(self, *, half: bool) -> Iterator[_Any]:
        """The end of the input: a last line without a line end counts, unless it may be `half` a line."""
        rest, overlong = self._rest, self._overlong
        self._rest, self._overlong = b"", False
        if rest or overlong:
            if half or overlong:
                self.number += 1
                self.skip("ends in the middle")
            else:
                yield from self._take(rest)

    def _take(self, raw: bytes) -> Iterator[_Any]:
        self.number += 1
        if raw.strip():
            try:
                yield parse(raw)
            except ValueError as error:
                self.skip(str(error))

    def skip(self, reason: str) -> None:
        """Reports and counts the line that was read last."""
        self.skipped += 1
        log.warning("%s: line %d is skipped: %s", self._path, self.number, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`path`: a file, or a FIFO. `speed`: 1 is real time, 0 as fast as readings are taken. `loop`: for ever."""

    read_point: str
    path: Path
    speed: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    loop: bool = False
    _lines: Lines = field(default_factory=Lines, init=False, repr=False, compare=False)

    @property
    def skipped(self) -> int:
        """Lines that were no reading, or of another driver's read point."""
        return self._lines.skipped

    @property
    def own_time(self) -> bool:
        """Whether the read point's time is the recording's."""
        return self.speed != 1 and not self._is_fifo()

    async def run(self, emit: Emit) -> None:
        try:
            await (self._follow(emit) if self._is_fifo() else self._play(emit))
        except OSError as error:
            raise DeviceLost(f"{self.path}: {os.strerror(error.errno or 0)}") from None

    def _is_fifo(self) -> bool:
        return self.path.exists() and stat.S_ISFIFO(self.path.stat().st_mode)

    async def _play(self, emit: Emit) -> None:
        start = begun = _boottime()
        read_points: set[str] = set()
        while True:
            last, given = begun, False
            with self.path.open("rb") as file:
                await emit(Ready(read_point=self.read_point))
                for line in self._read(file):
                    instant = _boottime() if line.at is None else begun + line.at
                    last = max(last, instant)
                    if self.speed:
                        await asyncio.sleep(max(0.0, start + (instant - start) / self.speed - _boottime()))
                    reading = self._reading(line, instant)
                    with self._skipping():
                        if self.own_time and reading.read_point not in read_points:
                            await emit(Lapse(read_point=reading.read_point, instant=inf))
                            read_points.add(reading.read_point)
                        await emit(reading)
                        given = True
            if not self.loop:
                break
            begun = last
            await asyncio.sleep(0 if given else _NOTHING)
        for read_point in read_points:
            await emit(Lapse(read_point=read_point, instant=inf))

    async def _follow(self, emit: Emit) -> None:
        lines = self._lines
        lines.begin(self.path)
        descriptor = _open(self.path)
        try:
            await emit(Ready(read_point=self.read_point))
            while True:
                await _readable(descriptor)
                chunk = os.read(descriptor, _CHUNK)
                for line in lines.feed(chunk) if chunk else lines.end(half=True):
                    with self._skipping():
                        await emit(self._reading(line, None))
                if not chunk:
                    # Opened before the old one is closed, so that a writer never finds nobody reading.
                    again = _open(self.path)
                    os.close(descriptor)
                    descriptor = again
        finally:
            os.close(descriptor)

    def _read(self, file: BinaryIO) -> Iterator[_Any]:
        self._lines.begin(self.path)
        while chunk := file.read(_CHUNK):
            yield from self._lines.feed(chunk)
        yield from self._lines.end(half=False)

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        try:
            yield
        except Taken as error:
            self._lines.skip(str(error))

    def _reading(self, line: _Any, instant: float | None) -> Tap | Scan | Sighting:
        at = line.read_point or self.read_point
        match line:
            case _Tap(type=kind, value=value, pseudonym=pseudonym):
                return Tap(read_point=at, type=kind, value=value or "", pseudonym=pseudonym, instant=instant)
            case _Scan(text=text, symbology=symbology):
                return Scan(read_point=at, text=text, symbology=symbology, instant=instant)
            case _Sighting(type=beacon, rssi=rssi, value=value, pseudonym=pseudonym):
                return Sighting(
                    read_point=at, type=beacon, rssi=rssi, value=value or "", pseudonym=pseudonym, instant=instant
                )


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
