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
    ends a backoff, also the next one if it comes during an attempt, never a wait that was asked for.
    """

    sleep: Sleep = asyncio.sleep
    chance: random.Random = field(default_factory=random.Random)
    _failures: int = 0
    _nudged: asyncio.Event = field(default_factory=asyncio.Event)

    def succeeded(self) -> None:
        self._failures = 0
        self._nudged.clear()

    def nudge(self) -> None:
        self._nudged.set()

    async def wait(self, error: Unavailable) -> None:
        """Waits as long as `error` is worth."""
        if error.retry_after is not None:
            await self.sleep(max(error.retry_after, self.chance.uniform(0.5, 1.5)))
            return
        seconds = self.chance.uniform(0.5, 1.5)
        if error.connected:
            self._failures = min(self._failures + 1, 10)
            seconds = self.chance.uniform(0, min(CEILING, 2.0**self._failures))
        asleep = asyncio.ensure_future(self.sleep(seconds))
        awake = asyncio.ensure_future(self._nudged.wait())
        try:
            await asyncio.wait((asleep, awake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asleep.cancel()
            awake.cancel()
            self._nudged.clear()
