"""What the platform is asked for at the start, at a nudge, and every so many seconds."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from edge.journald import about
from edge.ports import Unavailable
from sync.backoff import Backoff

log = logging.getLogger(__name__)


class Poller:
    """Asks again and again, by `ask` of who derives from it; `feed` is what the log calls it."""

    feed: str

    def __init__(self, poll: float, backoff: Backoff) -> None:
        self.reachable: bool | None = None
        self._poll = poll
        self._backoff = backoff
        self._nudged = asyncio.Event()

    async def ask(self) -> None:
        """Once, for all there is. Raises Unavailable."""
        raise NotImplementedError

    def nudge(self) -> None:
        """There is something new: ask now; a backoff ends, a wait that was asked for does not."""
        self._nudged.set()
        self._backoff.nudge()

    def renew(self) -> None:
        """What we show the platform is new: ask again, if it refuses us."""
        self._backoff.renew()

    async def run(self) -> None:
        """Logs transitions only."""
        while True:
            self._nudged.clear()
            try:
                await self.ask()
            except Unavailable as error:
                if self.reachable is not False:
                    log.warning("%s feed: %s", self.feed, error, extra=about(feed=self.feed, state=error.state))
                self.reachable = False
                await self._backoff.wait(error)
                continue
            if not self.reachable:
                log.info("%s feed: up to date", self.feed, extra=about(feed=self.feed, state="ok"))
            self.reachable = True
            self._backoff.succeeded()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._nudged.wait()
