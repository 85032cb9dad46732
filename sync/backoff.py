"""How long to wait before the next attempt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from edge.ports import Unavailable

CEILING = 60.0
"""Seconds a backoff grows to."""

Sleep = Callable[[float], Awaitable[object]]


@dataclass(slots=True)
class Backoff:
    """Full jitter: after the n-th failure in a row a random time up to 2^n seconds, at most a minute.

    Without even a connection 0.5 to 1.5 s; what the other side asked for is kept to. `nudge`
    ends a backoff, also the next one if it comes during an attempt, never a wait that was asked for. `renew`
    ends a wait for one that refuses us: what we show it is new.
    """

    sleep: Sleep = asyncio.sleep
    chance: random.Random = field(default_factory=random.Random)
    _failures: int = 0
    _nudged: asyncio.Event = field(default_factory=asyncio.Event)
    _renewed: asyncio.Event = field(default_factory=asyncio.Event)

    def succeeded(self) -> None:
        self._failures = 0
        self._nudged.clear()
        self._renewed.clear()

    def nudge(self) -> None:
        self._nudged.set()

    def renew(self) -> None:
        self._renewed.set()

    async def wait(self, error: Unavailable) -> None:
        """Waits as long as `error` is worth."""
        seconds = self.chance.uniform(0.5, 1.5)
        ends = [self._renewed] if error.state == "refused" else []
        if error.retry_after is not None:
            seconds = max(error.retry_after, seconds)
        else:
            ends.append(self._nudged)
            if error.connected:
                self._failures = min(self._failures + 1, 10)
                seconds = self.chance.uniform(0, min(CEILING, 2.0**self._failures))
        waits = [asyncio.ensure_future(wait) for wait in (self.sleep(seconds), *(end.wait() for end in ends))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            for end in ends:
                end.clear()
