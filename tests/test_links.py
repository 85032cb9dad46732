"""Bad links, in TLS, to the broker and to the platform at once: whatever they do, the day comes out right, and soon."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from peers.app import App
from peers.day import SEED, Day, furnish
from peers.process import BUSY, until
from peers.proxy import Proxy, State
from peers.store import Store, Table, pseudonym
from peers.tls import Authority, Front
from tally import tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Mosquitto

pytestmark = pytest.mark.faults
LONG = bool(os.environ.get("CARTWIRE_FAULTS"))
FLAPS = 100
RATE = 30  # scans a second
MARGIN = 3.0 if LONG else BUSY
LIMIT = 12.0
"""Seconds after the end of a fault in which the first event must have come through."""
LIMITS = {"refuse": 2.0, "reset": 2.0, "flaps": 2.0}
"""Of these faults."""
BACKLOG = 70
"""Seconds after which a store that starts again waits at random, if its jitter is not 0."""
STATES: tuple[State, ...] = ("refuse", "reset", "drop", "stall", "half", "throttle", "swallow", "flip")
BAND = "04A1B2C3D4E5F6"


@dataclass
class Links:
    """The proxies before the two servers, and what a store must know to use them."""

    proxies: dict[str, Proxy]
    ca: Path

    def set(self, state: State) -> None:
        """Change both."""
        for proxy in self.proxies.values():
            proxy.set(state)

    @property
    def cart(self) -> Table:
        """Of the store's configuration."""
        return {"broker": f"mqtts://127.0.0.1:{self.proxies['cart'].port}", "ca_file": str(self.ca)}

    def uplink(self, jitter: str) -> Table:
        """Of the store's configuration."""
        url = f"https://127.0.0.1:{self.proxies['platform'].port}"
        return {"url": url, "ca_file": str(self.ca), "jitter": jitter}


@pytest.fixture
def links(broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack) -> Links:
    """Lay links to both."""
    authority = Authority(tmp_path / "ca")
    proxies = {}
    for name, port in (("cart", broker.port), ("platform", platform.port)):
        front = Front(port, authority.server())
        ended.callback(front.close)
        proxies[name] = Proxy(front.port)
        ended.callback(proxies[name].close)
    return Links(proxies, authority.ca)


@pytest.fixture
def day_of(
    links: Links, broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack
) -> Callable[[str], Day]:
    """Furnish a store behind the links, with that jitter."""

    def day(jitter: str) -> Day:
        uplink = links.uplink(jitter)
        return furnish(tmp_path, broker, platform, ended, cart=links.cart, uplink=uplink, rate=RATE)

    return day


def recovered(day: Day, links: Links, what: str) -> dict[str, float]:
    """Mend the links; return after how many seconds the first event came through each."""
    counts: dict[str, Callable[[], int]] = {
        "cart": lambda: day.arrived,
        "platform": lambda: day.platform.answered("/v1/events", 200),
    }
    before = {name: count() for name, count in counts.items()}
    links.set("up")
    begin = time.monotonic()
    seconds: dict[str, float] = {}

    def look() -> bool:
        for name, count in counts.items():
            if name not in seconds and count() > before[name]:
                seconds[name] = time.monotonic() - begin
        return seconds.keys() == counts.keys()

    until(look, lambda: f"events through both after {what}, {seconds} {day.store.status()}\n{day.store.tail()}", 90)
    for name, took in seconds.items():
        tally.took(f"{what}, {name}", took)
    return seconds


def missed(day: Day) -> bool:
    """Whether the store knows that it can reach neither broker nor platform."""
    return all(sink["state"] != "ok" for sink in day.store.status()["sinks"].values())


def reached(day: Day) -> bool:
    """Whether the store reaches both."""
    return all(sink["state"] == "ok" for sink in day.store.status()["sinks"].values())


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("jitter", ["60s", "0s"] if LONG else ["60s"])
def test_every_bad_link(
    jitter: str, day_of: Callable[[str], Day], links: Links, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the jitter as shipped, which is for a backlog after a long outage; at length also such a one without."""
    dice = random.Random(SEED)
    day = day_of(jitter)
    day.begin()
    states: list[State | Literal["flaps"]] = [*STATES, "flaps"] * (4 if LONG else 1)
    dice.shuffle(states)
    late = []
    for state in states:
        until(lambda: reached(day), "both links in use", 90)
        hits = {name: proxy.hits for name, proxy in links.proxies.items()}
        if state == "flaps":
            flap(links, dice)
        else:
            links.set(state)
        if state in ("half", "swallow", "flip"):
            until(lambda: all(links.proxies[name].hits > n for name, n in hits.items()), f"{state} on both", 30)  # noqa: B023
        elif state in ("refuse", "reset", "drop"):
            until(lambda: missed(day), f"{state} to be noticed", 60)
        day.more(dice.randint(1, RATE * (20 if LONG else 1)))
        took = recovered(day, links, state)
        late += [
            f"{name}: {s:.1f} s after {state}" for name, s in took.items() if s > LIMITS.get(state, LIMIT) + MARGIN
        ]
    if jitter == "0s":
        links.set("drop")
        day.more(RATE * BACKLOG, BACKLOG * 2)
        took = recovered(day, links, f"drop for {BACKLOG} s")
        late += [f"{name}: {s:.1f} s after {BACKLOG} s" for name, s in took.items() if s > LIMIT + MARGIN]
    flaps = states.count("flaps") * FLAPS
    day.end()
    verdict = day.verdict()
    tally.judged(verdict, bad_links=len(states), flaps=flaps)
    with capsys.disabled():
        sys.stdout.write(f"\n{verdict.line(f'{len(states)} bad links')}\n")
    day.check(verdict)
    assert late == []


def flap(links: Links, dice: random.Random) -> None:
    """Let both links come and go a hundred times; leave them down."""
    never = threading.Event()
    for _ in range(FLAPS):
        links.set("up")
        never.wait(dice.uniform(0, 0.05))
        links.set(dice.choice(("refuse", "reset")))
        never.wait(dice.uniform(0, 0.02))


def test_a_start_with_no_server_in_sight(
    links: Links, broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack
) -> None:
    """Nobody knows the band yet; scans are taken and find their cart when the servers come."""
    links.set("refuse")
    app = App(broker.port, "k-1", tmp_path / "apps", broker.protocol)
    ended.callback(app.close)
    app.online()
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store = Store(
        tmp_path / "store",
        cart={**links.cart, "protocol": broker.protocol},
        platform={**platform.table, **links.uplink("60s")},
    )
    ended.callback(store.close)
    store.start()
    store.ready()
    store.tap(BAND)
    for number in range(5):
        store.scan(number)
    until(lambda: store.status()["held"] == 5, "five scans held", 20)
    begin = time.monotonic()
    links.set("up")
    until(lambda: len(app.received) == 5, "five items", 20)
    tally.took("a start without servers", time.monotonic() - begin)
    # Far less than the broker's keepalive: what TLS has unpacked is read without waiting for more.
    until(store.settled, "all told and confirmed", 8)
    assert platform.events() == store.events()
