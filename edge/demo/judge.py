"""Counts what went wrong in the demo store, from outside: from what was played, the platform and the phones.

It imports nothing of the rest. An *item* is a `cart.item_added`: it is *accepted* once `cartwire events` shows it or
the platform has it. What the phones have, they say themselves.

lost      An accepted item that nobody will bring any more. The phone lacks it although the gateway says that the app
          confirmed it, or although nothing waits for apps; or the platform lacks it although nothing waits for it.
          Not lost is what staff removed, and what a withdrawn consent keeps from the phone.
doubled   A scan that is in a cart twice: an id that a phone took twice, or an accepted scan of a product that
          nobody held up, which is how a second id for one presentation looks.
wrong     An item in a phone whose owner did not hold the read point when the product was held up, nor tapped first
          within `CLAIM` afterwards where nobody held it; or who had withdrawn the consent before.
under way An accepted item that is not at its end yet, and not lost.

Nothing is called lost before it was so for `GRACE` seconds of a gateway that runs. Readings are played into a pipe: of
those shortly before a power cut nobody knows whether they were read, so that afterwards both who tapped last and who
tapped before may be the holder. What staff give to somebody is no scan.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SESSION, CLAIM = 45.0, 10.0
SLACK = 2.0
"""Seconds by which a reading may be later for the gateway than for us: it waits in the pipe."""
LATEST = 10.0
"""The same at most, on a machine that has much to do."""
GRACE = 3.0
SETTLED = 60.0
"""Seconds after which nothing changes any more whose a scan may be."""
_MANY = 200
"""Readings of a read point that are remembered."""
ADDED, REMOVED, CONFIRMED = (f"cartwire.cart.item_{what}.v1" for what in ("added", "removed", "confirmed"))
UNCLAIMED, ENDED, ERASED = "cartwire.scan.unclaimed.v1", "cartwire.session.ended.v1", "cartwire.customer.erased.v1"
_Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """`accepted`: items. `arrived`: those among them that are in a phone and at the platform."""

    accepted: int
    arrived: int
    under_way: int
    lost: int
    doubled: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the gateway says waits in it, for apps and for the platform, and when it was asked."""

    asked: float
    apps: int
    platform: int


@dataclass(slots=True)
class _Played:
    """A reading. `who`: whose band was tapped, None for nobody's; of a scan the product, and its event."""

    at: float
    read_point: str
    who: frozenset[str | None] = frozenset()
    gtin: str = ""
    event: str = ""


@dataclass(slots=True)
class _Item:
    event: _Event
    seen: float
    scan: _Played | None
    """None for a doubled one, and what staff gave."""
    taken: dict[str, int] = field(default_factory=dict)
    """By phone, how often."""
    at_platform: bool = False
    withdrawn: bool = False
    right: bool | None = None
    """Whether it is in the right cart, once that is settled."""
    missing: float | None = None
    """Since when it is missing."""


