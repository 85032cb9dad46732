"""What the stories of the staff's page share: an open store with staff, shoppers and products, and its screens."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bands import BAND, OTHER
from peers.browser import Terminal
from peers.gtin import gtin13, padded
from peers.process import until
from peers.staff import Staff
from peers.store import Store, Table, pseudonym
from peers.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from playwright.sync_api import Browser

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

PEOPLE = {"manager": ("mina", "258014"), "clerk": ("jun", "137900"), "viewer": ("ann", "824600")}
"""Name and PIN of one of each role."""
SHOPPERS = {"c-1": ("k-1", "김민지", BAND), "c-2": ("k-2", "박서준", OTHER)}
"""Cart, display name and band."""
PRODUCTS = {1: ("신라면 120g", "Shin Ramyun 120g"), 2: ("서울우유 1L", "Seoul milk 1 l"), 3: ("초코파이", "Choco pie")}
READ_POINTS = ("till-1", "till-2", "desk")


def gtin(number: int) -> str:
    """Return the GTIN-14 of a product."""
    return padded(gtin13(number))


def furnish(platform: Platform) -> None:
    """Put shoppers and products into the platform's feed."""
    for customer, (cart, display, uid) in SHOPPERS.items():
        value = {"cart": cart, "display": display, "language": "ko", "consents": ["cart", "presence"]}
        platform.change("customer", customer, value)
        platform.band(pseudonym("nfc", uid), customer)
    for number, (korean, english) in PRODUCTS.items():
        price = {"amount": f"{number}500", "currency": "KRW"}
        value = {"name": {"ko": korean, "en": english}, "price": price, "stock": 12, "rating": 4.5, "reviews": 31}
        platform.change("product", gtin(number), value)


@dataclass
class Counter:
    """The store and those around it; what one does at a screen is a method of `Terminal`."""

    store: Store
    platform: Platform
    broker: Mosquitto
    app_of: Callable[[str], App]
    browser: Callable[[], Browser]
    ended: ExitStack
    staff: dict[str, Staff] = field(default_factory=dict)
    """One of each role, logged in."""
    terminals: list[Terminal] = field(default_factory=list)

    def log_in(self) -> None:
        """Have one of each role log in at the API; those who are not there yet are made."""
        roles = iter(PEOPLE.items())
        first = Staff(self.store.port)
        if first.does("getSession")["setup"]:
            first.set_up(self.store.setup_code(), *PEOPLE["manager"])
        else:
            first.log_in(*PEOPLE["manager"])
        self.staff = {next(roles)[0]: first}
        known = {person["name"] for person in first.does("getPeople")["people"]}
        for role, (name, secret) in roles:
            if name not in known:
                first.does("putPerson", {"role": role, "secret": secret}, name=name)
            self.staff[role] = Staff(self.store.port)
            self.staff[role].log_in(name, secret)

    def terminal(self, role: str | None = "manager", **options: Any) -> Terminal:
        """Switch a screen on, with the page of whoever has that role; None: nobody is logged in."""
        terminal = Terminal(self.browser(), options.pop("port", self.store.port), **options)
        self.ended.callback(terminal.close)
        self.terminals.append(terminal)
        terminal.open(self.staff[role] if role else None)
        return terminal

    def stream(self, role: str) -> Stream:
        """Listen to the stream as somebody of that role."""
        stream = Stream(self.staff[role]).open()
        assert stream.status == 200
        self.ended.callback(stream.close)
        return stream

    def of(self, *types: str) -> list[dict[str, Any]]:
        """Return the events of these types as `Store.of` does, without the second that its command takes."""
        kinds = ", ".join("?" * len(types))
        with closing(sqlite3.connect(f"file:{self.store.data}/cartwire.db?mode=ro", uri=True)) as journal:
            rows = journal.execute(f"SELECT body FROM row WHERE kind IN ({kinds}) ORDER BY seq", types).fetchall()
        return [json.loads(body) for (body,) in rows]

    def visit(self, uid: str = BAND, *numbers: int, read_point: str = "till-1") -> list[dict[str, Any]]:
        """Tap and scan; return the additions to the cart."""
        before = len(self.of("customer.identified")), len(self.of("cart.item_added"))
        self.store.tap(uid, read_point)
        until(lambda: len(self.of("customer.identified")) > before[0], "the session")
        for number in numbers:
            self.store.scan(number, read_point)
        enough = before[1] + len(numbers)
        until(lambda: len(self.of("cart.item_added")) >= enough, "the items", 60)
        return self.of("cart.item_added")[before[1] :]

    def faults(self) -> list[str]:
        """Return what anybody had to complain about."""
        found = [fault for terminal in self.terminals for fault in terminal.settle()]
        return found + [problem for staff in self.staff.values() for problem in staff.problems]


def opened(
    folder: Path,
    broker: Mosquitto,
    platform: Platform,
    app_of: Callable[[str], App],
    browser: Callable[[], Browser],
    ended: ExitStack,
    cart: Table | None = None,
    uplink: Table | None = None,
    floor: Table | None = None,
) -> Counter:
    """Open the store; the daemon has pulled the feed, one of each role is logged in; `browser` is for its screens."""
    furnish(platform)
    cart = {"broker": broker.url, "protocol": broker.protocol} | (cart or {})
    store = Store(folder, cart=cart, platform=platform.table | (uplink or {}), floor=floor, read_points=READ_POINTS)
    ended.callback(store.close)
    store.start()
    store.ready()
    counter = Counter(store, platform, broker, app_of, browser, ended)
    counter.log_in()
    manager, newest = counter.staff["manager"], gtin(max(PRODUCTS))
    until(lambda: manager.ask("getProduct", gtin=newest).status == 200, "the feed to be applied", 20)
    return counter
