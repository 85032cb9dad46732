"""What happens, live: a stream of Server-Sent Events for each page that is open, see the OpenAPI document.

A page reads the journal behind its own position, woken by commits; so there is no gap and nothing comes twice, also
across a new connection or a restart of the daemon. The shop never waits for a page: each has its own task, and one that
takes nothing is let go.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from edge import envelope, journal
from edge.kiosk import words
from edge.kiosk.live import Page, Passing
from edge.model import Row

if TYPE_CHECKING:
    from edge.kiosk.shop import Shop

log = logging.getLogger(__name__)

ROWS = 500
"""Rows of the journal that a page has."""
PAGES = 20
PATIENCE = 10.0
"""Seconds that a page may take to take what it is sent."""
_AGAIN = b"retry: 1000\n\n"


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
    passing: list[Passing],
    *,
    intents: bool,
) -> list[bytes]:
    """In a thread: rows behind the page's position, then what passes."""
    gap, found = journal.shown_since(reader, page.position, ROWS)
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
