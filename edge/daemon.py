"""The daemon: opens what a gateway needs, runs it, and judges how it ended.

It comes up also where the disk has no room even for its start: then it says so at `/healthz`, and waits.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from edge import broker, control, notify, people, salvage, settings
from edge.adopted import State
from edge.database import FILE, RETRY, Broken, Damaged, Database, DatabaseError, Full
from edge.envelope import Unreadable
from edge.gateway import Gateway
from edge.health import Trouble
from edge.journald import about
from edge.people import SetupCode
from edge.plan import CannotStart, Plan
from edge.remote import Remote
from sync.mqtt import Server
from sync.tls import Login

if TYPE_CHECKING:
    from edge.kiosk.shop import Shop

log = logging.getLogger(__name__)
_E = TypeVar("_E", bound=BaseException)


@dataclass(slots=True)
class _Front:
    """What the page's server can say, also while there is no gateway yet."""

    gateway: Gateway | None = None
    waiting: str = ""
    """What the start waits for."""

    def wait_for(self, reason: str) -> None:
        if not self.waiting:
            log.error("taps and scans are refused: %s", reason, extra=about(disk="data", state="full"))
        self.waiting = reason
        notify.tell(f"STATUS={reason}")

    def trouble(self) -> Trouble | None:
        if self.gateway:
            return self.gateway.trouble()
        return Trouble("disk", self.waiting) if self.waiting else Trouble("starting", "starting")

    async def status(self) -> dict[str, Any]:
        return await self.gateway.status() if self.gateway else {}

    def shop(self) -> Shop | None:
        return self.gateway.shop if self.gateway else None


async def run(plan: Plan, state: State, restart: Callable[[], None]) -> None:
    """The daemon, until it is cancelled, in a data folder that is its own. Raises CannotStart before all else.

    `state`: of the remote configuration; `restart` has us cancelled, and then started anew.
    """
    config, data = plan.config, plan.config.store.data
    front, setup = _Front(), SetupCode()
    remote = Remote(plan.path, config, state, restart) if config.remote else None
    async with AsyncExitStack() as stack:
        if config.kiosk:
            await stack.enter_async_context(_page(plan, config.kiosk, front, setup))
        server = plan.broker
        if config.cart and config.cart.broker == "embedded":
            server = await stack.enter_async_context(_embedded(plan, config.cart))
        front.gateway = gateway = await _opened(plan, server, remote, front.wait_for)
        if front.waiting:
            log.warning("there is room again", extra=about(disk="data", state="ok"))
        stack.callback(gateway.database.close)
        if config.kiosk:
            _invite(gateway.database, config.kiosk, setup)
        reset = partial(_reset, gateway, config.kiosk, setup)
        await stack.enter_async_context(control.serve(data, {**gateway.answers, "reset-staff": reset}))
        try:
            await gateway.run()
        except BaseExceptionGroup as group:
            broken = _first(group, Broken)
            if read := _first(group, sqlite3.DatabaseError) or _first(group, Unreadable):
                broken = broken or gateway.database.judge(read)
            if broken:
                raise broken from None
            raise


async def _opened(plan: Plan, server: Server | None, remote: Remote | None, wait_for: Callable[[str], None]) -> Gateway:
    """The gateway, as soon as the disk has room for its start. Raises CannotStart, Broken."""
    while True:
        try:
            return _open(plan, server, remote)
        except Full as error:
            wait_for(f"the disk takes nothing: {error}")
            await asyncio.sleep(RETRY)


def _open(plan: Plan, server: Server | None, remote: Remote | None) -> Gateway:
    """The gateway on its database. Raises CannotStart, Broken, Full."""
    path = plan.config.store.data / FILE
    try:
        database = salvage.opened(path)
        try:
            return Gateway(plan, database, server, remote)
        except Full:
            database.close()
            raise
        except Damaged as error:  # what no check of the tree sees: a row that is no event any more
            log.error("%s", error)
            database.close()
            return Gateway(plan, salvage.opened(path), server, remote)
    except DatabaseError as error:
        raise CannotStart(f"{plan.path}: [store] data: {error}") from None


@asynccontextmanager
async def _page(plan: Plan, kiosk: settings.Kiosk, front: _Front, setup: SetupCode) -> AsyncIterator[None]:
    from edge.kiosk.server import serve

    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(serve(kiosk, front.trouble, front.status, front.shop, setup, plan.page_tls))
        except OSError as error:
            raise CannotStart(
                f"{plan.path}: [kiosk] listen: {kiosk.listen} cannot be had"
                f" ({settings.reason(error)}); choose another port"
            ) from None
        yield


def _invite(database: Database, kiosk: settings.Kiosk, setup: SetupCode) -> None:
    """While nobody may log in: says how the first manager gets in, once."""
    with closing(database.reader()) as connection:
        if not people.listed(connection):
            log.warning("nobody may use the staff's page yet: open %s, the setup code is %s", kiosk.url, setup.make())


async def _reset(gateway: Gateway, kiosk: settings.Kiosk | None, setup: SetupCode) -> dict[str, Any]:
    """Everybody's PIN is void; where the first manager makes a new one, with which code."""
    if not kiosk:
        return {"error": "there is no [kiosk], and so no staff's page"}
    answer = await gateway.dismiss_all()
    return answer if "error" in answer else {**answer, "url": kiosk.url, "code": setup.make()}


@asynccontextmanager
async def _embedded(plan: Plan, cart: settings.Cart) -> AsyncIterator[Server]:
    try:
        async with broker.running(plan.config.store.data, *cart.own, plan.apps, cart.max_age) as running:
            log.info("cart: the embedded broker listens on %s:%d", running.host, running.port)
            user, password = (broker.USER, running.password) if plan.apps is not None else (None, None)
            assert plan.broker
            at = running.host, running.port
            yield replace(plan.broker, host=at[0], port=at[1], username=user, login=lambda: Login(password))
    except broker.BrokerError as error:
        raise CannotStart(f"{plan.path}: [cart] {error.key}: {error}") from None


def _first(group: BaseExceptionGroup[BaseException], kind: type[_E]) -> _E | None:
    """The first error of that kind in a group of groups."""
    for error in group.exceptions:
        found = _first(error, kind) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, kind):
            return found
    return None
