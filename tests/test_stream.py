"""The page's stream of events: on the real gateway and a real connection, without a gap and with nothing twice."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiohttp import web

from edge import plan
from edge.database import FILE, Database
from edge.directory import Page as Changes
from edge.gateway import Gateway
from edge.kiosk.stream import PAGES, PATIENCE, ROWS, stream
from edge.model import Moment, Row, Scan, Tap
from peers.day import SEED
from peers.gtin import gtin13
from peers.process import free_port, until
from peers.staff import Staff
from peers.store import Store, pseudonym
from peers.stream import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BAND, NOBODYS = "04A1B2C3D4E5F6", "04B1B2C3D4E5F6"
TILL = "till-1"


class Page(Stream):
    """A page of somebody of that role, in the event loop of the gateway."""

    def __init__(self, port: int, role: str = "clerk") -> None:
        super().__init__(Staff(port), Role=role)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen, until it is left."""
        await asyncio.to_thread(self.open)
        try:
            yield
        finally:
            await asyncio.to_thread(self.close)

    async def until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        """Wait until what was heard fulfils it."""
        await asyncio.to_thread(until, condition, lambda: f"this: {self.messages[-5:]}", seconds)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Furnish a store without sinks, in which nothing falls due."""
    Store(tmp_path / "store", floor={"session": "10m", "claim": "10m"}).close()
    return tmp_path / "store"


@dataclass
class Shop:
    """A gateway in this process, and a server that has nothing but its stream; the person is known by a header."""

    gateway: Gateway
    port: int
    valid: bool = True
    shutters: list[object] = field(default_factory=list)

    def page(self, role: str = "clerk") -> Page:
        return Page(self.port, role)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert self.gateway.shop
        return await stream(request, self.gateway.shop, request.headers["Role"], lambda: self.valid)

    async def tap(self, uid: str = BAND, at: str = TILL) -> None:
        await self.gateway._reception.emit(Tap(read_point=at, value=uid))

    async def scan(self, number: int, at: str = TILL) -> None:
        await self.gateway._reception.emit(Scan(read_point=at, text=gtin13(number)))

    async def written(self) -> list[int]:
        """Return the seqs of all that is to be shown."""
        await (await self.gateway._intake.submit(lambda _: None))
        reader = self.gateway.database.reader()
        found = reader.execute("SELECT seq FROM row WHERE kind <> 'inside.erased' ORDER BY seq").fetchall()
        reader.close()
        return [seq for (seq,) in found]


@asynccontextmanager
async def opened(folder: Path, port: int = 0) -> AsyncIterator[Shop]:
    """Open the store; its cache knows a shopper."""
    gateway = Gateway(plan.make(folder / "edge.toml"), Database(folder / "data" / FILE), None)
    shop = Shop(gateway, port or free_port())
    app = web.Application()
    app.router.add_get("/api/events", shop.handle)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", shop.port).start()
    running = asyncio.create_task(gateway.run())
    known = (
        ("customer", "c-1", {"cart": "k", "display": "KIM", "consents": ["cart"]}),
        ("identifier", pseudonym("nfc", BAND), {"type": "nfc", "customer": "c-1"}),
        ("product", "0" + gtin13(1), {"name": {"ko": "우유", "en": "milk"}}),
    )
    changes = [{"kind": kind, "op": "upsert", "key": key, "value": value} for kind, key, value in known]
    raw = [msgspec.Raw(json.dumps(change).encode()) for change in changes]
    await gateway._links._apply(Changes("1", False, raw), None)
    try:
        yield shop
    finally:
        running.cancel()
        await asyncio.wait((running,))
        await runner.cleanup()
        gateway.database.close()
        assert running.cancelled(), running


async def test_what_a_page_is_told_at_first_and_what_a_viewer_never_is(folder: Path) -> None:
    async with opened(folder) as shop:
        clerk, viewer = shop.page(), shop.page("viewer")
        async with clerk.listening(), viewer.listening():
            await clerk.until(lambda: clerk.of("status") and clerk.of("floor") and clerk.of("intents"))
            assert [message.event for message in clerk.messages[:2]] == ["reset", "row"]
            assert clerk.rows[0]["kind"] == "journal.opened"
            await shop.tap()
            await shop.scan(1)
            await shop.tap(NOBODYS)
            pages = (clerk, viewer)
            for page in pages:
                await page.until(lambda page=page: page.rows[-1]["kind"] == "tap.unknown")  # type: ignore[misc]
                await page.until(lambda page=page: len(page.of("cue")) == 3)  # type: ignore[misc]
            (added,) = [row for row in clerk.rows if row["kind"] == "cart.item_added"]
            assert (added["customer"], added["display"], added["product"], added["read_point"]) == (
                *("c-1", "KIM", "우유", TILL),
            )
            assert [cue["outcome"] for cue in viewer.of("cue")] == ["accepted", "accepted", "saved"]
            held = {point["read_point"]: point["session"] for point in clerk.of("floor")[-1]["read_points"]}
            assert held[TILL]["pseudonym"] == pseudonym("nfc", NOBODYS)
            assert clerk.of("status")[-1]["online"]
            assert viewer.of("floor")[-1]["read_points"][0]["session"]
            told = json.dumps([message.data for message in viewer.messages])
            secrets = ("c-1", "KIM", pseudonym("nfc", BAND), pseudonym("nfc", NOBODYS))
            assert [secret for secret in secrets if secret in told] == []
            assert viewer.of("intents") == []
            await clerk.until(lambda: len(clerk.of("status")) > 1)
        assert clerk.problems + viewer.problems == []


async def test_no_gap_and_nothing_twice(folder: Path) -> None:
    """While the connection is cut again and again, and the gateway begins anew, a page goes on where it was."""
    chance, port = random.Random(SEED), free_port()
    page = Page(port)

    async def shopping(shop: Shop) -> None:
        for number in range(300):
            await shop.scan(number % 50, chance.choice((TILL, "till-2")))
            if number % 7 == 0:
                await shop.tap(chance.choice((BAND, NOBODYS, "")))
            await asyncio.sleep(0.002)

    written: list[int] = []
    for _ in range(2):
        async with opened(folder, port) as shop:
            shoppers = asyncio.create_task(shopping(shop))
            while not shoppers.done():
                async with page.listening():
                    await asyncio.sleep(chance.uniform(0, 0.1))
            await shoppers
            written[:] = await shop.written()
            async with page.listening():
                await page.until(lambda: page.rows and page.rows[-1]["seq"] == written[-1])
    shown = [row["seq"] for row in page.rows]
    assert shown == written[-len(shown) :]
    assert page.resets == 1, "only at the first time"
    assert len(shown) == len(written) > ROWS


async def test_too_far_behind_or_elsewhere_it_begins_anew(folder: Path) -> None:
    async with opened(folder) as shop:
        for number in range(ROWS + 100):
            await shop.scan(number)
        written = await shop.written()
        journal = shop.gateway._intake.journal.id
        nonsense = (
            "",
            "x",
            f"{journal}:",
            f"{journal}:-1",
            f"{journal}:²",
            f"{journal}:{'9' * 5000}",
            f"x:{written[-1]}",
        )
        far = (f"{journal}:{written[0]}", f"{journal}:{written[-1] + 1}")
        for last in (*nonsense, *far):
            page = shop.page()
            page.last = last
            async with page.listening():
                await page.until(lambda page=page: page.rows and page.rows[-1]["seq"] == written[-1])  # type: ignore[misc]
            assert (page.resets, len(page.rows)) == (1, ROWS), last[:80]
        page = shop.page()
        page.last = f"{journal}:{written[-ROWS - 1]}"
        async with page.listening():
            await page.until(lambda: len(page.rows) == ROWS)
        assert page.resets == 0
        intake = shop.gateway._intake
        await (await intake.submit(lambda batch: batch.journal.drop_delivered(batch.connection, inf)))
        left, page = await shop.written(), shop.page()
        page.last = f"{journal}:{written[50]}"
        async with page.listening():
            await page.until(lambda: [row["seq"] for row in page.rows] == left)
        assert (page.resets, left[0] > written[51]) == (1, True), "of what is pruned it cannot be told"


async def test_what_passes_is_told_to_those_whom_it_concerns(folder: Path) -> None:
    """A reading at the desk, a rehearsal, a driver that is lost; and the end of a person's session."""
    async with opened(folder) as shop:
        assert shop.gateway.shop
        clerk, viewer = shop.page(), shop.page("viewer")
        async with clerk.listening(), viewer.listening():
            await clerk.until(lambda: clerk.of("status"))
            await shop.tap(at="desk")
            await clerk.until(lambda: clerk.of("desk") == [{"kind": "shopper", "customer": "c-1"}])
            assert await shop.gateway.shop.desk(gtin13(1)) == {"kind": "product", "gtin": "0" + gtin13(1)}
            shop.gateway.shop.train(TILL, True)
            await clerk.until(lambda: clerk.of("floor")[-1]["read_points"][0]["training"] is not None)
            assert 1700 < clerk.of("floor")[-1]["read_points"][0]["training"] <= 1800
            before = await shop.written()
            await shop.tap()
            await shop.scan(1)
            await clerk.until(lambda: clerk.rows[-1]["kind"] == "cart.item_added")
            assert [(row["seq"], row["training"]) for row in clerk.rows[-2:]] == [(None, True)] * 2
            assert await shop.written() == before
            await clerk.until(lambda: clerk.of("floor")[-1]["read_points"][0]["session"])
            shop.gateway.shop.train(TILL, False)
            await clerk.until(lambda: clerk.of("floor")[-1]["read_points"][0]["session"] is None)
            health = shop.gateway._devices.all[0].health
            health.state, health.reason = "lost", "pulled out"
            await clerk.until(lambda: "lost" in [d["state"] for d in clerk.of("status")[-1]["devices"]])
            assert shop.gateway.shop.restart("replay@till-1")
            await clerk.until(lambda: "lost" not in [d["state"] for d in clerk.of("status")[-1]["devices"]])
            assert not shop.gateway.shop.restart("replay@till-2")
            assert not shop.gateway.shop.beep("replay@till-1"), "a file cannot"
            shop.valid = False
            await clerk.until(lambda: clerk.ended and viewer.ended)
            assert (clerk.messages[-1].event, clerk.messages[-1].data, viewer.of("desk")) == ("locked", {}, [])


