"""The remote configuration, asked for at the start, at a nudge, and every `poll` seconds. It is judged elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from edge.ports import Unavailable
from sync.backoff import Backoff
from sync.platform import Platform
from sync.poller import Poller

TYPE = "application/jose"


class Configuration(Poller):
    """Asks for one gateway. `told`: what the platform is told of those it gave before; `offer` takes what it has."""

    feed = "configuration"

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
        super().__init__(poll, backoff)
        self._platform = platform
        self._path = f"/v1/stores/{quote(store)}/gateways/{quote(gateway)}/configuration"
        self._told = told
        self._offer = offer
        self._etag = ""

    async def ask(self) -> None:
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
