"""The platform's feed -> the directory: pulled at the start, at a nudge, and every `poll` seconds."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import msgspec

from edge.directory import Page
from edge.ports import Unavailable
from sync.backoff import Backoff
from sync.platform import Platform
from sync.poller import Poller

log = logging.getLogger(__name__)

LIMIT = 500
"""Changes asked for in one page."""
RESOLVE = 0.3
"""Seconds the platform may take to say who an unknown band is."""

Apply = Callable[[Page, str | None], Awaitable[None]]
"""Keeps a page that was asked for with that cursor; returns when it is on the disk. Raises Unavailable."""


class Downlink(Poller):
    """Pulls for one store. `since` reads the cursor that is on the disk, `restart` forgets it."""

    feed = "platform"

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
        super().__init__(poll, backoff)
        self._restarted = False
        self._passed: set[str | None] = set()
        self._platform = platform
        self._path = f"/v1/stores/{quote(store)}/changes"
        self._since = since
        self._apply = apply
        self._restart = restart

    async def ask(self) -> None:
        self._passed.clear()
        self._restarted = False
        while await self._pull():
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
