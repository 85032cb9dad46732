"""Time: CLOCK_BOOTTIME for durations, the wall clock for what people read, and whether that one is right.

A Raspberry Pi starts without a clock. Until it is synchronised an event's time is a base, taken once a
boot, plus CLOCK_BOOTTIME; one offset later mends all of that boot.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.model import Moment

_STA_UNSYNC = 0x40


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read here; with `modes` 0 nothing is set."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


_adjtimex = ctypes.CDLL(None).adjtimex
_timex = _Timex()
_at_timex = ctypes.byref(_timex)


def synchronised() -> bool:
    """Whether the kernel says that its clock is synchronised: adjtimex(2) without STA_UNSYNC."""
    return _adjtimex(_at_timex) >= 0 and not _timex.status & _STA_UNSYNC


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boottime() -> float:
    """Seconds since the kernel started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Clock:
    """The clocks of this boot. `base`: seconds since 1970 at instant 0, as taken at the boot's first row."""

    boot: str
    base: float
    instant: Callable[[], float] = boottime
    wall: Callable[[], float] = time.time
    ok: Callable[[], bool] = synchronised

    def now(self, instant: float | None = None) -> Moment:
        """The moment of something read just now; `instant` where its source knows better."""
        ok, at = self.ok(), self.instant()
        seconds = self.wall() if ok else self.base + at
        return Moment(at if instant is None else instant, round(seconds * 1000), ok, self.boot)
