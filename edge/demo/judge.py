"""Counts what went wrong in the demo store, from outside: from what was played, the platform and the phones.

It imports nothing of the rest. An *item* is a `cart.item_added`: it is *accepted* once `cartwire events` shows it, or
the platform or a phone has it. What the phones have, they say themselves, each of which cart it is the phone.

arrived   An item that is in a phone of its cart, and at the platform.
withheld  An item that staff removed, or that a withdrawn consent keeps back, before a phone of its cart had it. At the
          platform it is at its end, but it has not arrived.
lost      An accepted item that nobody will bring any more. The phone lacks it although the gateway says that the app
          confirmed it; or the platform lacks it although nothing waits for it. Of what the phones lack and no app
          confirmed, as many are lost as there are more of it than wait for apps: which ones cannot be told, for the
          gateway says one number for all apps. In it are removals and what is taken but not acknowledged, too: as
          long as such a one waits for a phone that is off, a lost item may hide behind it.
doubled   A scan that is in a cart twice: an id that a phone took twice, or an accepted scan of a product that
          nobody held up, which is how a second id for one presentation looks.
wrong     An item in a phone whose owner did not hold the read point when the product was held up, nor tapped first
          within `CLAIM` afterwards where nobody held it; or who had withdrawn the consent before; or in a phone of
          another cart than its own.
under way An accepted item that is not at its end yet, and not lost.

Nothing is called lost before it was so for `GRACE` seconds of a gateway that runs. Readings are played into a pipe: of
those shortly before a power cut nobody knows whether they were read, so that afterwards both who tapped last and who
tapped before may be the holder. What staff give to somebody is no scan.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
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
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Counts:
    """`accepted`: items, of which some are `arrived`, `under_way` or `lost`; the others were withheld."""

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
    """By phone of its cart, how often."""
    astray: bool = False
    """Whether it is in a phone of another cart."""
    at_platform: bool = False
    withdrawn: bool = False
    right: bool | None = None
    """Whether it is in the right cart, once that is settled."""
    missing: float | None = None
    """Since when it is missing."""


@dataclass(slots=True)
class _Without:
    """A time without consent: withdrawn at the platform, noticed by the gateway, given again at the platform."""

    withdrawn: float
    begin: float = _NEVER
    end: float = _NEVER


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
    _heard: dict[tuple[str, str], int] = field(default_factory=dict)
    """By cart and phone, how many of its additions are counted."""
    _without: dict[str, list[_Without]] = field(default_factory=lambda: defaultdict(list))
    """By customer, the oldest first."""

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

    def withdrew(self, at: float, customer: str) -> None:
        """The consent was withdrawn, which counts from when the gateway notices it: at its `customer.erased`."""
        self._without[customer].append(_Without(at))

    def consented(self, at: float, customer: str) -> None:
        """The consent was given again, maybe before the gateway has noticed anything."""
        for span in self._without[customer]:
            span.end = min(span.end, at)

    def accepted(self, event: _Event, at: float) -> None:
        """The gateway has shown this event."""
        if event["id"] in self._known:
            return
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
            self._noticed(customer, when)
            for item in self._items.values():
                item.withdrawn |= item.event["data"]["customer"] == customer
        self._known.add(event["id"])

    def _noticed(self, customer: str, when: float) -> None:
        """Of a withdrawal that we know of, else of what staff did at the gateway."""
        spans = self._without[customer]
        fresh = [span for span in spans if span.withdrawn <= when and span.begin == _NEVER]
        if not fresh and all(span.end < when for span in spans):
            spans.append(_Without(when, when))
        for span in fresh:
            span.begin = when

    def at_platform(self, event: _Event, at: float) -> None:
        """The platform has this event."""
        self.accepted(event, at)
        if item := self._items.get(event["id"]):
            item.at_platform = True

    def took(self, cart: str, phone: str, first: int, events: Sequence[_Event], at: float) -> None:
        """A phone of that cart has put these additions into it, each time that it did.

        `first`: how many it had told before; what it tells once more is counted once.
        """
        heard = self._heard.get((cart, phone), 0)
        for event in events[max(0, heard - first) :]:
            self.accepted(event, at)
            if not (item := self._items.get(event["id"])):
                continue
            if item.event["data"]["cart"] == cart:
                item.taken[phone] = item.taken.get(phone, 0) + 1
            else:
                item.astray = True
        self._heard[cart, phone] = max(heard, first + len(events))

    def under_way(self, cart: str) -> list[_Event]:
        """What is accepted and not in a phone of that cart yet, and will come, the oldest first."""
        return [item.event for item in self._items.values() if item.event["data"]["cart"] == cart and self._lacks(item)]

    def counts(self, now: float) -> Counts:
        """As of now; to be asked again and again."""
        items = list(self._items.values())
        ended = sum(item.at_platform and not self._lacks(item) for item in items)
        arrived = sum(item.at_platform and bool(item.taken) for item in items)
        lost = self._lost(now)
        twice = sum(times - 1 for item in items for times in item.taken.values())
        wrong = sum(item.astray or (bool(item.taken) and not self._is_right(item, now)) for item in items)
        return Counts(len(items), arrived, len(items) - ended - lost, lost, twice + self._unheld, wrong)

    def _lacks(self, item: _Item) -> bool:
        """Whether a phone of its cart is still to get it."""
        return not (item.taken or item.withdrawn or item.event["id"] in self._removed)

    def _lost(self, now: float) -> int:
        """How many have been missing for long enough; notes since when."""
        missing = self._missing()
        for name, item in self._items.items():
            item.missing = None if name not in missing else item.missing or now
        return sum(item.missing is not None and now - item.missing >= GRACE for item in self._items.values())

    def _missing(self) -> set[str]:
        """The ids of what nobody brings, as it looks now; of those that cannot be told apart the oldest."""
        if (waiting := self.waiting) is None:
            return set()
        old = {name: item for name, item in self._items.items() if item.seen <= waiting.asked}
        lacking = [name for name, item in old.items() if self._lacks(item)]
        confirmed = self._confirmed.intersection(lacking)
        unconfirmed = [name for name in lacking if name not in confirmed]
        forgotten = unconfirmed[: max(0, len(unconfirmed) - waiting.apps)]
        unsent = [name for name, item in old.items() if not (item.at_platform or waiting.platform)]
        return {*confirmed, *forgotten, *unsent}

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
        if any(span.begin < when < span.end for span in self._without[customer]):
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
