"""A page that hears the stream of Server-Sent Events, as a browser's EventSource does."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Message = tuple[str, dict[str, Any]]


@dataclass
class Page:
    """What a page has heard; `last` goes on where it was over a new connection, and so do `rows`."""

    url: str
    last: str = ""
    heard: list[Message] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    resets: int = 0
    status: int = 0
    ended: bool = False

    @asynccontextmanager
    async def open(self, **headers: str) -> AsyncIterator[None]:
        """Listen, until it is left."""
        if self.last:
            headers["Last-Event-ID"] = self.last
        for_ever = aiohttp.ClientTimeout(total=None)
        async with aiohttp.request("GET", self.url, headers=headers, timeout=for_ever) as response:
            self.status, self.ended = response.status, False
            listening = asyncio.create_task(self._listen(response))
            try:
                yield
            finally:
                listening.cancel()
                await asyncio.wait((listening,))

    async def until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        """Wait until what was heard fulfils it."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  # a condition on what was heard has no event
                await asyncio.sleep(0.005)

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the data of the messages of that kind."""
        return [data for kind, data in self.heard if kind == event]

    async def _listen(self, response: aiohttp.ClientResponse) -> None:
        lines: dict[str, str] = {}
        async for line in response.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                lines[name] = value
                continue
            if "event" in lines:
                self._hear(lines["event"], json.loads(lines["data"]), lines.get("id"))
            lines = {}
        self.ended = True

    def _hear(self, event: str, data: dict[str, Any], id: str | None) -> None:
        self.heard.append((event, data))
        if event == "reset":
            self.resets += 1
            self.rows.clear()
        if event == "row":
            assert (id is None) == (data["seq"] is None)
            self.rows.append(data)
        self.last = id or self.last