async def test_a_page_that_takes_nothing_holds_up_nobody(folder: Path) -> None:
    """It is let go after a while; the others hear all, at once. Too many pages are refused."""
    async with opened(folder) as shop:
        live, loop = shop.gateway._live, asyncio.get_running_loop()
        dead = socket.socket()
        dead.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        dead.connect(("127.0.0.1", shop.port))
        dead.sendall(b"GET /api/events HTTP/1.1\r\nHost: x\r\nRole: clerk\r\n\r\n")
        page = shop.page()
        async with page.listening():
            await page.until(lambda: len(live.pages) == 2)
            data = {"product": {"name": "x" * 10_000}, "gtin": "0" * 14, "read_point": TILL}
            long = Row("scan.unclaimed", Moment(0.0, 0, True, "b"), data, "id")
            for _ in range(6):
                live.rehearsed([long] * 200)
                await asyncio.sleep(0.05)
            begun = loop.time()
            await shop.scan(7)
            await page.until(lambda: page.rows[-1].get("gtin") == "0" + gtin13(7))
            assert loop.time() - begun < PATIENCE / 2
            await page.until(lambda: len(live.pages) == 1, PATIENCE + 15)
        dead.close()
        await page.until(lambda: not live.pages)
        pages = [shop.page() for _ in range(PAGES + 1)]
        openings = [page.listening() for page in pages]
        for opening in openings:
            await opening.__aenter__()
        assert [page.status for page in pages] == [200] * PAGES + [503]
        for opening in openings:
            await opening.__aexit__(None, None, None)
