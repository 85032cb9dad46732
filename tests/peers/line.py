"""A serial line: a scanner on a pty that can be plugged in and pulled out, and what a UART makes of a line."""

from __future__ import annotations

import os
import termios
from bisect import bisect
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Line:
    """The scanner's end. Its port is a link, as in /dev/serial/by-id, to another device each time it is plugged in."""

    def __init__(self, path: Path) -> None:
        """Choose the link; nothing is plugged in yet."""
        self.path = path
        self._end: int | None = None
        self._device = ""

    def plug(self) -> None:
        """Plug the scanner in."""
        before = self._device
        self._end, port = os.openpty()
        if os.ttyname(port) == before:  # the kernel gives out the lowest number that is free
            same, self._end, port = (self._end, port), *os.openpty()
            for end in same:
                os.close(end)
        self._device = os.ttyname(port)
        os.set_blocking(self._end, False)
        link = self.path.with_suffix(".new")
        link.symlink_to(self._device)
        link.replace(self.path)
        os.close(port)

    def send(self, data: bytes) -> None:
        """Send what was scanned."""
        assert self._end is not None
        assert os.write(self._end, data) == len(data)

    def pour(self, data: bytes) -> int:
        """Send as much of it as the line takes now; return how much that was."""
        assert self._end is not None
        with suppress(BlockingIOError):
            return os.write(self._end, data)
        return 0

    def cut(self) -> None:
        """Pull the scanner out."""
        if self._end is not None:
            self.path.unlink()
            os.close(self._end)
            self._end = None

    @property
    def rates(self) -> tuple[int, int]:
        """How fast the port is read and written: constants of termios."""
        assert self._end is not None
        _, _, _, _, read, written, _ = termios.tcgetattr(self._end)
        return read, written

    @property
    def input_flags(self) -> int:
        """How the port takes what comes: flags of termios."""
        assert self._end is not None
        return int(termios.tcgetattr(self._end)[0])


@dataclass(frozen=True)
class Uart:
    """How one end of a line is set."""

    baud: int
    bits: int = 8
    parity: str = "N"

    def wave(self, data: bytes) -> list[tuple[float, int]]:
        """Return the moments at which the line takes a level, while `data` is sent."""
        levels = []
        for byte in data:
            ones = [byte >> place & 1 for place in range(self.bits)]
            odd = {"N": [], "E": [sum(ones) % 2], "O": [1 - sum(ones) % 2]}[self.parity]
            levels += [0, *ones, *odd, 1]
        return [(0.0, 1), *((0.001 + place / self.baud, level) for place, level in enumerate(levels))]

    def hear(self, wave: list[tuple[float, int]]) -> bytes:
        """Return what it takes that for, 8N1; a byte without its stop bit as Linux marks it (PARMRK)."""
        moments, bit = [moment for moment, _ in wave], 1 / self.baud

        def level(at: float) -> int:
            return wave[bisect(moments, at) - 1][1]

        heard, at, end = b"", 0.0, moments[-1] + 12 * bit
        while at < end:
            if level(at) or level(at + bit / 2):
                at += bit / 16
                continue
            byte = bytes([sum(level(at + bit * (1.5 + place)) << place for place in range(8))])
            stops = level(at + bit * 9.5)
            heard += byte.replace(b"\xff", b"\xff\xff") if stops else b"\xff\x00" + byte
            at += bit * 9.5
            while not level(at):
                at += bit / 16
        return heard
