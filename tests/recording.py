"""A recorded run of a store: from the first file to the clean stop, with broker and platform away for a while."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from conftest import Platform
from peers.app import ADDED, App
from peers.brokers import Mosquitto
from peers.day import SEED
from peers.evidence import held
from peers.process import until
from peers.store import pseudonym
from peers.trace import Call, Traced

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCANS = int(os.environ.get("CARTWIRE_SCANS", "30"))
BAND = "04A1B2C3D4E5F6"
BURST = 4
"""Scans at most at once: they may share a commit."""


@dataclass(frozen=True)
class Recording:
    """What the daemon and a follower did; `data` is the folder it happened in; `app` has what the app got."""

    calls: list[Call]
    data: Path
    app: list[dict[str, Any]]


@cache
def recorded(folder: Path) -> Recording:
    """Record a run in the folder, once for all who ask."""
    folder.mkdir()
    with ExitStack() as ended:
        broker = Mosquitto(folder / "mosquitto", keeps=True)
        ended.callback(broker.kill)
        broker.start()
        platform = Platform(folder / "platform")
        ended.callback(platform.kill)
        platform.start()
        platform.customer("c-1", "k-1", "cart")
        platform.band(pseudonym("nfc", BAND), "c-1")
        app = App(broker.port, "k-1", folder / "apps", broker.protocol)
        ended.callback(app.close)
        app.online()
        store = Traced(
            folder / "store",
            cart={"broker": broker.url, "protocol": broker.protocol},
            platform=platform.table,
            floor={"session": "10m"},
        )
        ended.callback(store.close)
        store.start()
        store.ready(60)
        platform.wait_pulled()
        follower = store.follow(folder / "shown.jsonl")
        ended.callback(follower.kill)
        shopper = Shopper(store, follower.output)
        shopper.scan(SCANS // 3)
        shopper.scan(SCANS // 3 + 1, platform.kill)  # while events gather, so that they are tried once
        until(lambda: _state(store, "platform") == "unavailable", "the store misses the platform")
        shopper.scan(SCANS * 2 // 3)
        until(lambda: _kept(store), "the cursors are on the disk")  # and none of them ahead
        broker.stop()
        shopper.scan(SCANS * 2 // 3 + 1)
        until(lambda: _state(store, "cart") == "unavailable", "the store misses the broker")
        shopper.scan(SCANS)
        broker.start()
        platform.start()
        until(store.settled, "nothing waits any more", 60)
        events = len(store.events())
        until(lambda: follower.text().count("\n") == events, "all shown")
        follower.kill()
        store.stop()  # the last to close the database: it moves the WAL into it
        return Recording(list(store.calls()), store.data, app.received)


class Shopper:
    """Scans in bursts, and looks each time whether `cartwire events --follow` shows them."""

    def __init__(self, store: Traced, shown: Path) -> None:
        """Tap."""
        self._store = store
        self._shown = shown
        self._scans = 0
        self._dice = random.Random(SEED)
        store.tap(BAND)

    def scan(self, until_number: int, then: Callable[[], object] = lambda: None) -> None:
        """Scan products up to that number; `then` follows each burst at once."""
        while self._scans < until_number:
            for _ in range(min(self._dice.randint(1, BURST), until_number - self._scans)):
                self._store.scan(self._scans)
                self._scans += 1
            then()
            until(lambda: self._shown.read_text().count(ADDED) == self._scans, f"{self._scans} scans shown", 30)


def _kept(store: Traced) -> bool:
    """Whether the disk has it that the cart is up to date."""
    rows, cursors = held(store.data)
    return cursors.get("cart") == max(seq for seq, _ in rows.values())


def _state(store: Traced, sink: str) -> str:
    return str(store.status()["sinks"][sink]["state"])
