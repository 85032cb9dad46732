"""Scanners on a serial line: RS-232, USB adapters, USB scanners in serial mode (8 data bits, no parity, 1 stop bit).

    bytes ─► Framing ─► text ─► Scan

The port is looked for by its path at each start, so with a path in /dev/serial/by-id a scanner may come back under
another name.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import serial
from serial.tools import list_ports

from edge import beside
from edge.model import Reading, Ready, Scan
from edge.ports import DeviceLost, Duration, Emit

log = logging.getLogger(__name__)

LONGEST = 4096
"""Bytes of a code; a longer one is dropped whole."""
SILENCE = 1.0
"""Seconds after which half a line is thrown away. Far longer than any pause within a code: the end of a cut one
might pass for another product's code, while two that run together are nobody's."""
QUIET, SETTLING = 0.05, 1.0
"""Seconds of silence after the opening, so that no code is cut, and how long they are waited for."""
BY_ID = Path("/dev/serial/by-id")

_CHUNK = 4096
_ENDS = re.compile(rb"[\r\n]")
_NO_TEXT = re.compile(rb"[\x00-\x03\x05-\x08\x0b\x0c\x0e-\x1b\x7f]")
"""What no scanner sends within a code. GS, RS and EOT stand in GS1 and ISO/IEC 15434 data."""
_WRONG = "no text; wrong baud rate or parity?"
_REASONS = {
    errno.ENOENT: "is not there; plug the scanner in, or copy the path that `cartwire devices` prints",
    errno.EACCES: "permission denied; add the daemon's user to the group dialout",
    errno.EBUSY: "is in use by another program; `fuser -v` on it says which",
    errno.EAGAIN: "is in use by another program; `fuser -v` on it says which",
}


class Garbled(Exception):
    """What comes is not what the scanner sent; the text says what it looks like, never what it holds."""


class Framing:
    """Cuts what comes into codes. CR, LF or CRLF end one, and with `gap` a pause of so many seconds.

    Without `gap` half a line is thrown away after `silence`. So are long ones, and what is not UTF-8: the first with
    a warning, for it may be a disturbance; a second one with no code between raises Garbled. Bytes that are no text
    in any encoding raise it at once.
    """

    def __init__(self, gap: float | None = None) -> None:
        self.silence = SILENCE if gap is None else gap
        self.dropped = 0
        self._ends_with_gap = gap is not None
        self._rest = b""
        self._skipping = False
        self._fine = True

    @property
    def begun(self) -> bool:
        """Whether a code has begun: after `silence` without more of it `pause` is due."""
        return bool(self._rest) or self._skipping

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The codes that `chunk` completes. Raises Garbled."""
        *lines, rest = _ENDS.split(chunk)
        for line in lines:
            self._take(line)
            yield from self._end(whole=True)
        self._take(rest)

    def pause(self) -> Iterator[str]:
        """Nothing has come for `silence`: the code that this completes. Raises Garbled."""
        yield from self._end(whole=self._ends_with_gap)

    def _take(self, part: bytes) -> None:
        if _NO_TEXT.search(part):
            raise Garbled(_WRONG)
        self._rest += part
        if len(self._rest) > LONGEST:
            self._skipping, self._rest = True, b""
            self._drop(f"codes longer than {LONGEST} bytes")

    def _end(self, *, whole: bool) -> Iterator[str]:
        raw, self._rest = self._rest, b""
        skipped, self._skipping = self._skipping, False
        if skipped or not raw:
            return
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            self._drop(_WRONG)
            return
        if whole:
            self._fine = True
            yield text
        else:
            self._drop("no line end; let the scanner send one, or set `gap`. Or is the baud rate wrong?")

    def _drop(self, what: str) -> None:
        self.dropped += 1
        if not self._fine:
            raise Garbled(what)
        self._fine = False
        log.warning("serialport: a code is dropped: %s", what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`path`: the port, best the one in /dev/serial/by-id. `gap`: for a scanner that sends no line end."""

    read_point: str
    path: Path
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600] = 9600
    gap: Duration | None = None

    def __post_init__(self) -> None:
        if self.gap is not None and self.gap <= 0:
            raise ValueError("gap: must be longer than nothing")

    async def run(self, emit: Emit) -> None:
        port = _open(self.path, self.baud)
        try:
            await beside.follow(partial(self._read, port), emit, f"serial port {self.path}")
        except Garbled as error:
            raise DeviceLost(f"{self.path}, read with {self.baud} 8N1: {error}") from None
        finally:
            _close(port)

    def _read(self, port: serial.Serial, wait: beside.Wait) -> Iterator[Reading]:
        _settle(port, wait)
        framing = Framing(self.gap)
        yield Ready(read_point=self.read_point)
        while True:
            chunk = _chunk(port, wait, framing.silence if framing.begun else None)
            for text in framing.feed(chunk) if chunk else framing.pause():
                yield Scan(read_point=self.read_point, text=text)


def attached() -> list[tuple[str, dict[str, str]]]:
    """The serial ports there are: what each is, and the configuration that chooses it."""
    return named(((port.device, port.description) for port in list_ports.comports()), BY_ID)


def named(ports: Iterable[tuple[str, str]], by_id: Path) -> list[tuple[str, dict[str, str]]]:
    """`ports` (device, description), each by the link in `by_id` that leads to it, if one does."""
    links = {str(link.resolve()): str(link) for link in sorted(by_id.glob("*"))}
    return [
        (f"serial port {device}, {description}", {"path": links.get(str(Path(device).resolve()), device)})
        for device, description in sorted(ports)
    ]


def _open(path: Path, baud: int) -> serial.Serial:
    """The port, for us alone. Raises DeviceLost."""
    try:
        port = serial.Serial(str(path), baud, timeout=0, exclusive=True)
        fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        flags = termios.tcgetattr(port.fileno())
        flags[0] |= termios.INPCK | termios.PARMRK  # a byte without its stop bit comes as 0xff 0 and the byte
        termios.tcsetattr(port.fileno(), termios.TCSANOW, flags)
    except (OSError, termios.error) as error:
        number = error.errno if isinstance(error, OSError) else None
        told = _REASONS.get(number or 0) or (os.strerror(number) if number else "is no serial port")
        raise DeviceLost(f"{path}: {told}") from None
    return port


def _close(port: serial.Serial) -> None:
    with suppress(OSError):  # the device is gone
        fcntl.ioctl(port.fileno(), termios.TIOCNXCL)  # a pty keeps it for as long as its other end is open
    port.close()


def _settle(port: serial.Serial, wait: beside.Wait) -> None:
    """Throws away what comes at first, which may be the end of a code. Raises DeviceLost."""
    end = time.monotonic() + SETTLING
    while _chunk(port, wait, QUIET):
        if time.monotonic() > end:
            raise DeviceLost(f"{port.port}: never falls silent; is that a scanner?")


def _chunk(port: serial.Serial, wait: beside.Wait, seconds: float | None) -> bytes:
    """What comes within `seconds`, nothing if nothing does. Raises DeviceLost."""
    if not wait(port.fileno(), seconds):
        return b""
    with suppress(OSError):
        if chunk := os.read(port.fileno(), _CHUNK):
            return chunk
    raise DeviceLost(f"{port.port}: is gone; plug the scanner in again")
