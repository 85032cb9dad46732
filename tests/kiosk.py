"""The staff's page on a database of its own, served for real; the shop behind it and time are the test's."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from edge import journal, settings
from edge.attribution import Attribution
from edge.clock import Clock
from edge.database import FILE, Database
from edge.floor import Rules
from edge.intake import Intake
from edge.intents import Intents
from edge.kiosk.live import Live
from edge.kiosk.server import serve
from edge.kiosk.shop import Shop
from edge.people import SetupCode
from edge.space import Space
from peers.process import free_port
from peers.staff import Staff

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

SECRET = "4711"
ROLES = ("viewer", "clerk", "manager")


@dataclass
class Kiosk:
    """The page, and the hands that use it."""

    port: int
    database: Database
    code: str
    tls: ssl.SSLContext | None
    now: float = 1000.0
    opened: bool = True
    calls: list[tuple[str, ...]] = field(default_factory=list)
    hands: list[Staff] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The origin of the page."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def stranger(self) -> Staff:
        """Somebody who is not logged in."""
        self.hands.append(Staff(self.port, self.tls))
        return self.hands[-1]

    def manager(self, name: str = "boss") -> Staff:
        """The first manager, who has just set the page up."""
        boss = self.stranger()
        boss.set_up(self.code, name, SECRET)
        return boss

    def staff(self) -> dict[str, Staff]:
        """One of each role, logged in; and `none`, who is not."""
        boss, found = self.manager(), {"none": self.stranger()}
        found["none"].does("getSession")
        for role in ROLES:
            boss.does("putPerson", {"role": role, "secret": SECRET}, name=role)
            found[role] = self.stranger()
            found[role].log_in(role, SECRET)
        return found

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """The data of the journal's rows of this kind."""
        with closing(self.database.reader()) as connection:
            found = connection.execute("SELECT body FROM row WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
            return [json.loads(body)["data"] for (body,) in found]


FLOOR = {
    "read_points": [
        {
            "read_point": "till-1",
            "session": {"customer": "c-1", "display": "KIM", "pseudonym": None, "left_seconds": 30.0},
            "waiting": 0,
            "training": None,
            "desk": False,
            "here": [{"customer": "c-2", "display": "LEE"}],
        }
    ]
}
STATUS = {
    "online": True,
    "queued": 0,
    "oldest_seconds": None,
    "trouble": None,
    "held": 0,
    "clock": {},
    "space": {},
    "sinks": {},
    "devices": [],
    "readings": {},
}
HISTORY = {"minutes": [], "taps": [], "scans": [], "queue": []}


@cache
def _empty() -> bytes:
    """Return a database with nothing in it, which takes a second to make."""
    with TemporaryDirectory() as folder:
        Database(Path(folder) / FILE).close()
        return (Path(folder) / FILE).read_bytes()


@contextmanager
def kiosk(
    folder: Path,
    *,
    listen: str = "",
    tls: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
    **table: Any,
) -> Iterator[Kiosk]:
    """Serve the page in a thread; at the end nobody has found anything against its document."""
    listen = listen or f"127.0.0.1:{free_port()}"
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="kiosk")
    thread.start()
    served = _served(folder, settings.Kiosk(listen=listen, **table), tls, trusted)
    try:
        page = asyncio.run_coroutine_threadsafe(served.__aenter__(), loop).result(20)
        try:
            yield page
        finally:
            asyncio.run_coroutine_threadsafe(served.__aexit__(None, None, None), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert [problem for hand in page.hands for problem in hand.problems] == []


@asynccontextmanager
async def _served(
    folder: Path, place: settings.Kiosk, tls: ssl.SSLContext | None, trusted: ssl.SSLContext | None
) -> AsyncIterator[Kiosk]:
    store = settings.Store(id="gangnam", gateway="gw-1", data=folder, pseudonym_key_file=folder / "key")
    (folder / FILE).write_bytes(_empty())
    database = Database(folder / FILE)
    clock = Clock("boot", 0.0)
    opened = database.write_now(lambda connection: journal.open_journal(connection, "/s", clock.now(), 0.0, []))
    intake = Intake(database, clock, opened, Space(folder, 10**9, 10**6), Rules(45, 10, "ko"), 86400)
    intake.restore()
    setup = SetupCode()
    page = Kiosk(settings.address(place.listen)[1], database, setup.make(), trusted)

    async def status() -> dict[str, Any]:
        return STATUS

    async def history() -> dict[str, Any]:
        return HISTORY

    async def desk(_: str) -> dict[str, Any]:
        return {"kind": "unknown"}

    async def retried(ids: list[str]) -> int:
        return len(ids)

    def called(*what: object) -> bool:
        page.calls.append(tuple(map(str, what)))
        return True

    shop = Shop(
        store=store,
        kiosk=place,
        version="1",
        database=database,
        intake=intake,
        attribution=Attribution(b"", re.compile("^$"), (), 0.0),
        intents=Intents(database, intake),
        live=Live(lambda: FLOOR, status, lambda: None, lambda _: []),
        status=status,
        floor=lambda: FLOOR,
        history=history,
        pull=lambda: None,
        restart=lambda driver: called("restart", driver),
        beep=lambda driver: called("beep", driver),
        train=lambda point, on: page.calls.append(("train", point, str(on))),
        desk=desk,
        age=lambda: None,
        retry=retried,
    )
    work = asyncio.create_task(intake.run())
    with closing(database):
        try:
            async with serve(
                place,
                lambda: None,
                status,
                lambda: shop if page.opened else None,
                setup,
                tls,
                lambda: page.now,
            ):
                yield page
        finally:
            work.cancel()
            await asyncio.wait((work,))
