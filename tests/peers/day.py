"""A day under faults: two shoppers at two tills, their apps, the platform; at the end everything is counted."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peers.app import ADDED, App
from peers.gtin import number
from peers.process import until
from peers.shopping import PRODUCTS_EACH, READ_POINTS, SCANS_PER_SECOND, Shopper, Shopping, Witness
from peers.store import Store, Table, pseudonym

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Broker

SEED = int(os.environ.get("CARTWIRE_SEED", "0")) or secrets.randbelow(10**9) + 1
UNCLAIMED = "cartwire.scan.unclaimed.v1"


@dataclass
class Verdict:
    """The three figures, each a list of what is wrong."""

    accepted: list[dict[str, Any]]
    lost: list[str]
    doubled: list[str]
    wrong: list[str]

    def line(self, what: str) -> str:
        """Return it as the line to print; `what` was done to the store."""
        return (
            f"lost {len(self.lost)} · doubled {len(self.doubled)} · wrong cart {len(self.wrong)}"
            f" of {len(self.accepted)} accepted in {what} (seed {SEED})"
        )


def judge(
    journal: list[dict[str, Any]],
    witness: Witness,
    platform: list[dict[str, Any]],
    shoppers: list[Shopper],
) -> Verdict:
    """Compare what was accepted with what the platform and the apps have."""
    known = {event["id"]: event for event in journal}
    accepted = [event for event in journal if event["type"] in {ADDED, UNCLAIMED}]
    lost = [f"shown, then gone: {name}" for name in witness.seen.keys() - known.keys()]
    wrong = []
    there = Counter(event["id"] for event in platform)
    doubled = [f"platform has {name} {n} times" for name, n in there.items() if n > 1]
    told = [event for event in platform if event["type"] in {ADDED, UNCLAIMED}]
    for who, events in (("the store", accepted), ("the platform", told)):
        products = Counter(event["data"]["gtin"] for event in events)
        doubled += [f"{who} has {gtin} under {n} ids" for gtin, n in products.items() if n > 1]
    lost += [f"not on the platform: {event}" for event in journal if not there[event["id"]]]
    for shopper in shoppers:
        own = [event for event in accepted if shopper.owns(event)]
        names = {event["id"] for event in own}
        wrong += [
            f"not for {shopper.customer}: {event}"
            for event in own
            if event["data"].get("customer") != shopper.customer or event["data"].get("cart") != shopper.cart
        ]
        has = Counter(event["id"] for event in shopper.app.received)
        lost += [f"{shopper.cart} has no {name}" for name in names if not has[name]]
        wrong += [f"{shopper.cart} has {name}" for name in has if name not in names]
        doubled += [f"{shopper.cart} has {gtin} {n} times" for gtin, n in Counter(shopper.app.cart).items() if n > 1]
    return Verdict(accepted, lost, doubled, wrong)


def in_order(events: list[dict[str, Any]]) -> bool:
    """Whether `seq` rises within each journal."""
    last: Counter[str] = Counter()
    for event in events:
        if event["seq"] <= last[event["journal"]]:
            return False
        last[event["journal"]] = event["seq"]
    return True


@dataclass
class Day:
    """All who play; what goes wrong in between is the test's."""

    store: Store
    witness: Witness
    shopping: Shopping
    shoppers: list[Shopper]
    platform: Platform

    @property
    def written(self) -> int:
        """How many scans were written for the store until now."""
        return sum(len(shopper.written) for shopper in self.shoppers)

    @property
    def apps(self) -> list[App]:
        """The shoppers' apps."""
        return [shopper.app for shopper in self.shoppers]

    @property
    def arrived(self) -> int:
        """How many items the apps have."""
        return sum(len(app.received) for app in self.apps)

    def begin(self) -> None:
        """Open the shop; it knows its shoppers, who go in."""
        self.store.start()
        self.store.ready()
        until(lambda: self.store.status()["feed"]["reachable"], "who the shoppers are", 20)
        self.witness.start()
        self.shopping.start()

    def more(self, scans: int, seconds: float = 90) -> None:
        """Wait until that many more scans are made; the store must live."""
        enough = self.shopping.scans + scans
        until(lambda: self.stuck or self.shopping.scans >= enough, "more scans", seconds)
        assert self.store.running, f"the daemon ended by itself:\n{self.store.tail()}"
        self.shopping.check()

    def power_cut(self) -> None:
        """Kill the daemon and start it again."""
        self.store.kill()
        self.witness.stop()
        self.store.start()
        self.witness.start()

    @property
    def stuck(self) -> bool:
        """Whether there is no more to wait for."""
        return self.shopping.failure is not None or not self.store.running

    def end(self, seconds: float = 150) -> None:
        """Let the shoppers go home; wait until nothing waits."""
        self.shopping.over()
        self.store.ready()
        until(self.store.settled, lambda: f"nothing waits: {self.store.status()}\n{self.store.tail()}", seconds)
        self.witness.stop()

    def verdict(self) -> Verdict:
        """Compare what the journal, the platform and the apps have."""
        return judge(self.store.events(), self.witness, self.platform.events(), self.shoppers)

    def check(self, verdict: Verdict, *, keeps_order: bool = True) -> None:
        """Fail for anything lost, doubled, in a wrong cart or out of order, and for a day on which nothing happened.

        A broker that forgets brings an item to the app after a later one: no `keeps_order`; `seq` tells then.
        """
        journal, arrived = self.store.events(), self.platform.events()
        assert (verdict.lost, verdict.doubled, verdict.wrong) == ([], [], [])
        assert [event for event in verdict.accepted if event["type"] == UNCLAIMED] == []
        assert len(verdict.accepted) > self.written / 2
        assert len(self.witness.seen) > len(journal) / 2
        assert in_order(journal)
        assert arrived == journal
        assert [event for event in journal if event != self.witness.seen.get(event["id"], event)] == []
        for shopper in self.shoppers:
            own = [event for event in verdict.accepted if shopper.owns(event)]
            numbers = [number(event["data"]["gtin"]) for event in own]
            assert numbers == sorted(numbers)
            assert sorted(shopper.app.received, key=lambda event: int(event["seq"])) == own
            if keeps_order:
                assert shopper.app.received == own
        assert [problem for app in self.apps for problem in app.problems] == []
        assert self.platform.problems() == []
        assert self.store.leaks(self.platform.folder) == []


