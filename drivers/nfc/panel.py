"""The buzzer and the lamps of readers that have them: ACR122U and ACR1252U of ACS, and their own beep switched off.

The commands are those of the makers' reference manuals. While a card lies there, an ACR122U takes them like commands
for the card; else they have to go as escape commands, which pcscd's CCID driver carries out only if it may.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from smartcard import scard

from edge.model import Outcome
from edge.ports import DeviceLost

log = logging.getLogger(__name__)

_RED, _GREEN = 1, 2
_TENTH, _PAUSE = 0.1, 0.1
_ESCAPE = scard.SCARD_CTL_CODE(1)
_REFUSED = (
    "the reader takes no commands for its buzzer now: lay a card on it, or let the CCID driver pass escape"
    " commands: ifdDriverOptions 0x0001 in its Info.plist"
)

_Send = Callable[[tuple[int, ...]], bytes]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """So many beeps of so many tenths of a second, with these lamps."""

    lamps: int
    beeps: int
    tenths: int


_PATTERNS: dict[Outcome, _Pattern] = {
    "accepted": _Pattern(_GREEN, 1, 1),
    "saved": _Pattern(_GREEN | _RED, 2, 1),
    "unknown": _Pattern(_RED, 1, 3),
    "cannot": _Pattern(_RED, 3, 1),
}


class Panel:
    """Plays the newest cue in a thread of its own, so that a reader that hangs holds up nothing but its next cue."""

    def __init__(self) -> None:
        self._reader = ""
        self._quiet = False
        self._wanted: Outcome | None = None
        self._busy = False
        self._lock = threading.Lock()
        self._fine = True

    def attach(self, reader: str) -> None:
        """This is the reader from now on; it may have lost its power, and with it that its own beep is off."""
        self._reader, self._quiet = reader, False
        self._begin()

    def show(self, outcome: Outcome) -> None:
        """Returns at once; what a cue that still waits would have said is dropped."""
        if can(self._reader):
            self._wanted = outcome
            self._begin()

    def _begin(self) -> None:
        with self._lock:
            if self._busy or not can(self._reader):
                return
            self._busy = True
        threading.Thread(target=self._work, name=f"nfc-panel {self._reader}", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, None
            trouble = self._play(wanted)
            if wanted and trouble and self._fine:
                log.warning("%s: a cue failed: %s", self._reader, trouble)
            self._fine = self._fine if not wanted else not trouble
            with self._lock:
                if self._wanted is None:
                    self._busy = False
                    return

    def _play(self, wanted: Outcome | None) -> str:
        """Why it failed, if it did."""
        try:
            with _opened(self._reader) as send:
                if wanted:
                    _beep(self._reader, send, _PATTERNS[wanted])
                if not self._quiet:
                    self._quiet = _silence(self._reader, send)
        except DeviceLost as error:
            return str(error)
        return ""


def can(reader: str) -> bool:
    """Whether a PC/SC reader of this name has a buzzer that we know."""
    return _is_acr122u(reader) or "ACR1252" in reader


def _is_acr122u(reader: str) -> bool:
    return "ACR122U" in reader


def beep(reader: str) -> None:
    """One beep. Raises DeviceLost, with what is to be done."""
    if not can(reader):
        raise DeviceLost("has no buzzer that is known")
    with _opened(reader) as send:
        _beep(reader, send, _PATTERNS["accepted"])


def _beep(reader: str, send: _Send, pattern: _Pattern) -> None:
    if _is_acr122u(reader):
        lamps = pattern.lamps << 4 | pattern.lamps << 6  # these blink, and are on first
        pause = 1 if pattern.beeps > 1 else 0
        _done(send((0xFF, 0x00, 0x40, lamps, 0x04, pattern.tenths, pause, pattern.beeps, 0x01)))
        return
    _done(send((0xE0, 0x00, 0x00, 0x29, 0x01, pattern.lamps)))
    for _ in range(pattern.beeps):
        send((0xE0, 0x00, 0x00, 0x28, 0x01, pattern.tenths * 10))
        time.sleep(pattern.tenths * _TENTH + _PAUSE)  # it sounds one beep at a time; no event loop runs in this thread
    send((0xE0, 0x00, 0x00, 0x29, 0x01, 0x00))


def _silence(reader: str, send: _Send) -> bool:
    """Whether the reader no longer beeps by itself at each card: that would be taken for *accepted*."""
    if _is_acr122u(reader):
        return bool(send((0xFF, 0x00, 0x52, 0x00, 0x00)))
    if not (said := send((0xE0, 0x00, 0x00, 0x21, 0x00))):
        return False
    if not said[-1] & 0x08:
        return True  # it is kept without power, in a memory that is not to be worn out
    return bool(send((0xE0, 0x00, 0x00, 0x21, 0x01, said[-1] & ~0x08)))


def _done(answer: bytes) -> None:
    if not answer:
        raise DeviceLost(_REFUSED)


@contextmanager
def _opened(reader: str) -> Iterator[_Send]:
    """How to send the reader a command; it answers with nothing where it did not take it. Raises DeviceLost."""
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    if code != scard.SCARD_S_SUCCESS:
        raise DeviceLost(f"PC/SC: {scard.SCardGetErrorMessage(code)}")
    try:
        both = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, handle, protocol = scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, both)
        if code != scard.SCARD_S_SUCCESS:
            code, handle, protocol = scard.SCardConnect(context, reader, scard.SCARD_SHARE_DIRECT, 0)
        if code != scard.SCARD_S_SUCCESS:
            raise DeviceLost(f"PC/SC: {scard.SCardGetErrorMessage(code)}")

        def send(command: tuple[int, ...]) -> bytes:
            return (_as_a_card(handle, protocol, command) if command[0] == 0xFF else b"") or _escaped(handle, command)

        try:
            yield send
        finally:
            scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
    finally:
        scard.SCardReleaseContext(context)


def _as_a_card(handle: int, protocol: int, command: tuple[int, ...]) -> bytes:
    if not protocol:
        return b""  # no card lies there
    pci = scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
    code, answer = scard.SCardTransmit(handle, pci, list(command))
    return _right(code, answer)


def _escaped(handle: int, command: tuple[int, ...]) -> bytes:
    code, answer = scard.SCardControl(handle, _ESCAPE, list(command))
    return _right(code, answer)


def _right(code: int, answer: list[int]) -> bytes:
    """An ACR122U says 90 and its lamps, an ACR1252U E1 00 00 00 and what was asked for."""
    right = code == scard.SCARD_S_SUCCESS and (answer[-2:-1] == [0x90] or answer[:1] == [0xE1])
    return bytes(answer) if right else b""
