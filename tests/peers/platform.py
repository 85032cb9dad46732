"""A central platform that keeps the contract, in memory and in steps, so that each step can be got wrong.

It is written from the contract alone. `tests/peers/wrong_platforms.py` has it go wrong, one step at a time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

Json = dict[str, Any]
PSEUDONYM = "9f2c" * 16


def dumps(value: Json) -> bytes:
    """Return JSON as bytes."""
    return json.dumps(value).encode()


def upsert(kind: str, key: str, **value: object) -> Json:
    """Return a change of the feed."""
    return {"kind": kind, "op": "upsert", "key": key, "value": value}


def feed() -> list[Json]:
    """Return what stores are told at first: of each kind some, and a delete."""
    price = {"amount": "12900", "currency": "KRW"}
    return [
        upsert("customer", "c-1", cart="k7f3a9", display="김민지", language="ko", consents=["cart", "presence"]),
        upsert("customer", "c-2", cart="k7f3b0", display="A. Morgan", language="en", consents=[]),
        upsert("identifier", PSEUDONYM, type="nfc", customer="c-1"),
        upsert("identifier", "ab" * 32, type="code", customer="c-2", **{"from": "2026-11-21T09:12:45.123Z"}),
        upsert("product", "08801045600130", name={"ko": "라면", "en": "Ramyun"}, price=price, stock=3),
        upsert("product", "09506000134352", name="Dal Giardino", price=None),
        upsert("customer", "c-3", cart="k7f3c1"),
        {"kind": "customer", "op": "delete", "key": "c-3"},
    ]


class Platform:
    """Every method is one step of an answer."""

    token = "sesame"  # of a peer
    limits: Json = {"batch": True, "maxBatch": 40, "maxBytes": 65536}  # noqa: RUF012

    def __init__(self) -> None:
        """Know nothing but the feed."""
        self.kept: dict[tuple[str, str], Json] = {}
        self.log = feed()

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Answer on a port of its own, whose address this is."""
        app = web.Application(middlewares=[self.gate], client_max_size=1 << 24)
        app.router.add_get("/v1/capabilities", self.get_capabilities)
        app.router.add_post("/v1/events", self.post_events)
        app.router.add_get("/v1/stores/{store}/changes", self.get_changes)
        app.router.add_post("/v1/identifiers/resolve", self.post_resolve)
        app.router.add_get("/v1/stores/{store}/gateways/{gateway}/configuration", self.get_configuration)
        app.router.add_post("/restart", self.post_restart)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    @web.middleware
    async def gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Let in who has the token."""
        if request.path != "/restart" and not self.allowed(request, request.headers.get("Authorization", "")):
            raise web.HTTPUnauthorized
        answer: web.StreamResponse = await handler(request)
        return answer

    def allowed(self, request: web.Request, authorization: str) -> bool:
        """Whether that is the token."""
        return authorization == f"Bearer {self.token}"

    def json(self, value: Any) -> web.Response:
        """Answer with 200."""
        return web.json_response(value)

    # events

    async def get_capabilities(self, request: web.Request) -> web.StreamResponse:
        """Say what is taken at once."""
        return self.json(self.limits)

    async def post_events(self, request: web.Request) -> web.StreamResponse:
        """Keep a batch."""
        raw = await self.unpacked(request)
        batch = self.parsed(raw)
        if len(raw) > self.limits["maxBytes"]:
            return self.too_large(request, batch)
        if len(batch) > (self.limits["maxBatch"] if self.limits["batch"] else 1):
            return self.too_many(batch)
        return self.json({"results": await self.results(batch)})

    async def unpacked(self, request: web.Request) -> bytes:
        """Return the body; aiohttp has unpacked it."""
        return await request.read()

    def parsed(self, raw: bytes) -> list[Json]:
        """Read the batch."""
        try:
            batch: list[Json] = json.loads(raw)
        except ValueError:
            raise web.HTTPBadRequest from None
        return batch

    def too_large(self, request: web.Request, batch: list[Json]) -> web.Response:
        """Answer too many bytes."""
        return web.Response(status=413)

    def too_many(self, batch: list[Json]) -> web.Response:
        """Answer too many events."""
        return web.Response(status=413)

    async def results(self, batch: list[Json]) -> list[Json]:
        """Return the results of a batch, in whatever order."""
        results = [self.result(event) for event in batch]
        random.shuffle(results)
        return results

    def result(self, event: Json) -> Json:
        """Judge and keep one event."""
        if why := self.misfit(event):
            problem = {"title": "an event that cannot be kept", "detail": why, "status": 422}
            return {"id": event["id"], "status": "rejected", "problem": problem}
        if self.key(event) in self.kept:
            return self.known(event)
        self.kept[self.key(event)] = event
        return {"id": event["id"], "status": "accepted"}

    def misfit(self, event: Json) -> str:
        """Say what is wrong with an event, if something is."""
        return "" if {"source", "type", "data"} <= event.keys() else "source, type or data is missing"

    def key(self, event: Json) -> tuple[str, str]:
        """Name an event for ever."""
        return event["source"], event["id"]

    def known(self, event: Json) -> Json:
        """Return the result of an event that is here."""
        return {"id": event["id"], "status": "duplicate"}

    # feed

    async def get_changes(self, request: web.Request) -> web.StreamResponse:
        """Give a page."""
        since = request.query.get("since")
        at = 0 if since is None else self.position(since)
        return self.json(self.page(at, int(request.query["limit"])))

    def cursor(self, at: int) -> str:
        """Write where somebody stands."""
        return f"{at}+/=한"

    def position(self, cursor: str) -> int:
        """Read it."""
        at = cursor.removesuffix("+/=한")
        if at == cursor or int(at) > len(self.log):
            raise web.HTTPGone
        return int(at)

    def page(self, at: int, limit: int) -> Json:
        """Return what comes after."""
        end = min(at + limit, len(self.log))
        return {"cursor": self.cursor(end), "more": end < len(self.log), "changes": self.log[at:end]}

    # resolve

    async def post_resolve(self, request: web.Request) -> web.StreamResponse:
        """Say whose a pseudonym is."""
        return self.json(self.resolved((await request.json())["pseudonym"]))

    def resolved(self, pseudonym: str) -> Any:
        """Look it up."""
        values = {change["key"]: change.get("value") for change in self.log}
        if pseudonym not in values:
            raise web.HTTPNotFound
        identifier = values[pseudonym]
        return {"customer": {"id": identifier["customer"], **values[identifier["customer"]]}, "identifier": identifier}

    # configuration

    async def get_configuration(self, request: web.Request) -> web.StreamResponse:
        """Give the newest one, unless it is there already."""
        if request.headers.get("If-None-Match") == self.etag():
            return web.Response(status=304)
        parts = {"alg": "EdDSA", "typ": "cartwire-configuration"}, self.configuration(**request.match_info)
        jws = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*map(dumps, parts), b"signed"))
        return web.Response(text=jws, content_type="application/jose", headers={"ETag": self.etag()})

    def etag(self) -> str:
        """Name it."""
        return '"7"'

    def configuration(self, store: str, gateway: str) -> Json:
        """Return what was signed."""
        return {"version": 7, "store": store, "gateway": gateway, "toml": "[floor]\nclaim = '9s'\n"}

    # restart

    async def post_restart(self, request: web.Request) -> web.Response:
        """Play a power cut."""
        self.restart()
        await asyncio.sleep(0)
        return web.Response()

    def restart(self) -> None:
        """Keep all."""
