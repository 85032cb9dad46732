"""Who is measured: the floor, we, and the peer. Each notes when a reading was emitted and when it has arrived."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bands import BAND, OTHER
from bench.marks import Marks, now
from bench.runs import PROMPT, python
from bench.subscriber import subscriber
from conftest import Platform
from edge.database import PAGE
from peers.brokers import Mosquitto
from peers.gtin import gtin13, padded
from peers.process import Child, until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peers.store import Table

PRODUCTS = 1000
COMMITS = 100
"""Rows in a commit of the floor, and what it publishes then, in a burst."""
MARKER = '"gtin":'


class Side(Protocol):
    """Who takes readings."""

    name: str
    emitted: Marks
    arrived: Marks

    def one(self, number: int) -> None:
        """Take the reading of a product."""

    def rest(self) -> None:
        """Do, or wait for, what is left to do after a reading has arrived."""


class Pourable(Side, Protocol):
    """Who also takes many at once."""

    def many(self, count: int) -> None:
        """Take so many."""


class Floor:
    """The least that could be done: one committed insert (WAL, FULL, pages as ours) and one paho publish at QoS 1.

    In a burst a commit for each 100. What it sends is an item of ours to the byte. It has no loop and no thread, or
    `threaded` that of paho, as most programs do; to hand over to that takes it longer.
    """

    def __init__(
        self, stack: ExitStack, folder: Path, broker: Mosquitto, body: bytes, *, threaded: bool = False
    ) -> None:
        """`body`: an event of ours."""
        self.name = "floor with paho's thread" if threaded else "floor"
        folder.mkdir()
        self._database = sqlite3.connect(folder / "floor.db", isolation_level=None)
        stack.callback(self._database.close)
        for statement in (f"page_size={PAGE}", "journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {statement}")
        self._database.execute("CREATE TABLE row (seq INTEGER PRIMARY KEY, body BLOB)")
        self._body = body
        self._topic = f"leastway/v1/carts/{'t' if threaded else 'f'}-1/items"  # as long as ours, which hears none
        self._taken = 0
        self._sent = 0
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_publish = self._puback
        self._client.connect("127.0.0.1", broker.port)
        stack.callback(self._client.disconnect)
        while not self._client.is_connected():
            self._client.loop(0.1)
        self._look = time.sleep if threaded else self._client.loop
        if threaded:
            self._client.loop_start()
            stack.callback(self._client.loop_stop)
        self.emitted = Marks(folder / "emitted")
        self.arrived = subscriber(stack, broker.port, self._topic, MARKER, folder / "arrived")

    def one(self, number: int) -> None:
        """Commit it, publish it, and take the answer."""
        del number
        self.emitted.add(now())
        self._database.execute("INSERT INTO row (body) VALUES (?)", (self._body,))
        self._publish()
        self._answered()

    def many(self, count: int) -> None:
        """Do it in blocks; answers are taken between them."""
        for _ in range(count // COMMITS):
            self.emitted.add(now(), COMMITS)
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO row (body) VALUES (?)", [(self._body,)] * COMMITS)
            self._database.execute("COMMIT")
            for _ in range(COMMITS):
                self._publish()
            self._look(0)
        self._answered()

    def rest(self) -> None:
        """Answer the broker's keepalive while others are measured."""
        self._look(0)

    def _publish(self) -> None:
        self._client.publish(self._topic, self._body, qos=1)
        self._sent += 1

    def _answered(self) -> None:
        while self._taken < self._sent:
            self._look(0.0005)

    def _puback(self, *_: object) -> None:
        self._taken += 1


class Timed(Store):
    """A store whose daemon notes when each tap and scan was emitted."""

    def start(self) -> None:
        """Start the daemon by the bench's launcher."""
        assert not self.running
        self._child = Child(python("bench.launcher", "run", "--config", str(self.config)), self.log, cwd=self.folder)


