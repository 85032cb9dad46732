"""Bands on a PC/SC reader: one tap each time one is laid on it.

One idea, a thread that may hang or die and be started anew: it talks to pcscd through `smartcard.scard`, for the
monitors of that package die with pcscd and never come back. A context is of no use after its first error, so an
error ends the thread, and each start has a new one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from smartcard import scard

from drivers.nfc import card, kernel, panel
from drivers.nfc.card import Card
from drivers.nfc.panel import Panel
from edge import beside
from edge.model import Outcome, Ready, Tap
from edge.ports import DeviceLost, Emit

log = logging.getLogger(__name__)

AWAY = 1.0
"""Seconds a band has to be gone to be a new tap; anything less is a flicker of the field."""
BEAT, SILENCE, STOPPING = 10.0, 30.0, 2.0
"""Seconds: between the thread's signs of life; without one until pcscd counts as hung; the thread has to stop."""
SEARCH = 1.0
"""Seconds for a reader to appear: systemd starts pcscd at our first call, and it finds its readers after that."""

_GONE = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE
_HUNG = "pcscd does not answer; start it again: systemctl restart pcscd"
_REASONS = {
    scard.SCARD_E_NO_SERVICE: "pcscd is not running; start it: systemctl start pcscd.socket",
    scard.SCARD_F_COMM_ERROR: "pcscd has ended; start it again: systemctl restart pcscd",
    scard.SCARD_W_SECURITY_VIOLATION: "pcscd refuses this user; give it access_pcsc and access_card in polkit",
    scard.SCARD_E_UNKNOWN_READER: "the reader is gone; plug it in again",
}


class _Hung(DeviceLost):
    """The thread says nothing."""


_Word = Ready | Tap | DeviceLost | None
"""What the thread says: None is a sign of life, DeviceLost its last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`reader`: a part of the PC/SC reader's name; left out: the first one."""

    read_point: str
    reader: str | None = None
    _panel: Panel = field(default_factory=Panel, init=False, repr=False, compare=False)

    async def cue(self, outcome: Outcome) -> None:
        """On the reader's buzzer and lamps, if it has any that are known."""
        self._panel.show(outcome)

    async def run(self, emit: Emit) -> None:
        loop, said = asyncio.get_running_loop(), asyncio.Queue[BaseException | None]()
        name = f"nfc-{id(self):x}"
        if any(thread.name == name for thread in threading.enumerate()):
            raise DeviceLost(_HUNG)

        taking = beside.Taking(emit, said.put_nowait)

        def hear(word: _Word) -> None:
            if isinstance(word, Ready | Tap):
                taking.take(word)
                said.put_nowait(None)
            else:
                said.put_nowait(word)

        def say(word: _Word) -> None:
            with suppress(RuntimeError):  # the loop is closed: pcscd hung for that long
                loop.call_soon_threadsafe(hear, word)

        def start(work: Callable[[], None]) -> None:
            threading.Thread(target=work, name=name, daemon=True).start()

        watch = _Watch(self, say, self._panel.attach)
        start(watch.run)
        word: BaseException | None = None
        try:
            while not word:
                word = await _within(SILENCE, said.get())
                if isinstance(word, _Hung):
                    # pcscd's library waits by the wall clock: if that was set back, for as long as that.
                    start(watch.stir)
                    word = await _within(STOPPING, said.get())
            raise word
        finally:
            taking.stop()
            watch.stopping.set()
            start(watch.cancel)
            while not isinstance(word, DeviceLost):
                word = await _within(STOPPING, said.get())


def attached() -> list[tuple[str, dict[str, str]]]:
    """The readers there are: what each is, and the configuration that chooses it. Raises DeviceLost: no pcscd."""
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    _check(code)
    try:
        names = _readers(context)
    finally:
        scard.SCardReleaseContext(context)
    if not names and (reason := kernel.taken()):
        raise DeviceLost(reason)
    return [(f"PC/SC reader {name}", {"reader": name}) for name in names]


def beep(keys: Mapping[str, str]) -> None:
    """Lets the reader that `attached` says so of beep. Raises DeviceLost, with what is to be done."""
    panel.beep(keys["reader"])


def missing(part: str, names: Sequence[str], sys: Path = kernel.SYS) -> str:
    """Why there is no reader with `part` in its name among those there are, and what is to be done."""
    if names:
        return f"no reader with {part!r} in its name, only {', '.join(names)}; plug it in or change `reader`"
    return kernel.taken(sys) or "no PC/SC reader is attached; plug it in"


