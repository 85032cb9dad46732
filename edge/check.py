"""`cartwire check`: is everything that the configuration names usable, and if not, what is to be done?"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

from edge import broker, certificate, control
from edge.adopted import State
from edge.clock import synchronised
from edge.document import Refused
from edge.model import Reading, Ready
from edge.plan import Plan
from edge.ports import DeviceLost, Driver, Unavailable
from edge.settings import ALL, Cart, Kiosk, Remote, address
from sync import mqtt
from sync.platform import Platform

_READY = 5.0
"""Seconds a driver may take to have its device."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: whether it is usable, and what was seen or is to be done."""

    part: str
    usable: bool
    text: str


class _Ready(Exception):
    """The driver has its device: enough is known."""


async def check(plan: Plan, state: State) -> AsyncIterator[Finding]:
    """A finding for each part; `state` is that of the remote configuration.

    A running daemon is asked about its drivers and its broker, not disturbed: a broker may know us by our certificate
    alone, and would end the daemon's connection for ours.
    """
    yield disk(plan)
    clock = "synchronised" if synchronised() else "not synchronised; set up time synchronisation (systemd-timesyncd)"
    yield Finding("clock", synchronised(), clock)
    try:
        answer = await asyncio.to_thread(control.ask, plan.config.store.data, "status")
    except control.NoDaemon:
        answer = None
    if plan.config.cart and plan.config.cart.broker == "embedded":
        yield _embedded(plan.config.cart, running=answer is not None)
    elif plan.broker and answer and (sink := answer["sinks"].get("cart")):
        yield Finding("broker", sink["state"] == "ok", f"{sink['reason'] or sink['state']}, says the running daemon")
    elif plan.broker:
        yield await _broker(plan)
    if plan.config.platform:
        yield await _platform(plan)
    for finding in _ours(plan, state):
        yield finding
    if answer is None:
        for kind, driver in plan.drivers:
            yield await _driver(f"{kind}@{driver.read_point}", driver)
    else:
        for driver in answer["drivers"]:
            text = driver["reason"] or f"{driver['state']}, says the running daemon"
            yield Finding(driver["driver"], driver["state"] != "lost", text)


def disk(plan: Plan) -> Finding:
    """Whether there is room for what the configuration wants to keep."""
    store = plan.config.store
    folder = next(path for path in (store.data, *store.data.parents) if path.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("disk", False, f"{folder} cannot be written; give it to the user of the daemon")
    free = shutil.disk_usage(folder).free
    if free < store.reserve:
        return Finding("disk", False, f"{free // 10**6} MB free, less than the reserve; make room or lower capacity")
    return Finding("disk", True, f"{store.data}: {free // 10**6} MB free")


def _embedded(cart: Cart, *, running: bool) -> Finding:
    try:
        if not running:  # else it has its ports itself
            broker.usable(*cart.own)
    except broker.BrokerError as error:
        return Finding("broker", False, f"[cart] {error.key}: {error}")
    return Finding("broker", True, "embedded, and runs" if running else "embedded; `cartwire run` starts it")


async def _broker(plan: Plan) -> Finding:
    assert plan.broker
    server = replace(plan.broker, client_id=f"{plan.broker.client_id}-check", session_expiry=0)
    try:
        async with mqtt.connect(server, None, lambda _: None):
            return Finding("broker", True, f"{server.host}:{server.port} takes us")
    except Unavailable as error:
        return Finding("broker", False, str(error))


async def _platform(plan: Plan) -> Finding:
    assert plan.config.platform
    url = plan.config.platform.url
    platform = Platform(url, plan.logins["platform"])
    try:
        async with platform.opened():
            answer = await platform.call("GET", "/v1/capabilities")
    except Unavailable as error:
        return Finding("platform", False, str(error))
    if answer.status != 200:
        return Finding("platform", False, f"{url} answers {answer.status}; is the address right?")
    return Finding("platform", True, f"{url} answers")


def _ours(plan: Plan, state: State) -> Iterator[Finding]:
    if plan.config.remote:
        yield _remote(plan.config.remote, state)
    if plan.config.kiosk and plan.page_tls:
        yield _page(plan.config.kiosk, plan.page_tls)


def _remote(remote: Remote, state: State) -> Finding:
    from edge import signed

    try:
        for key in remote.keys:
            signed.public_key(key)
    except Refused as error:
        return Finding("remote", False, f"[remote] {error}")
    standing = f"version {state.in_force.document.version} is in force" if state.in_force else "none is in force"
    if not state.refused:
        return Finding("remote", True, standing)
    version = state.refused.version or ""
    refused = f"version {version} is refused: {state.refused.reason}; sign a higher one; {standing}"
    return Finding("remote", False, refused)


def _page(kiosk: Kiosk, tls: ssl.SSLContext) -> Finding:
    """Whether the page is reached over TLS by each of its names."""
    assert kiosk.cert_file
    host, until = address(kiosk.listen)[0], ""
    if not kiosk.names and host in ALL:
        return Finding("page", False, "[kiosk] names: is empty; name the hosts that the page is reached by")
    for name in kiosk.names or (host,):
        try:
            until = certificate.valid_until(tls, kiosk.cert_file, name)
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason
            return Finding("page", False, f"{kiosk.cert_file}: {why}; have a certificate issued for {name}")
    return Finding("page", True, f"{kiosk.url}, its certificate is valid until {until}")


async def _driver(name: str, driver: Driver) -> Finding:
    async def emit(reading: Reading) -> None:
        if isinstance(reading, Ready):
            raise _Ready

    try:
        async with asyncio.timeout(_READY):
            await driver.run(emit)
    except _Ready:
        return Finding(name, True, "ready")
    except DeviceLost as error:
        return Finding(name, False, str(error))
    except TimeoutError:
        return Finding(name, False, f"not ready within {_READY:.0f} s; is the device attached and powered?")
    return Finding(name, True, "done at once: there is nothing to read")