class Ours:
    """The gateway as it is: a broker, a platform, a daemon, and an app that confirms; two shoppers have bands."""

    name = "cartwire"

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        *,
        read_points: Iterable[str] = ("till-1",),
        drivers: Iterable[Table] = (),
        timed: bool = True,
    ) -> None:
        """Furnish and start it, with what the platform knows pulled; the shopper c-1 holds all read points."""
        folder.mkdir()
        self.broker = Mosquitto(folder / "mosquitto", keeps=True, more=PROMPT)
        self.platform = Platform(folder / "platform")
        for part in (self.broker, self.platform):
            stack.callback(part.kill)
            part.start()
        for number, band in enumerate((BAND, OTHER), 1):
            self.platform.customer(f"c-{number}", f"k-{number}", "cart")
            self.platform.band(pseudonym("nfc", band), f"c-{number}")
        products = [
            {"kind": "product", "op": "upsert", "key": padded(gtin13(number)), "value": _product(number)}
            for number in range(PRODUCTS)
        ]
        self.platform.ask("POST", "/sandbox/changes", {"store": "*", "changes": products})
        self.store = (Timed if timed else Store)(
            folder / "store",
            cart={"broker": self.broker.url, "protocol": "5"},
            platform={**self.platform.table, "poll": "60s"},
            floor={"session": "30m"},
            read_points=read_points,
            drivers=drivers,
        )
        self.store.store = {"capacity": "100GB"}
        self.store.configure(drivers)
        stack.callback(self.store.close)
        self.emitted = Marks(self.store.folder / "emitted")
        acks = "cartwire/v1/gateways/gangnam/gw-1/acks"
        arrived = folder / "arrived"
        self.arrived = subscriber(stack, self.broker.port, "cartwire/v1/carts/+/items", MARKER, arrived, acks)
        self.store.start()
        self.store.ready()
        until(lambda: self.store.status()["feed"]["age_seconds"] is not None, "the first pull of the feed", 60)
        self.hold()

    def hold(self) -> None:
        """Let the shopper c-1 hold all read points, and see it by a scan at the last."""
        count = len(self.arrived)
        for read_point in self.store.fifos:
            self.store.tap(BAND, read_point)
        self.store.scan(0, [*self.store.fifos][-1])
        self.arrived.wait(count + 1)

    def one(self, number: int) -> None:
        """Scan it."""
        self.store.scan(number % PRODUCTS)

    def many(self, count: int) -> None:
        """Pour the scans into the FIFO."""
        lines = (
            json.dumps({"kind": "scan", "text": gtin13(number % PRODUCTS), "symbology": "EAN13"}) + "\n"
            for number in range(count)
        )
        with (self.store.folder / "till-1.fifo").open("wb") as fifo:
            fifo.write("".join(lines).encode())

    def rest(self) -> None:
        """Leave time for what is done after an item has arrived."""
        time.sleep(0.04)

    def settle(self) -> None:
        """Wait until nothing waits any more."""
        until(self.store.settled, "nothing waits", 120)

    def item(self) -> bytes:
        """Return the longest item of the journal as it is sent."""
        events = self.store.of("cart.item_added")
        return max((json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode() for each in events), key=len)


class Hands:
    """Another shopper taps at till-1 and scans: from the tap's `emit` to the item in the other cart."""

    def __init__(self, ours: Ours) -> None:
        """Nobody else taps meanwhile."""
        self.name = ours.name
        self.emitted, self.arrived, self.rest = ours.emitted, ours.arrived, ours.rest
        self._store = ours.store
        self._turn = 0

    def one(self, number: int) -> None:
        """Tap, then scan."""
        self._turn += 1
        self._store.tap((BAND, OTHER)[self._turn % 2])
        self._store.scan(number % PRODUCTS)


def _product(number: int) -> dict[str, object]:
    return {"name": f"상품 {number}", "price": {"amount": "12900", "currency": "KRW"}}
