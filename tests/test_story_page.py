"""The staff's page on the whole daemon: its stream across kills, and that a cut of broker or platform is seen."""

from __future__ import annotations

import asyncio
import random
import re
import resource
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bands import BAND
from peers.day import SEED
from peers.page import Page
from peers.process import until
from peers.proxy import Proxy
from peers.store import Store

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Mosquitto
    from peers.proxy import State

PERSON = {"name": "kim", "secret": "1379"}


async def cookie(store: Store) -> str:
    """Log in, as the first person at the first time; return the cookie."""
    base = f"http://127.0.0.1:{store.port}/api"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        session = await (await browser.get(f"{base}/session")).json()
        token, path, body = {"X-CSRF-Token": session["csrf"]}, "session", PERSON
        if session["setup"]:
            said = re.search("the setup code is ([0-9 ]+)", store.log.read_text())
            assert said
            path, body = "setup", {**PERSON, "code": said[1]}
        answer = await browser.post(f"{base}/{path}", json=body, headers=token)
        assert answer.status in (200, 201), await answer.text()
        return "; ".join(f"{one.key}={one.value}" for one in browser.cookie_jar)


async def test_where_no_file_can_be_opened_the_shop_goes_on(tmp_path: Path, ended: ExitStack) -> None:
    """As when somebody has opened more connections to the page than the daemon may have files."""
    store = Store(tmp_path / "store")
    ended.callback(store.close)
    store.start()
    await asyncio.to_thread(store.ready)
    page = Page(f"http://127.0.0.1:{store.port}/api/events")
    async with page.open(Cookie=await cookie(store)):
        await page.until(lambda: bool(page.of("status")))
        limits = resource.prlimit(store.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(store.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        await asyncio.to_thread(until, lambda: "is not known" in store.log.read_text(), "a report that fails", 10)
        await asyncio.to_thread(store.scan, 1)
        await page.until(lambda: "inside.scan_held" in [row["kind"] for row in page.rows])
        resource.prlimit(store.pid, resource.RLIMIT_NOFILE, limits)
        told = len(page.of("status"))
        await page.until(lambda: len(page.of("status")) > told)
    assert store.running


def shown(store: Store) -> list[int]:
    with closing(sqlite3.connect(f"file:{store.data}/cartwire.db?mode=ro", uri=True)) as database:
        found = database.execute("SELECT seq FROM row WHERE kind <> 'inside.erased' ORDER BY seq")
        return [seq for (seq,) in found]


async def test_no_gap_and_nothing_twice_across_kills(tmp_path: Path, ended: ExitStack) -> None:
    """A page goes on where it was when the daemon is back; what it shows is what is on the disk."""
    store, chance = Store(tmp_path / "store"), random.Random(SEED)
    ended.callback(store.close)
    page = Page(f"http://127.0.0.1:{store.port}/api/events")
    number = 0
    for _ in range(4):
        store.start()
        await asyncio.to_thread(store.ready)
        async with page.open(Cookie=await cookie(store)):
            assert page.status == 200
            end = time.monotonic() + chance.uniform(0.3, 1.5)
            while time.monotonic() < end:
                number += 1
                await asyncio.to_thread(*((store.tap, BAND) if number % 9 == 0 else (store.scan, number)))
                await asyncio.sleep(0.01)
            store.kill()
    store.start()
    await asyncio.to_thread(store.ready)
    async with page.open(Cookie=await cookie(store)):
        await page.until(lambda: [row["seq"] for row in page.rows] == shown(store))
    assert page.resets == 1
    assert number > 50


@pytest.mark.parametrize("end", ["broker", "platform"])
async def test_a_cut_is_seen_though_nothing_is_sent(
    end: str, broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack
) -> None:
    """Within 3 s if it closes or refuses, 20 s if it falls silent; and its end within 5 s."""
    proxy = await asyncio.to_thread(Proxy, broker.port if end == "broker" else platform.port)
    ended.callback(proxy.close)
    urls = {"broker": broker.url, "platform": str(platform.table["url"])}
    port = str(broker.port if end == "broker" else platform.port)
    urls[end] = urls[end].replace(port, str(proxy.port))
    table = {**platform.table, "url": urls["platform"], "poll": "60s"}
    store = Store(tmp_path / "store", cart={"broker": urls["broker"], "protocol": broker.protocol}, platform=table)
    ended.callback(store.close)
    store.start()
    await asyncio.to_thread(store.ready)
    page = Page(f"http://127.0.0.1:{store.port}/api/events")

    def online() -> bool:
        return bool(page.of("status")) and bool(page.of("status")[-1]["online"])

    async with page.open(Cookie=await cookie(store)):
        await page.until(online, 10)
        cuts: list[tuple[State, float]] = [("refuse", 3), ("reset", 3), ("silent", 20)]
        for cut, seconds in cuts:
            await asyncio.to_thread(proxy.set, cut)
            begun = time.monotonic()
            await page.until(lambda: not online(), seconds)
            seen = time.monotonic() - begun
            await asyncio.sleep(3)
            await asyncio.to_thread(proxy.set, "up")
            begun = time.monotonic()
            await page.until(online, 5)
            print(f"{end}, {cut}: seen after {seen:.1f} s, its end after {time.monotonic() - begun:.1f} s")
    until(lambda: platform.problems() == [], "nothing against the contract")
