"""The demo's page: its files, what a visitor does there, what it shows, and the phones' way to the broker.

GET  /, /phone/{cart}   the page, or one phone alone
GET  /events            Server-Sent Events: `store` once (what does not change), then `scene` after each change
GET  /mqtt              WebSocket: the broker's plain line in it, as MQTT has it
POST /acts              `Act`: what a visitor does; {"at", "read"}, see `Answer`
POST /phones/{cart}     `Report`: what a phone of that cart has put into it, for the counter
POST /links             {"path"} -> {"url"}: a link for another device, good for once, and for ten minutes
POST /enter             {"token"}: out of such a link; 403 {"why": "used", "expired" or "unknown"}
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import WSMsgType, web
from msgspec import Meta, Struct

from edge.demo.acts import Act, Acts, Impossible
from edge.demo.gate import Gate, NoWayIn
from edge.demo.report import Report
from edge.demo.scene import Scene
from edge.demo.store import HERE, Store
from edge.kiosk import files

_SOON = 0.1
"""Seconds between two pictures of the scene."""
_BEAT = 1.0
"""The same at most: the counter waits for time to pass, too."""
_LARGEST = 1 << 20
_CHUNK = 1 << 16
_SHARED = ("vendor/lit-html/", "icons.js", "i18n.js", "icon.svg")
"""Files of the staff's page that this one uses as well."""
_OPERATION = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Token(Struct):
    token: str


class _Path(Struct):
    path: Annotated[str, Meta(pattern=r"^/(phone/[A-Za-z0-9_-]{1,64})?\Z")] = "/"


@dataclass(slots=True)
class Stage:
    """`fixed`: what of the store never changes, for the page. `url`: where others find the page."""

    store: Store
    scene: Scene
    acts: Acts
    gate: Gate
    fixed: dict[str, Any]
    url: str = ""
    visited: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a phone has been connected."""
    _own: files.Files = field(default_factory=lambda: files.Files(HERE / "static"))
    _shared: files.Files = field(default_factory=lambda: files.Files(files.HERE / "static"))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _drawn: asyncio.Event = field(default_factory=asyncio.Event)
    _picture: bytes = b""

    def changed(self) -> None:
        """Shows it everybody soon."""
        self._changed.set()

    async def draw(self) -> None:
        """Makes one picture for everybody after each change, for ever."""
        while True:
            self._changed.clear()
            picture = _message("scene", {**self.scene.shown(time.time()), **self.acts.shown()})
            if picture != self._picture:
                self._picture = picture
                self._drawn.set()
                self._drawn = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT):
                    await self._changed.wait()
            await asyncio.sleep(_SOON)

    @asynccontextmanager
    async def serve(self, listening: socket.socket) -> AsyncIterator[None]:
        """For as long as the context is open; who dialled before that is answered now."""
        app = web.Application(middlewares=[self.gate.admit, _answered], client_max_size=_LARGEST)
        app.on_response_prepare.append(self._harden)
        app.router.add_get("/", self._page("index.html"))
        app.router.add_get("/phone/{cart:[A-Za-z0-9_-]{1,64}}", self._page("index.html"))
        app.router.add_get("/enter", self._page("enter.html"))
        app.router.add_get("/static/{name:.+}", self._static)
        app.router.add_get("/events", self._events)
        app.router.add_get("/mqtt", self._mqtt)
        app.router.add_post("/acts", self._act)
        app.router.add_post("/phones/{cart:[A-Za-z0-9_-]{1,64}}", self._took)
        app.router.add_post("/links", self._link)
        app.router.add_post("/enter", self._enter)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.SockSite(runner, listening).start()
            yield
        finally:
            await runner.cleanup()

    def link(self, path: str = "/", url: str = "") -> str:
        """An address for another device, or at `url` for this one; good for once, if the gate asks for one."""
        url, token = url or self.url, self.gate.link()
        return f"{url}/enter#{token}{path if path != '/' else ''}" if token else f"{url}{path}"

    def _page(self, name: str) -> _OPERATION:
        async def page(request: web.Request) -> web.StreamResponse:
            return await self._own.send(request, name)

        return page

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return await (self._shared if name.startswith(_SHARED) else self._own).send(request, name)

    async def _harden(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
            f" connect-src 'self' ws://{request.headers.get('Host', '')}; form-action 'none'; base-uri 'none';"
            f" frame-src {self.fixed['staff']}; frame-ancestors 'none'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
        response.headers["Server"] = "cartwire"
        response.headers.setdefault("Cache-Control", "no-store")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(_message("store", self.fixed))
            while True:
                drawn = self._drawn
                if self._picture:
                    await response.write(self._picture)
                await drawn.wait()
        return response

    async def _mqtt(self, request: web.Request) -> web.StreamResponse:
        """To the broker's line and back, until one end has gone. The broker itself listens to no WebSocket."""
        phone = web.WebSocketResponse(protocols=("mqtt",), max_msg_size=_LARGEST)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.store.lines["broker"].port)
        except OSError:
            raise web.HTTPBadGateway(text="The broker cannot be reached.\n") from None
        try:
            await phone.prepare(request)
            ways = [asyncio.create_task(self._listened(reader, phone)), asyncio.create_task(_said(phone, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            writer.close()
        await phone.close()
        return phone

    async def _listened(self, reader: asyncio.StreamReader, phone: web.WebSocketResponse) -> None:
        """What the broker says. Packets may come cut, as MQTT allows."""
        while chunk := await reader.read(_CHUNK):
            await phone.send_bytes(chunk)
            self.visited.set()

    async def _act(self, request: web.Request) -> web.StreamResponse:
        act = msgspec.json.decode(await request.read(), type=Act)
        return web.json_response(msgspec.to_builtins(await self.acts.do(act)))

    async def _took(self, request: web.Request) -> web.StreamResponse:
        cart, told = request.match_info["cart"], msgspec.json.decode(await request.read(), type=Report)
        if cart not in self.scene.judge.carts.values():
            raise Impossible(f"there is no cart {cart!r} here")
        self.scene.judge.took(cart, told.phone, told.first, told.events(), time.time())
        self.changed()
        return web.json_response({})

    async def _link(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"url": self.link(msgspec.json.decode(await request.read(), type=_Path).path)})

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        try:
            cookie = self.gate.enter(msgspec.json.decode(await request.read(), type=_Token).token)
        except NoWayIn as why:
            return web.json_response({"why": str(why)}, status=HTTPStatus.FORBIDDEN)
        response = web.json_response({})
        response.set_cookie(self.gate.cookie, cookie, httponly=True, samesite="Strict", path="/")
        return response


@web.middleware
async def _answered(request: web.Request, handler: _OPERATION) -> web.StreamResponse:
    """What makes no sense is said so."""
    try:
        return await handler(request)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError, Impossible) as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None


def _message(name: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))


async def _said(phone: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    async for message in phone:
        if message.type != WSMsgType.BINARY:  # MQTT allows no other
            return
        writer.write(message.data)
        await writer.drain()
