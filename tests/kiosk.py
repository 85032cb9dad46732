"""The staff's page on a database of its own, served for real; the shop behind it and time are the test's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml
from aiohttp import ClientSession, CookieJar, TCPConnector

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
from peers.spec import DOCUMENTS, FILES, misfit, registry

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent.parent / "edge" / "kiosk" / "openapi.yaml").read_text()
)
KNOWN = registry(FILES | {"kiosk.yaml": DOCUMENT})
assert "kiosk.yaml" not in DOCUMENTS
SECRET = "4711"
ROLES = ("viewer", "clerk", "manager")


@dataclass(frozen=True)
class Answer:
    """What the server has said."""

    status: int
    headers: Mapping[str, str]
    text: str
    json: Any

    @property
    def code(self) -> str:
        """The problem's code; it is a problem by the document."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert misfit(self.json, "kiosk.yaml#/components/schemas/Problem", KNOWN) == ""
        assert self.json["status"] == self.status
        code: str = self.json["code"]
        return code


@dataclass
class Browser:
    """One browser with its cookies; it sends its CSRF token with whatever changes something."""

    client: ClientSession
    base: str
    csrf: str = ""

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request; a header's name is written with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if method not in ("GET", "HEAD"):
            named = {"X-CSRF-Token": self.csrf, **named}
        given = {"json": body} if body is not None else {}
        async with self.client.request(method, self.base + path, headers=named, ssl=False, **given) as answer:  # type: ignore[arg-type]
            text = await answer.text()
            parsed = await answer.json(content_type=None) if "json" in answer.content_type and text else None
            return Answer(answer.status, answer.headers, text, parsed)

    async def session(self) -> dict[str, Any]:
        """Ask who is logged in, as a page does when it opens."""
        answer = await self.ask("GET", "/api/session")
        assert answer.status == 200, answer.text
        assert misfit(answer.json, "kiosk.yaml#/components/schemas/Session", KNOWN) == ""
        self.csrf = answer.json["csrf"]
        said: dict[str, Any] = answer.json
        return said

    async def log_in(self, name: str, secret: str = SECRET) -> Answer:
        """Open the page and log in."""
        await self.session()
        answer = await self.ask("POST", "/api/session", {"name": name, "secret": secret})
        if answer.status == 200:
            self.csrf = answer.json["csrf"]
        return answer


@dataclass
class Kiosk:
    """The page, and the hands that use it."""

    base: str
    database: Database
    setup: SetupCode
    code: str
    stack: AsyncExitStack
    now: float = 1000.0
    opened: bool = True
    calls: list[tuple[str, ...]] = field(default_factory=list)

    async def browser(self) -> Browser:
        """A new browser."""
        client = ClientSession(cookie_jar=CookieJar(unsafe=True), connector=TCPConnector(force_close=True))
        await self.stack.enter_async_context(client)
        return Browser(client, self.base)

    async def manager(self, name: str = "boss") -> Browser:
        """The browser of the first manager, who has just set the page up."""
        browser = await self.browser()
        await browser.session()
        answer = await browser.ask("POST", "/api/setup", {"code": self.code, "name": name, "secret": SECRET})
        assert answer.status == 201, answer.text
        browser.csrf = answer.json["csrf"]
        return browser

    async def staff(self) -> dict[str, Browser]:
        """A browser for each role, in which a person of that role is logged in; and `none`."""
        boss = await self.manager()
        found = {"none": await self.browser()}
        await found["none"].session()
        for role in ROLES:
            answer = await boss.ask("PUT", f"/api/people/{role}", {"role": role, "secret": SECRET})
            assert answer.status == 201, answer.text
            found[role] = await self.browser()
            assert (await found[role].log_in(role)).status == 200
        return found

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """The data of the journal's rows of this kind."""
        with contextlib.closing(self.database.reader()) as connection:
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


@cache
def _empty() -> bytes:
    """Return a database with nothing in it, which takes a second to make."""
    with TemporaryDirectory() as folder:
        Database(Path(folder) / FILE).close()
        return (Path(folder) / FILE).read_bytes()


@asynccontextmanager
async def kiosk(
    folder: Path, *, listen: str = "", tls: ssl.SSLContext | None = None, **table: Any
) -> AsyncIterator[Kiosk]:
    """Serve the page."""
    listen = listen or f"127.0.0.1:{free_port()}"
    place = settings.Kiosk(listen=listen, **table)
    store = settings.Store(id="gangnam", gateway="gw-1", data=folder, pseudonym_key_file=folder / "key")
    (folder / FILE).write_bytes(_empty())
    database = Database(folder / FILE)
    clock = Clock("boot", 0.0)
    opened = database.write_now(lambda connection: journal.open_journal(connection, "/s", clock.now(), 0.0, []))
    intake = Intake(database, clock, opened, Space(folder, 10**9, 10**6), Rules(45, 10, "ko"), 86400)
    setup = SetupCode()
    async with AsyncExitStack() as stack:
        stack.callback(database.close)
        port = settings.address(listen)[1]
        base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        page = Kiosk(base, database, setup, setup.make(), stack)

        async def nothing(*_: object) -> dict[str, Any]:
            return {}

        def called(*what: object) -> bool:
            page.calls.append(tuple(map(str, what)))
            return True

        async def retried(ids: list[str]) -> int:
            return len(ids)

        shop = Shop(
            store=store,
            kiosk=place,
            version="1",
            database=database,
            intake=intake,
            attribution=Attribution(b"", re.compile("^$"), (), 0.0),
            intents=Intents(database, intake),
            live=Live(lambda: FLOOR, nothing, lambda: None, lambda _: []),
            status=nothing,
            floor=lambda: FLOOR,
            history=nothing,
            pull=lambda: None,
            restart=lambda driver: called("restart", driver),
            beep=lambda driver: called("beep", driver),
            train=lambda point, on: page.calls.append(("train", point, str(on))),
            desk=nothing,
            age=lambda: None,
            retry=retried,
        )
        work = asyncio.create_task(intake.run())

        async def end() -> None:
            work.cancel()
            await asyncio.wait((work,))

        stack.push_async_callback(end)
        await stack.enter_async_context(
            serve(
                place,
                lambda: None,
                nothing,
                lambda: shop if page.opened else None,
                setup,
                tls,
                lambda: page.now,
            )
        )
        yield page
