"""The store's local HTTP server: the staff's page and its API, whether the gateway can take readings, its metrics."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from edge import settings
from edge.clock import boottime
from edge.health import Trouble
from edge.kiosk import api, metrics, problems, shoppers, stream
from edge.kiosk.call import LARGEST, Call
from edge.kiosk.entry import Entry
from edge.kiosk.files import HERE, Files
from edge.kiosk.guard import guard, hardening
from edge.kiosk.problems import Problem
from edge.kiosk.sessions import Sessions
from edge.kiosk.shop import Shop
from edge.people import SetupCode

_unheard = logging.getLogger(f"{__name__}.unheard")
"""For what aiohttp says of requests that are no HTTP: it would print what they carry."""
_unheard.addHandler(logging.NullHandler())
_unheard.propagate = False

_SEQ = "{seq:[1-9][0-9]{0,14}}"
_UUID = "{id:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"
_Operation = Callable[[Call], Awaitable[web.StreamResponse]]


def _operations(entry: Entry) -> list[tuple[str, str, str, _Operation]]:
    """Name, method and path as in the OpenAPI document; what does not fit a path's form is not found."""
    person, shopper = "/api/people/{name:[a-z0-9-]{1,32}}", "/api/shoppers/{id}"
    return [
        ("getSession", "GET", "/api/session", entry.get_session),
        ("logIn", "POST", "/api/session", entry.log_in),
        ("logOut", "DELETE", "/api/session", entry.log_out),
        ("changeSecret", "PUT", "/api/session/secret", entry.change_secret),
        ("setUp", "POST", "/api/setup", entry.set_up),
        ("getPeople", "GET", "/api/people", entry.get_people),
        ("putPerson", "PUT", person, entry.put_person),
        ("deletePerson", "DELETE", person, entry.delete_person),
        ("getFloor", "GET", "/api/floor", api.get_floor),
        ("closeStore", "POST", "/api/floor/close", api.close_store),
        ("endSession", "DELETE", "/api/read-points/{read_point}/session", api.end_session),
        ("train", "PUT", "/api/read-points/{read_point}/training", api.train),
        ("findShoppers", "GET", "/api/shoppers", shoppers.find_shoppers),
        ("getShopper", "GET", shopper, shoppers.get_shopper),
        ("eraseShopper", "DELETE", shopper, shoppers.erase_shopper),
        ("exportShopper", "GET", f"{shopper}/export", shoppers.export_shopper),
        ("bindBand", "POST", f"{shopper}/bands", shoppers.bind_band),
        ("unbindBand", "DELETE", f"{shopper}/bands/{{pseudonym:[0-9a-f]{{64}}}}", shoppers.unbind_band),
        ("removeItem", "POST", f"/api/items/{_SEQ}/removal", shoppers.remove_item),
        ("pushAgain", "POST", f"/api/items/{_SEQ}/push", shoppers.push_again),
        ("getUnclaimed", "GET", "/api/unclaimed", shoppers.get_unclaimed),
        ("giveScan", "POST", f"/api/unclaimed/{_SEQ}/gift", shoppers.give_scan),
        ("readAtDesk", "POST", "/api/desk", api.read_at_desk),
        ("getIntents", "GET", "/api/intents", api.get_intents),
        ("takeBack", "DELETE", f"/api/intents/{_UUID}", api.take_back),
        ("findProducts", "GET", "/api/products", api.find_products),
        ("getProduct", "GET", "/api/products/{gtin:[0-9]{14}}", api.get_product),
        ("getMissing", "GET", "/api/missing", api.get_missing),
        ("getStatus", "GET", "/api/status", api.get_status),
        ("getHistory", "GET", "/api/history", api.get_history),
        ("getRejected", "GET", "/api/rejected", api.get_rejected),
        ("retryRejected", "POST", "/api/rejected/retry", api.retry_rejected),
        ("dropRejected", "POST", "/api/rejected/drop", api.drop_rejected),
        ("pullNow", "POST", "/api/pull", api.pull_now),
        ("restartDriver", "POST", "/api/drivers/{driver}/restart", api.restart_driver),
        ("beep", "POST", "/api/drivers/{driver}/beep", api.beep),
    ]


@asynccontextmanager
async def serve(
    kiosk: settings.Kiosk,
    trouble: Callable[[], Trouble | None],
    status: Callable[[], Awaitable[dict[str, Any]]],
    shop: Callable[[], Shop | None],
    setup: SetupCode,
    tls: ssl.SSLContext | None = None,
    now: Callable[[], float] = boottime,
) -> AsyncIterator[None]:
    """Serves the page; `/healthz`: 200, or 503 with the trouble and its code; and `/metrics`.

    `shop`: None until the gateway is there; then the API answers 503. Raises OSError if the address cannot be had.
    """
    sessions = Sessions(now)
    app = web.Application(middlewares=[problems.answered, guard(kiosk, sessions).admit], client_max_size=LARGEST)
    app.on_response_prepare.append(hardening(kiosk.frame_ancestors))
    _add_public(app, trouble, status)

    def opened() -> Shop:
        found = shop()
        if found is None:
            raise Problem("starting")
        if sessions.committed not in found.intake.committed:
            found.intake.committed.append(sessions.committed)
        return found

    def handler(operation: _Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await operation(Call(request, opened()))

        return handle

    async def events(call: Call) -> web.StreamResponse:
        assert call.person
        person, token = call.person, call.token
        return await stream.stream(call.request, call.shop, person.role, lambda: sessions.person(token) == person)

    entry = Entry(kiosk, sessions, setup, now)
    for name, method, path, operation in [*_operations(entry), ("getEvents", "GET", "/api/events", events)]:
        app.router.add_route(method, path, handler(operation), name=name)
    runner = web.AppRunner(app, access_log=None, logger=_unheard, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, *settings.address(kiosk.listen), ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


def _add_public(
    app: web.Application, trouble: Callable[[], Trouble | None], status: Callable[[], Awaitable[dict[str, Any]]]
) -> None:
    files, document = Files(HERE / "static"), Files(HERE)

    async def healthz(_: web.Request) -> web.Response:
        found = trouble()
        said = {"code": found.code, "reason": found.text} if found else {"code": None, "reason": None}
        return web.json_response({"ok": found is None, **said}, status=503 if found else 200)

    async def prometheus(_: web.Request) -> web.Response:
        text = metrics.render(trouble(), await status())
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def page(request: web.Request) -> web.StreamResponse:
        return await files.send(request, request.match_info.get("name", "index.html"))

    async def described(request: web.Request) -> web.StreamResponse:
        return await document.send(request, "openapi.yaml")

    app.router.add_get("/healthz", healthz, name="healthz")
    app.router.add_get("/metrics", prometheus, name="metrics")
    app.router.add_get("/", page, name="page")
    app.router.add_get("/static/{name:.+}", page, name="static")
    app.router.add_get("/api/openapi.yaml", described, name="getDocument", allow_head=False)