def furnish(
    folder: Path,
    broker: Broker,
    platform: Platform,
    ended: ExitStack,
    *,
    kind: type[Store] = Store,
    cart: Table | None = None,
    uplink: Table | None = None,
    rate: float = SCANS_PER_SECOND,
) -> Day:
    """Furnish a store with two tills, and two shoppers it knows; `cart` and `uplink` change its configuration."""
    shoppers = []
    for n, read_point in enumerate(READ_POINTS, 1):
        app = App(broker.port, f"k-{n}", folder / "apps", broker.protocol)
        ended.callback(app.close)
        app.online()
        uid = f"04A1B2C3D4E5F{n}"
        shoppers.append(Shopper(f"c-{n}", f"k-{n}", uid, n * PRODUCTS_EACH, read_point, app))
        platform.customer(f"c-{n}", f"k-{n}", "cart")
        platform.band(pseudonym("nfc", uid), f"c-{n}")
    store = kind(
        folder / "store",
        cart={"broker": broker.url, "protocol": broker.protocol, **(cart or {})},
        platform={**platform.table, **(uplink or {})},
        floor={"session": "10m"},
        read_points=READ_POINTS,
    )
    ended.callback(store.close)
    witness = Witness(store, folder / "witness")
    ended.callback(witness.stop)
    shopping = Shopping(store, witness, shoppers, SEED, rate)
    ended.callback(shopping.leave)
    return Day(store, witness, shopping, shoppers, platform)
