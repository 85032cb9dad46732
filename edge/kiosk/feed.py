"""What happens, live: a stream of Server-Sent Events for each page that is open, see the OpenAPI document.

A page reads the journal behind its own position, woken by commits; so there is no gap and nothing comes twice, also
across a new connection or a restart of the daemon. The shop never waits for a page: each has its own task, and one that
takes nothing is let go.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from edge import envelope, journal
from edge.kiosk import words
from edge.model import Outcome, Row

if TYPE_CHECKING:
    from edge.kiosk.shop import Shop

log = logging.getLogger(__name__)

ROWS = 500
"""Rows of the journal that a page has."""
PAGES = 20
LOOK = 0.25
"""Seconds between two looks for a state that has changed."""
REPORT = 2.0
"""Seconds between two reports of how all parts are."""
PATIENCE = 10.0
"""Seconds that a page may take to take what it is sent."""
_WAITING = 200
"""Cues, readings at the desk and rows of a rehearsal that may wait for a page; older ones are dropped."""
_AGAIN = b"retry: 1000\n\n"


@dataclass(slots=True, eq=False)
class Page:
    """An open page. `seen`: which floor, status and intents it has, as numbers of `Live`."""

    clerk: bool
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    passing: deque[tuple[str, dict[str, Any]] | Row] = field(default_factory=lambda: deque(maxlen=_WAITING))
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
                    self.report = await self._status()
                    self._turn("status")
        finally:
            self.closed = True
            self._stir()

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


async def stream(request: web.Request, shop: Shop, role: str, valid: Callable[[], bool]) -> web.StreamResponse:
    """Answers `GET /api/events` until the page goes, the gateway stops, or the person is not `valid` any more."""
    live = shop.live
    if len(live.pages) >= PAGES or live.closed:
        raise web.HTTPServiceUnavailable(text="too many pages are open")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    page = Page(role != "viewer", position=_position(request.headers.get("Last-Event-ID", ""), shop.intake.journal.id))
    live.open(page)
    try:
        await response.prepare(request)
        with closing(shop.database.reader()) as reader:
            await response.write(_AGAIN)
            while not live.closed:
                page.stirred.clear()
                if not valid():
                    await response.write(_message("locked", {}))
                    break
                if text := await _news(shop, page, reader):
                    async with asyncio.timeout(PATIENCE):
                        await response.write(text)
                await page.stirred.wait()
    except ConnectionResetError:
        log.debug("a page is gone")
    except TimeoutError:
        log.warning("a page takes nothing any more and is let go")
        if request.transport:
            request.transport.abort()
    finally:
        live.pages.discard(page)
    return response


async def _news(shop: Shop, page: Page, reader: sqlite3.Connection) -> bytes:
    """All that the page has not seen."""
    passing, live = list(page.passing), shop.live
    page.passing.clear()
    numbers = dict(live.number)
    turned = {what for what, number in numbers.items() if page.seen.get(what, 0) != number}
    page.seen = numbers
    told = await asyncio.to_thread(_read, shop, page, reader, passing, intents="intents" in turned)
    if "floor" in turned:
        floor = live.floor()
        told.append(_message("floor", floor if page.clerk else words.for_viewers(floor)))
    if "status" in turned:
        told.append(_message("status", live.report))
    return b"".join(told)


def _read(
    shop: Shop,
    page: Page,
    reader: sqlite3.Connection,
    passing: list[tuple[str, dict[str, Any]] | Row],
    *,
    intents: bool,
) -> list[bytes]:
    """In a thread: rows behind the page's position, then what passes."""
    gap, found = journal.shown(reader, page.position, ROWS)
    told = [_message("reset", {})] if gap else []

    def say(seq: int | None, row: Row) -> dict[str, Any]:
        return words.row(reader, seq, row, shop.store.language, customers=page.clerk)

    for stored in found:
        row = say(stored.seq, envelope.parse(stored.body, None))
        told.append(_message("row", row, f"{shop.intake.journal.id}:{stored.seq}"))
        page.position = stored.seq
    if gap and not found:
        page.position = journal.last_seq(reader)
    told += [_message("row", say(None, one)) if isinstance(one, Row) else _message(*one) for one in passing]
    if intents and page.clerk:
        told.append(_message("intents", {"intents": shop.live.intents(reader)}))
    return told


def _message(event: str, data: dict[str, Any], id: str = "") -> bytes:
    head = f"id: {id}\nevent: {event}\ndata: " if id else f"event: {event}\ndata: "
    return head.encode() + msgspec.json.encode(data) + b"\n\n"


def _position(last: str, journal: str) -> int | None:
    """The seq that a page has got to; None if it has nothing of this journal."""
    of, _, seq = last.rpartition(":")
    return int(seq) if of == journal and seq.isascii() and seq.isdecimal() and len(seq) < 20 else None
