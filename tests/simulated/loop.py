"""An event loop in the world's time: when nobody has anything left to do, the next instant comes."""

from __future__ import annotations

import asyncio
import math
import selectors

from simulated.clock import Clocks

BUSY = 500
"""Turns without rest that take some time, so that a wait too short for the clock's precision ends."""
MOST = 100 * BUSY


class Loop(asyncio.SelectorEventLoop):
    """`until`: the instant at which `run_to` returns."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.until = 0.0
        super().__init__(_Instants(self))

    def time(self) -> float:
        return self.clocks.instant

    def run_to(self, instant: float) -> None:
        """Returns when it is `instant` and nobody has anything to do."""
        self.until = instant
        self.run_forever()


class _Instants(selectors.DefaultSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop
        self._busy = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        clocks = self._loop.clocks
        if (ready := super().select(0)) or timeout == 0:
            self._busy += 1
            assert self._busy < MOST, "the gateway never rests"
            clocks.instant += 2.0**-20 if self._busy % BUSY == 0 else 0.0
            return ready
        self._busy = 0
        if timeout is None or clocks.instant + timeout > self._loop.until:
            clocks.instant = max(clocks.instant, self._loop.until)
            self._loop.stop()
        else:
            clocks.instant = max(clocks.instant + timeout, math.nextafter(clocks.instant, math.inf))
        return []
