"""`cartwire demo`: opens the store and its page, and closes all of it at Ctrl-C or with who started it."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import signal
import socket
import tempfile
import webbrowser
from contextlib import AsyncExitStack, suppress
from typing import Any

import msgspec

from edge import broker, settings, terminal
from edge.demo import staff
from edge.demo.acts import Acts
from edge.demo.folder import folder
from edge.demo.gate import Gate
from edge.demo.hands import DOOR, Hands, Shopper
from edge.demo.judge import Judge
from edge.demo.scene import READ_POINTS, Scene
from edge.demo.stage import Stage
from edge.demo.store import HERE, TIMEZONE, Store, StoreError
from edge.demo.watch import watch

_TEXTS = {
    "ko": {
        "starting": "매장을 여는 중입니다 …",
        "opened": (
            "매장이 열렸습니다. 브라우저에서 여세요:\n\n"
            "  {page}\n\n"
            "{others}"
            "  직원 화면      {staff}   {name}, PIN {pin}\n"
            "  이벤트 보기    cartwire events --follow --config {config}\n"
            "  상태 보기      cartwire status --config {config}\n\n"
            "Ctrl-C를 누르면 모두 닫힙니다."
        ),
        "others": "  다른 기기      {url}\n",
        "once": (
            "링크는 10분 안에 한 번만 쓸 수 있습니다. 새 링크는 화면의 '다른 기기'에서 만듭니다.\n"
            "아무도 들어오지 못했다면 데모를 다시 시작하세요."
        ),
        "ended": "매장을 닫았습니다.",
    },
    "en": {
        "starting": "Opening the store …",
        "opened": (
            "The store is open. See it in a browser:\n\n"
            "  {page}\n\n"
            "{others}"
            "  staff's page   {staff}   {name}, PIN {pin}\n"
            "  see events     cartwire events --follow --config {config}\n"
            "  see its state  cartwire status --config {config}\n\n"
            "Ctrl-C closes all of it."
        ),
        "others": "  other devices  {url}\n",
        "once": (
            "A link works once, within 10 minutes. The page makes others: Another device.\n"
            "If nobody has come in, start the demo again."
        ),
        "ended": "The store is closed.",
    },
}
_OPENS = 30.0
"""Seconds the gateway may take to say that it takes readings."""


class CannotOpen(Exception):
    """The demo cannot be opened; the text says why and what to do."""


def main(arguments: argparse.Namespace) -> int:
    """Runs until Ctrl-C. Raises CannotOpen."""
    broker.end_with_parent()
    language = arguments.language or terminal.language()
    host, port = _address(arguments.listen)
    try:
        with folder() as path:
            logging.basicConfig(filename=path / "demo.log", level=logging.INFO)
            asyncio.run(_until_stopped(_run(Store(path), host, port, language, arguments)))
    except KeyboardInterrupt:
        pass
    except (broker.BrokerError, StoreError) as error:
        raise CannotOpen(f"demo: {error}") from None
    except OSError as error:
        raise CannotOpen(f"demo: {error.filename or tempfile.gettempdir()}: {error.strerror or error}") from None
    print(_TEXTS[language]["ended"], flush=True)
    return 0


async def _until_stopped(work: Any) -> None:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        try:
            await task
        except BaseExceptionGroup as group:
            raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    """What a task has met, out of the groups that it comes in."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _address(listen: str | None) -> tuple[str, int]:
    try:
        return settings.address(listen or "127.0.0.1:0")
    except ValueError as error:
        raise CannotOpen(f"demo --listen: {error}; give HOST:PORT") from None


async def _run(store: Store, host: str, port: int, language: str, arguments: argparse.Namespace) -> None:
    texts = _TEXTS[language]
    print(texts["starting"], flush=True)
    catalogue = json.loads((HERE / "catalogue.json").read_text("utf-8"))
    changes, shoppers = catalogue["changes"], msgspec.convert(catalogue["shoppers"], list[Shopper])
    customers = {shopper.customer: shopper for shopper in shoppers}
    judge = Judge({change["key"]: change["value"]["cart"] for change in changes if change["kind"] == "customer"})
    scene = Scene(judge, lambda: stage.changed())
    hands = Hands(store.readings, customers, judge, lambda: stage.changed(), lambda: acts.doubtful())
    acts = Acts(store, hands, scene, {change["key"]: change for change in changes if change["key"] in customers})
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listening(host, port))
        port = listening.getsockname()[1]
        gate = Gate(host, port, asks=arguments.listen is not None)
        stage = Stage(store, scene, acts, gate, {}, f"http://{_reached(host)}:{port}")
        here = f"http://127.0.0.1:{port}" if host in settings.ALL else stage.url
        await stack.enter_async_context(store.open(changes, f"http://127.0.0.1:{port}", language))
        stack.push_async_callback(hands.close)
        stage.fixed |= {
            "run": store.folder.name,
            "language": arguments.language,
            "staff": f"http://127.0.0.1:{store.page_port}",
            "timezone": TIMEZONE,
            "asks": gate.asks,
            "read_points": [*READ_POINTS, DOOR],
            "shoppers": [{key: getattr(each, key) for key in ("customer", "cart", "name")} for each in shoppers],
            "products": [_product(change) for change in changes if change["kind"] == "product"],
        }
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(store, scene))
            await _taking(store, scene)
            stage.fixed["clerk"] = clerk = {"name": staff.NAME, "pin": await staff.set_up(store)}
            await stack.enter_async_context(stage.serve(listening))
            group.create_task(stage.draw())
            group.create_task(_play(hands, stage))
            others = texts["others"].format(url=stage.link()) if here != stage.url else ""
            said = {"page": stage.link(url=here), "others": others, "staff": stage.fixed["staff"]}
            print(texts["opened"].format(**said, **clerk, config=store.config), flush=True)
            if gate.asks:
                print(texts["once"], flush=True)
            if not arguments.no_browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
                await asyncio.to_thread(webbrowser.open, stage.link(url=here))


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()  # all addresses are those of IPv4, too
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        why = f"{host}:{port} cannot be had ({settings.reason(error)})"
        raise CannotOpen(f"demo --listen: {why}; choose another address or port") from None


async def _play(hands: Hands, stage: Stage) -> None:
    """The day begins when there is a phone that sees it: what is pushed to nobody is pushed again a minute later."""
    await stage.visited.wait()
    await hands.play_day((HERE / "day.jsonl").read_text())


async def _taking(store: Store, scene: Scene) -> None:
    """Until the gateway takes readings, its feed pulled. Raises StoreError."""
    try:
        async with asyncio.timeout(_OPENS):
            while scene.status is None or scene.trouble or scene.status["feed"]["age_seconds"] is None:
                if trouble := store.trouble():
                    raise StoreError(f"the gateway did not start: {trouble}")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise StoreError(f"the gateway took no readings within {_OPENS:g} s; is this machine very busy?") from None


def _product(change: dict[str, Any]) -> dict[str, Any]:
    return {"gtin": change["key"], "name": change["value"]["name"], "price": change["value"]["price"]}


def _reached(host: str) -> str:
    """By which address others reach us: of all of them, the one that leads out; nothing is sent."""
    if host not in settings.ALL:
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        return str(ipaddress.ip_address(probe.getsockname()[0]))
    return "127.0.0.1"