@dataclass(slots=True)
class Judge:
    """`carts`: of each customer. Times are seconds since 1970."""

    carts: Mapping[str, str]
    waiting: Waiting | None = None
    """None while the gateway does not answer."""
    _played: dict[str, deque[_Played]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=_MANY)))
    """By read point, the oldest first."""
    _items: dict[str, _Item] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _confirmed: set[str] = field(default_factory=set)
    _removed: set[str] = field(default_factory=set)
    _unheld: int = 0
    _without: dict[str, list[list[float]]] = field(default_factory=dict)
    """By customer, from when until when there was no consent."""

    def tapped(self, at: float, read_point: str, who: str | None, *, sure: bool = True) -> None:
        """A band was held to a reader. `sure`: it counts if it was read at all."""
        self._played[read_point].append(_Played(at, read_point, frozenset([who] if sure else [who, None])))

    def scanned(self, at: float, read_point: str, gtin: str) -> None:
        """A product was held to a scanner; its GTIN-14."""
        self._played[read_point].append(_Played(at, read_point, gtin=gtin))

    def power_cut(self, at: float) -> None:
        """Of what was tapped just now it is not known whether it was read."""
        for played in self._played.values():
            for one in played:
                if one.who and at - SLACK <= one.at:
                    one.who = one.who | self._holders(one)

    def consented(self, at: float, customer: str) -> None:
        """The consent was given again."""
        for span in self._without.get(customer, []):
            span[1] = min(span[1], at)

    def accepted(self, event: _Event, at: float) -> None:
        """The gateway has shown this event."""
        if event["id"] in self._known:
            return
        self._known.add(event["id"])
        data, when = event["data"], _seconds(event)
        if event["type"] in (ADDED, UNCLAIMED):
            scan = None
            if not data.get("staff"):
                scan = self._presented(event, when)
                self._unheld += scan is None
            if event["type"] == ADDED:
                self._items[event["id"]] = _Item(event, at, scan)
        elif event["type"] == CONFIRMED:
            self._confirmed.add(data["event"])
        elif event["type"] == REMOVED:
            self._removed.add(data["event"])
        elif event["type"] == ENDED and data["reason"] in ("staff", "consent"):
            self._played[data["read_point"]].append(_Played(when, data["read_point"], frozenset([None])))
        elif event["type"] == ERASED and (customer := data["customer"]):
            self._without.setdefault(customer, []).append([when, float("inf")])
            for item in self._items.values():
                item.withdrawn |= item.event["data"]["customer"] == customer

    def at_platform(self, event: _Event, at: float) -> None:
        """The platform has this event."""
        self.accepted(event, at)
        if item := self._items.get(event["id"]):
            item.at_platform = True

    def took(self, phone: str, events: Iterable[_Event], at: float) -> None:
        """A phone has put these additions into its cart, each time that it did."""
        for event in events:
            self.accepted(event, at)
            if item := self._items.get(event["id"]):
                item.taken[phone] = item.taken.get(phone, 0) + 1

    def under_way(self, cart: str) -> list[_Event]:
        """What is accepted and not in a phone of that cart yet, and will come, the oldest first."""
        return [
            item.event
            for item in self._items.values()
            if item.event["data"]["cart"] == cart
            and not (item.taken or item.withdrawn or item.event["id"] in self._removed)
        ]

    def counts(self, now: float) -> Counts:
        """As of now; to be asked again and again."""
        items = list(self._items.values())
        arrived = sum(self._arrived(item) for item in items)
        lost = sum(self._is_lost(item, now) for item in items)
        twice = sum(times - 1 for item in items for times in item.taken.values())
        wrong = sum(bool(item.taken) and not self._is_right(item, now) for item in items)
        return Counts(len(items), arrived, len(items) - arrived - lost, lost, twice + self._unheld, wrong)

    def _arrived(self, item: _Item) -> bool:
        excused = item.withdrawn or item.event["id"] in self._removed
        return (bool(item.taken) or excused) and item.at_platform

    def _is_lost(self, item: _Item, now: float) -> bool:
        """Whether it has been missing for long enough; notes since when."""
        waiting = self.waiting
        if self._arrived(item) or waiting is None or waiting.asked < item.seen:
            item.missing = None
            return False
        here = bool(item.taken) or item.withdrawn or item.event["id"] in self._removed
        missing = (not here and (item.event["id"] in self._confirmed or not waiting.apps)) or (
            not item.at_platform and not waiting.platform
        )
        item.missing = None if not missing else item.missing or now
        return item.missing is not None and now - item.missing >= GRACE

    def _is_right(self, item: _Item, now: float) -> bool:
        if item.right is not None:
            return item.right
        right = self._judged(item)
        if now - item.seen > SETTLED:
            item.right = right
        return right

    def _judged(self, item: _Item) -> bool:
        data = item.event["data"]
        customer = data["customer"]
        if self.carts.get(customer) != data["cart"]:
            return False
        when = _seconds(item.event)
        if any(begin < when < end for begin, end in self._without.get(customer, [])):
            return False
        return item.scan is None or customer in self._allowed(item.scan)

    def _presented(self, event: _Event, when: float) -> _Played | None:
        """Which presentation of a product this is, rather one that fits the customer; a doubled one finds none."""
        free = [
            one
            for one in self._played[event["data"]["read_point"]]
            if one.gtin == event["data"]["gtin"] and not one.event and when - LATEST <= one.at <= when + SLACK
        ]
        customer = event["data"].get("customer")
        fits = [one for one in free if customer is None or customer in self._allowed(one)]
        found = next(iter(fits or free), None)
        if found:
            found.event = event["id"]
        return found

    def _allowed(self, scan: _Played) -> frozenset[str | None]:
        """Whose it may be: the holder's, and where that may be nobody, of who taps next."""
        holders = self._holders(scan)
        if None in holders:
            for one in self._after(scan):
                if one.at - scan.at > CLAIM + SLACK:
                    break
                holders |= one.who
                if one.who and None not in one.who:
                    break
        return holders

    def _after(self, scan: _Played) -> Iterator[_Played]:
        readings = iter(self._played[scan.read_point])
        for one in readings:
            if one is scan:
                break
        return readings

    def _holders(self, upto: _Played) -> frozenset[str | None]:
        """Who may hold the read point when this is read."""
        holders: frozenset[str | None] = frozenset([None])
        last = float("-inf")
        for one in self._played[upto.read_point]:
            if one.at - last > SESSION + SLACK:
                holders = frozenset([None])
            elif one.at - last > SESSION - SLACK:
                holders |= {None}
            if one is upto:
                break
            last = one.at
            holders = one.who or holders
        return holders


def _seconds(event: _Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()