@dataclass(slots=True)
class Resting:
    """The band that lies on the reader or has just left it: as a hash, for a UID is not kept."""

    _band: int | None = None
    _left: float = -inf

    def laid(self, card: Card, now: float) -> bool:
        """Whether that is a new tap; always, if nothing of it could be read, for then nobody knows who it was."""
        band = hash(card.uid or card.texts) if card.uid or card.texts else None
        new = band is None or band != self._band or now - self._left >= AWAY
        self._band = band
        return new

    def left(self, now: float) -> None:
        self._left = now


@dataclass(slots=True)
class _Watch:
    """The thread's work, and what stops it from outside."""

    driver: Driver
    say: Callable[[_Word], None]
    found: Callable[[str], None]
    stopping: threading.Event = field(default_factory=threading.Event)
    _context: int | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        last = DeviceLost("fault: the thread of the driver")
        try:
            code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            _check(code)
            self._context = context
            self._follow(context, self._find(context))
        except DeviceLost as error:
            last = error
        finally:
            with self._lock:
                context, self._context = self._context, None
                if context is not None:
                    scard.SCardReleaseContext(context)
            self._ended.set()
            self.say(last)

    def cancel(self) -> None:
        """Again and again, for it does nothing unless the thread is waiting. Hangs as long as pcscd does."""
        pause = 0.01
        while not self._ended.wait(pause):
            pause = min(pause * 2, 1.0)
            self.stir()

    def stir(self) -> None:
        """Ends the thread's wait, and with it only the wait."""
        with self._lock:
            if self._context is not None:
                scard.SCardCancel(self._context)

    def _find(self, context: int) -> str:
        part, end = self.driver.reader or "", time.monotonic() + SEARCH
        while True:
            names = _readers(context)
            if name := next((name for name in names if part in name), ""):
                return name
            left = end - time.monotonic()
            if left <= 0 or self.stopping.is_set():
                raise DeviceLost(missing(part, names))
            new_reader = (r"\\?PnP?\Notification", scard.SCARD_STATE_UNAWARE)
            scard.SCardGetStatusChange(context, int(left * 1000) + 1, [new_reader])

    def _follow(self, context: int, reader: str) -> None:
        resting, state = Resting(), scard.SCARD_STATE_UNAWARE
        while not self.stopping.is_set():
            code, ((_, new, _),) = scard.SCardGetStatusChange(context, int(BEAT * 1000), [(reader, state)])
            self.say(None)
            if code in (scard.SCARD_E_TIMEOUT, scard.SCARD_E_CANCELLED):
                continue
            _check(scard.SCARD_E_UNKNOWN_READER if code == scard.SCARD_S_SUCCESS and new & _GONE else code)
            if state == scard.SCARD_STATE_UNAWARE:
                log.info("%s: reader %s", self.driver.read_point, reader)
                self.found(reader)
                self.say(Ready(read_point=self.driver.read_point))
            # Its upper half counts what came and went, so nothing between two calls is missed.
            moved = state == scard.SCARD_STATE_UNAWARE or (new ^ state) >> 16
            if moved and state & scard.SCARD_STATE_PRESENT:
                resting.left(time.monotonic())
            if moved and new & scard.SCARD_STATE_PRESENT:
                laid = card.read(context, reader)
                if resting.laid(laid, time.monotonic()):
                    at = self.driver.read_point
                    codes = tuple(Tap(read_point=at, type="code", value=text) for text in laid.texts)
                    self.say(Tap(read_point=at, value=laid.uid, others=codes))
            state = new


async def _within(seconds: float, word: Awaitable[BaseException | None]) -> BaseException | None:
    try:
        async with asyncio.timeout(seconds):
            return await word
    except TimeoutError:
        return _Hung(_HUNG)


def _readers(context: int) -> list[str]:
    code, names = scard.SCardListReaders(context, [])
    if code == scard.SCARD_E_NO_READERS_AVAILABLE:
        return []
    _check(code)
    return list(names)


def _check(code: int) -> None:
    if code != scard.SCARD_S_SUCCESS:
        raise DeviceLost(_REASONS.get(code) or f"PC/SC: {scard.SCardGetErrorMessage(code)} See: systemctl status pcscd")
