"""An outside client: shoppers who scan and change places, and a witness who writes down what the store shows."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peers.gtin import number
from peers.store import lines

if TYPE_CHECKING:
    from pathlib import Path

    from peers.app import App
    from peers.process import Child
    from peers.store import Store

IDENTIFIED = "cartwire.customer.identified.v1"
READ_POINTS = ("till-1", "till-2")
SCANS_PER_SECOND = 120
SCANS_AT_ONE_PLACE = 300
PRODUCTS_EACH = 10_000_000
RETRY_TAP = 3.5  # seconds: the holder's own tap within 3 s is nothing


@dataclass
class Shopper:
    """A customer with a band, and the products only this one ever takes."""

    customer: str
    cart: str
    uid: str
    base: int
    read_point: str
    app: App
    written: list[int] = field(default_factory=list)

    def takes(self) -> int:
        """Return the number of the next product."""
        self.written.append(self.base + len(self.written))
        return self.written[-1]

    def owns(self, event: dict[str, Any]) -> bool:
        """Whether the product of this event is one of this shopper's."""
        return self.base <= number(event["data"]["gtin"]) < self.base + PRODUCTS_EACH


class Witness:
    """`cartwire events --follow --json`: what it has shown once is accepted for ever."""

    def __init__(self, store: Store, folder: Path) -> None:
        """Watch nothing before `start`."""
        self.seen: dict[str, dict[str, Any]] = {}
        self._store = store
        self._folder = folder
        self._folder.mkdir()
        self._child: Child | None = None
        self._starts = 0
        self._last: str | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Follow from the last event seen."""
        self._starts += 1
        output = self._folder / f"{self._starts}.jsonl"
        self._child = self._store.follow(output, self._last)

    def stop(self) -> None:
        """Take in what was shown, and end."""
        if self._child is not None:
            self._child.kill()
            self.look()

    def look(self) -> None:
        """Take in what was shown until now."""
        if self._child is None:
            return
        with self._lock:
            for event in lines(self._child.text()):
                assert self.seen.setdefault(event["id"], event) == event
                self._last = f"{event['journal']}:{event['seq']}"

    def errors(self) -> str:
        """Return what the followers had to complain about."""
        return "".join(path.read_text() for path in self._folder.glob("*.err")) or "followers fine"

    def holder(self, read_point: str) -> str | None:
        """Return whom the last session that began at the read point belongs to."""
        self.look()
        with self._lock:
            began = [event for event in self.seen.values() if event["type"] == IDENTIFIED]
        here = [event["data"] for event in began if event["data"]["read_point"] == read_point]
        return here[-1]["customer"] if here else None


class Shopping(threading.Thread):
    """Two shoppers scan at two tills and now and then change places; a scan is never repeated."""

    def __init__(
        self, store: Store, witness: Witness, shoppers: list[Shopper], seed: int, rate: float = SCANS_PER_SECOND
    ) -> None:
        """Do nothing before `start`; `rate`: scans a second, both together."""
        super().__init__(name="shopping")
        self._rate = rate
        self.scans = 0
        self.changes = 0
        self.failure: BaseException | None = None
        self._store = store
        self._witness = witness
        self._shoppers = shoppers
        self._random = random.Random(seed)
        self._over = threading.Event()

    def run(self) -> None:
        """Tap, scan, change places, until told that it is over."""
        try:
            while not self._over.is_set():
                self._tap()
                for _ in range(SCANS_AT_ONE_PLACE):
                    if self._over.wait(self._random.expovariate(self._rate)):
                        return
                    shopper = self._random.choice(self._shoppers)
                    self._store.scan(shopper.takes(), shopper.read_point)
                    self.scans += 1
                for shopper in self._shoppers:
                    shopper.read_point = READ_POINTS[1 - READ_POINTS.index(shopper.read_point)]
                self.changes += 1
        except BaseException as failure:  # told to the test, which fails with it
            self.failure = failure

    def over(self) -> None:
        """Let both go home; fail if the shopping has."""
        self.leave()
        self.check()

    def leave(self) -> None:
        """Let both go home, whatever happened."""
        self._over.set()
        if self.ident is not None:
            self.join(60)

    def check(self) -> None:
        """Fail if the shopping has."""
        if self.failure is not None:
            raise self.failure

    def _tap(self) -> None:
        """Tap both bands until both sessions have been seen, for a kill may swallow a tap."""
        for shopper in self._shoppers:
            tapped = -RETRY_TAP
            end = time.monotonic() + 60
            while self._witness.holder(shopper.read_point) != shopper.customer:
                if self._over.is_set():
                    return
                where = f"no session at {shopper.read_point} in 60 s; {self._witness.errors()}"
                assert time.monotonic() < end, where
                if time.monotonic() - tapped > RETRY_TAP:
                    tapped = time.monotonic()
                    self._store.tap(shopper.uid, shopper.read_point)
                self._over.wait(0.05)
