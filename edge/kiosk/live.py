"""What the open pages are told, and who tells it: commits, cues, the desk, a rehearsal, and how all parts are."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from edge.database import DatabaseError
from edge.model import Outcome, Row

log = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between two looks for a state that has changed."""
REPORT = 2.0
"""Seconds between two reports of how all parts are."""
_WAITING = 200
"""Cues, readings at the desk and rows of a rehearsal that may wait for a page; older ones are dropped."""

Passing = tuple[str, dict[str, Any]] | Row
"""What is on no disk: a message of the stream, or a row of a rehearsal."""


@dataclass(slots=True, eq=False)
class Page:
    """An open page. `seen`: which floor, status and intents it has, as numbers of `Live`."""

    clerk: bool
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    passing: deque[Passing] = field(default_factory=lambda: deque(maxlen=_WAITING))
    position: int | None = None
    seen: dict[str, int] = field(default_factory=dict)


class Live:
    """What all pages are told. `floor` and `status` as in the OpenAPI document; `states`: what a status rests on."""

    def __init__(
        self,
        floor: Callable[[], dict[str, Any]],
        status: Callable[[], Awaitable[dict[str, Any]]],
        states: Callable[[], object],
        intents: Callable[[sqlite3.Connection], list[dict[str, Any]]],
    ) -> None:
        self.pages: set[Page] = set()
        self.closed = False
        self.number = {"floor": 1, "status": 0, "intents": 1}
        self.intents = intents
        self.report: dict[str, Any] = {}
        self._floor = floor
        self._status = status
        self._states = states
        self._stirred = asyncio.Event()
        self._known = True
        self._made: tuple[int, dict[str, Any]] = (0, {})

    async def run(self) -> None:
        """Reports how all parts are while a page is open, until cancelled; then the pages are let go."""
        loop, states, due = asyncio.get_running_loop(), self._states(), 0.0
        try:
            while True:
                self._stirred.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK if self.pages else None):
                        await self._stirred.wait()
                        due = 0.0
                before, states = states, self._states()
                if self.pages and (states != before or loop.time() >= due):
                    due = loop.time() + REPORT
                    await self._tell_status()
        finally:
            self.closed = True
            self._stir()

    async def _tell_status(self) -> None:
        """Without a file left to open none is told, and pages see that they hear nothing."""
        try:
            self.report = await self._status()
        except DatabaseError as error:
            if self._known:
                log.warning("how all parts are is not known: %s", error)
            self._known = False
        else:
            self._known = True
            self._turn("status")

    def open(self, page: Page) -> None:
        """From now on the page is told; floor and status are made anew for it."""
        self.number["floor"] += 1
        page.seen["status"] = self.number["status"]
        self.pages.add(page)
        self._stirred.set()

    def floor(self) -> dict[str, Any]:
        """The floor of now, made once for all pages."""
        if self._made[0] != self.number["floor"]:
            self._made = self.number["floor"], self._floor()
        return self._made[1]

    def committed(self) -> None:
        """There are new rows."""
        self._stir()

    def floor_changed(self) -> None:
        self._turn("floor")

    def intents_changed(self) -> None:
        self._turn("intents")

    def cue(self, read_point: str, outcome: Outcome) -> None:
        """A shopper was told something."""
        for page in self.pages:
            page.passing.append(("cue", {"read_point": read_point, "outcome": outcome}))
        self._stir()

    def desk(self, found: dict[str, Any]) -> bool:
        """Something was read at the desk; false if no page is open that may know."""
        clerks = [page for page in self.pages if page.clerk]
        for page in clerks:
            page.passing.append(("desk", found))
            page.stirred.set()
        return bool(clerks)

    def rehearsed(self, rows: list[Row]) -> None:
        """Rows of a rehearsal, which are kept nowhere."""
        for page in self.pages:
            page.passing.extend(rows)
        self._stir()

    def _turn(self, what: str) -> None:
        self.number[what] += 1
        self._stir()

    def _stir(self) -> None:
        for page in self.pages:
            page.stirred.set()
