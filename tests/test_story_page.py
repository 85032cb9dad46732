"""The staff's page on the whole daemon: its stream across kills, and that a cut of broker or platform is seen."""

from __future__ import annotations

import random
import resource
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bands import BAND
from peers.day import SEED
from peers.process import BUSY, until
from peers.proxy import Proxy
from peers.staff import Staff
from peers.store import Store
from peers.stream import Stream

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Mosquitto
    from peers.proxy import State

PERSON = ("kim", "1379")


def listening(store: Store, last: str = "") -> Stream:
    """Listen as the first person, who logs in, at the first time by the setup code."""
    kim = Staff(store.port)
    if kim.does("getSession")["setup"]:
        kim.set_up(store.setup_code(), *PERSON)
    else:
        kim.log_in(*PERSON)
    stream = Stream(kim, last).open()
    assert stream.status == 200
    return stream


def shown(store: Store) -> list[int]:
    with closing(sqlite3.connect(f"file:{store.data}/cartwire.db?mode=ro", uri=True)) as database:
        found = database.execute("SELECT seq FROM row WHERE kind <> 'inside.erased' ORDER BY seq")
        return [seq for (seq,) in found]


def test_no_gap_and_nothing_twice_across_kills(tmp_path: Path, ended: ExitStack) -> None:
    """A page goes on where it was when the daemon is back; what it shows is what is on the disk."""
    store, chance = Store(tmp_path / "store"), random.Random(SEED)
    ended.callback(store.close)
    number, last, resets = 0, "", 0
    rows: list[int] = []
    for _ in range(4):
        store.start()
        store.ready()
        with closing(listening(store, last)) as stream:
            end = time.monotonic() + chance.uniform(0.3, 1.5)
            while (now := time.monotonic()) < end:
                number += 1
                if number % 9 == 0:
                    store.tap(BAND)
                else:
                    store.scan(number)
                until(lambda now=now: time.monotonic() > now + 0.01, "the next")  # type: ignore[misc]
            store.kill()
        last, resets = stream.last, resets + stream.resets
        rows += [row["seq"] for row in stream.rows]
        assert stream.problems == []
    store.start()
    store.ready()
    with closing(listening(store, last)) as stream:
        until(lambda: rows + [row["seq"] for row in stream.rows] == shown(store), "what is on the disk")
    assert resets + stream.resets == 1
    assert number > 50


def test_where_no_file_can_be_opened_the_shop_goes_on(tmp_path: Path, ended: ExitStack) -> None:
    """As when somebody has opened more connections to the page than the daemon may have files."""
    store = Store(tmp_path / "store")
    ended.callback(store.close)
    store.start()
    store.ready()
    with closing(listening(store)) as stream:
        until(lambda: stream.of("status"), "a status")
        limits = resource.prlimit(store.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(store.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        until(lambda: "is not known" in store.log.read_text(), "a report that fails")
        store.scan(1)
        until(lambda: "inside.scan_held" in [row["kind"] for row in stream.rows], "the scan")
        resource.prlimit(store.pid, resource.RLIMIT_NOFILE, limits)
        told = len(stream.of("status"))
        until(lambda: len(stream.of("status")) > told, "the next status")
    assert stream.problems == []
    assert store.running


@pytest.mark.parametrize("end", ["broker", "platform"])
def test_a_cut_is_seen_though_nothing_is_sent(
    end: str, broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack
) -> None:
    """Within 3 s if it closes or refuses, 20 s if it falls silent; and its end within 5 s. On a busy machine later."""
    proxy = Proxy(broker.port if end == "broker" else platform.port)
    ended.callback(proxy.close)
    urls = {"broker": broker.url, "platform": str(platform.table["url"])}
    port = str(broker.port if end == "broker" else platform.port)
    urls[end] = urls[end].replace(port, str(proxy.port))
    table = {**platform.table, "url": urls["platform"], "poll": "60s"}
    store = Store(tmp_path / "store", cart={"broker": urls["broker"], "protocol": broker.protocol}, platform=table)
    ended.callback(store.close)
    store.start()
    store.ready()

    def online() -> bool:
        told = stream.of("status")
        return bool(told) and bool(told[-1]["online"])

    with closing(listening(store)) as stream:
        until(online, "both to be reached")
        cuts: list[tuple[State, float]] = [("refuse", 3), ("reset", 3), ("silent", 20)]
        for cut, seconds in cuts:
            proxy.set(cut)
            begun = time.monotonic()
            until(lambda: not online(), f"{cut} to be seen", seconds + BUSY)
            seen = time.monotonic() - begun
            until(lambda seen=seen, begun=begun: time.monotonic() > begun + seen + 3, "some tries to come back")  # type: ignore[misc]
            proxy.set("up")
            begun = time.monotonic()
            until(online, f"the end of {cut}", 5 + BUSY)
            print(f"{end}, {cut}: seen after {seen:.1f} s, its end after {time.monotonic() - begun:.1f} s")
    assert stream.problems == []
    until(lambda: platform.problems() == [], "nothing against the contract")
