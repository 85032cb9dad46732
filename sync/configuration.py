"""The remote configuration, asked for at the start, at a nudge, and every `poll` seconds. It is judged elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from edge.ports import Unavailable
from sync.backoff import Backoff
from sync.platform import Platform

log = logging.getLogger(__name__)

TYPE = "application/jose"


class Configuration:
    """Asks for one gateway. `told`: what the platform is told of those it gave before; `offer` takes what it has."""

    def __init__(
        self,
        platform: Platform,
        store: str,
        gateway: str,
        poll: float,
        told: Callable[[], str],
        offer: Callable[[bytes], Awaitable[None]],
        backoff: Backoff,
    ) -> None:
        self._platform = platform
        self._path = f"/v1/stores/{quote(store)}/gateways/{quote(gateway)}/configuration"
        self._poll = poll
        self._told = told
        self._offer = offer
        self._backoff = backoff
        self._nudged = asyncio.Event()
        self._etag = ""
        self._failed = False

    def nudge(self) -> None:
        """Ask now; a wait that was asked for is kept to."""
        self._nudged.set()
        self._backoff.nudge()

    def renew(self) -> None:
        """What we show the platform is new: ask again, if it refuses us."""
        self._backoff.renew()

    async def run(self) -> None:
        while True:
            self._nudged.clear()
            try:
                await self._ask()
            except Unavailable as error:
                if not self._failed:
                    log.warning("remote configuration: %s", error)
                self._failed = True
                await self._backoff.wait(error)
                continue
            self._failed = False
            self._backoff.succeeded()
            try:
                async with asyncio.timeout(self._poll):
                    await self._nudged.wait()
            except TimeoutError:
                pass

    async def _ask(self) -> None:
        """A platform that has none for us, or that knows nothing of this, answers 404.

        After an error it is asked as at the first time: what we repeat to it may be what it cannot bear.
        """
        headers, known = {"Accept": TYPE, "Cartwire-Configuration": self._told()}, self._etag
        self._etag = ""
        if known:
            headers["If-None-Match"] = known
        answer = await self._platform.call("GET", self._path, headers=headers)
        if answer.status in (304, 404):
            self._etag = known
            return
        if answer.status != 200:
            raise Unavailable(f"the platform answers {answer.status}")
        await self._offer(answer.body)
        self._etag = answer.etag
