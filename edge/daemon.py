"""The daemon: opens what a gateway needs, runs it, and judges how it ended.

It comes up also where the disk has no room even for its start: then it says so at `/healthz`, and waits.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from edge import broker, control, salvage, settings
from edge.database import FILE, Broken, Damaged, DatabaseError, Full
from edge.envelope import Unreadable
from edge.gateway import Gateway
from edge.intake import FULL
from edge.plan import CannotStart, Plan, locked
from sync.mqtt import Server

log = logging.getLogger(__name__)
_E = TypeVar("_E", bound=BaseException)


async def run(plan: Plan) -> None:
    """The daemon, until it is cancelled. Raises CannotStart before anything has begun."""
    config, data = plan.config, plan.config.store.data
    gateway: Gateway | None = None
    waiting = "starting"

    def wait_for(reason: str) -> None:
        nonlocal waiting
        if waiting == "starting":
            log.error("taps and scans are refused: %s", reason)
        waiting = reason

    def trouble() -> str | None:
        return gateway.trouble() if gateway else waiting

    async def report() -> dict[str, Any]:
        return await gateway.status() if gateway else {}

    async with AsyncExitStack() as stack:
        stack.enter_context(locked(plan))
        if config.kiosk:
            await stack.enter_async_context(_page(plan, config.kiosk, trouble, report))
        server = plan.broker
        if config.cart and config.cart.broker == "embedded":
            server = await stack.enter_async_context(_embedded(plan, config.cart))
        gateway = await _opened(plan, server, wait_for)
        stack.callback(gateway.database.close)
        await stack.enter_async_context(control.serve(data, gateway.answers))
        try:
            await gateway.run()
        except BaseExceptionGroup as group:
            broken = _first(group, Broken)
            if read := _first(group, sqlite3.DatabaseError) or _first(group, Unreadable):
                broken = broken or gateway.database.judge(read)
            if broken:
                raise broken from None
            raise


async def _opened(plan: Plan, server: Server | None, wait_for: Callable[[str], None]) -> Gateway:
    """The gateway, as soon as the disk has room for its start. Raises CannotStart, Broken."""
    while True:
        try:
            return _open(plan, server)
        except Full as error:
            wait_for(f"the disk takes nothing: {error}")
            await asyncio.sleep(FULL)


def _open(plan: Plan, server: Server | None) -> Gateway:
    """The gateway on its database. Raises CannotStart, Broken, Full."""
    path = plan.config.store.data / FILE
    try:
        database = salvage.opened(path)
        try:
            return Gateway(plan, database, server)
        except Full:
            database.close()
            raise
        except Damaged as error:  # what no check of the tree sees: a row that is no event any more
            log.error("%s", error)
            database.close()
            return Gateway(plan, salvage.opened(path), server)
    except DatabaseError as error:
        raise CannotStart(f"{plan.path}: [store] data: {error}") from None


@asynccontextmanager
async def _page(
    plan: Plan,
    kiosk: settings.Kiosk,
    trouble: Callable[[], str | None],
    report: Callable[[], Awaitable[dict[str, Any]]],
) -> AsyncIterator[None]:
    from edge.kiosk.server import serve

    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(serve(*settings.address(kiosk.listen), trouble, report))
        except OSError as error:
            raise CannotStart(
                f"{plan.path}: [kiosk] listen: {kiosk.listen} cannot be had"
                f" ({settings.reason(error)}); choose another port"
            ) from None
        yield


@asynccontextmanager
async def _embedded(plan: Plan, cart: settings.Cart) -> AsyncIterator[Server]:
    try:
        async with broker.running(plan.config.store.data, *cart.own, plan.apps, cart.max_age) as running:
            log.info("cart: the embedded broker listens on %s:%d", running.host, running.port)
            login = (broker.USER, running.password) if plan.apps is not None else (None, None)
            assert plan.broker
            yield replace(plan.broker, host=running.host, port=running.port, username=login[0], password=login[1])
    except broker.BrokerError as error:
        raise CannotStart(f"{plan.path}: [cart] {error.key}: {error}") from None


def _first(group: BaseExceptionGroup[BaseException], kind: type[_E]) -> _E | None:
    """The first error of that kind in a group of groups."""
    for error in group.exceptions:
        found = _first(error, kind) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, kind):
            return found
    return None
