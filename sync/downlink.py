"""The platform's feed -> the directory: pulled at the start, at a nudge, and every `poll` seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import msgspec

from edge.directory import Page
from edge.journald import about
from edge.ports import Unavailable
from sync.backoff import Backoff
from sync.platform import Platform

log = logging.getLogger(__name__)

LIMIT = 500
"""Changes asked for in one page."""
RESOLVE = 0.3
"""Seconds the platform may take to say who an unknown band is."""

Apply = Callable[[Page, str | None], Awaitable[None]]
"""Keeps a page that was asked for with that cursor; returns when it is on the disk. Raises Unavailable."""


class Downlink:
    """Pulls for one store. `since` reads the cursor that is on the disk, `restart` forgets it."""

    def __init__(
        self,
        platform: Platform,
        store: str,
        poll: float,
        since: Callable[[], str | None],
        apply: Apply,
        restart: Callable[[], Awaitable[None]],
        backoff: Backoff,
    ) -> None:
        self.reachable: bool | None = None
        self._restarted = False
        self._passed: set[str | None] = set()
        self._platform = platform
        self._path = f"/v1/stores/{quote(store)}/changes"
        self._poll = poll
        self._since = since
        self._apply = apply
        self._restart = restart
        self._backoff = backoff
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """There are changes: pull now; a backoff ends, a wait that was asked for does not."""
        self._nudged.set()
        self._backoff.nudge()

    def renew(self) -> None:
        """What we show the platform is new: ask again, if it refuses us."""
        self._backoff.renew()

    async def run(self) -> None:
        while True:
            self._nudged.clear()
            self._passed.clear()
            self._restarted = False
            try:
                while await self._pull():
                    pass
            except Unavailable as error:
                if self.reachable is not False:
                    log.warning("feed: %s", error, extra=about(feed="platform", state=error.state))
                self.reachable = False
                await self._backoff.wait(error)
                continue
            if not self.reachable:
                log.info("feed: up to date", extra=about(feed="platform", state="ok"))
            self.reachable = True
            self._backoff.succeeded()
            try:
                async with asyncio.timeout(self._poll):
                    await self._nudged.wait()
            except TimeoutError:
                pass

    async def resolve(self, pseudonym: str) -> None:
        """Asks once who an unknown band is; if the platform knows, its feed is pulled."""
        if not self.reachable:
            return
        try:
            answer = await self._platform.call(
                "POST", "/v1/identifiers/resolve", body=msgspec.json.encode({"pseudonym": pseudonym}), timeout=RESOLVE
            )
        except Unavailable:
            return
        if answer.status == 200:
            self.nudge()

    async def _pull(self) -> bool:
        """One page; whether there are more."""
        since = self._since()
        query = {"limit": str(LIMIT), **({"since": since} if since is not None else {})}
        answer = await self._platform.call("GET", self._path, query=query)
        if answer.status == 410 and since is not None and not self._restarted:
            self._restarted = True
            log.warning("feed: the cursor is too old, pulling everything anew")
            await self._restart()
            return True
        page = answer.read(Page)
        self._passed.add(since)
        if page.more and page.cursor in self._passed:
            raise Unavailable("the feed does not move on")
        await self._apply(page, since)
        return page.more
