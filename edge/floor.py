"""Who is at which read point. Pure and immutable: nothing here waits, reads a clock or a database.

    decide(floor, happening, rules) -> rows      what is to be written
    evolve(floor, row)              -> floor     what a written row means; also how a restart remembers
    due(spot, rules)                -> instant   when something falls by itself

A session belongs to a read point. Any tap but the holder's own ends it. A scan belongs to the
session open there, or waits `claim` seconds for a tap. A scan in a nameless session (a band the cache
does not know) is held under the band's pseudonym until the cache learns whose it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from edge.model import Customer, Item, Moment, Row

AGAIN = 3.0
"""Seconds within which the holder's own tap is nothing (a band wiggled on the reader)."""

HELD = "inside.scan_held"
EXTENDED = "inside.session_extended"


@dataclass(frozen=True, slots=True)
class Session:
    """A customer, or a band nobody knows yet, holds a read point. Instants are on CLOCK_BOOTTIME."""

    id: str
    customer: str | None
    pseudonym: str | None
    tapped: float
    last: float


@dataclass(frozen=True, slots=True)
class Spot:
    """One read point. `held` waits for a claim and is empty while a session is open."""

    session: Session | None = None
    held: tuple[Row, ...] = ()


Floor = Mapping[str, Spot]
EMPTY = Spot()


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds a session and a claim last; the language product names fall back to."""

    session: float = 45.0
    claim: float = 10.0
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Tapped:
    """A tap. `owner` may be attributed to; without one `pseudonym` is an unknown band; with neither it is nobody."""

    id: str
    moment: Moment
    read_point: str
    method: str
    owner: Customer | None = None
    pseudonym: str | None = None


@dataclass(frozen=True, slots=True)
class Scanned:
    """A product scan. `holder` is the cache's record of the session's customer, None if there is none any more."""

    id: str
    moment: Moment
    read_point: str
    item: Item
    holder: Customer | None = None


@dataclass(frozen=True, slots=True)
class Lapsed:
    """All that is due at the read point by `moment.instant` falls."""

    moment: Moment
    read_point: str


@dataclass(frozen=True, slots=True)
class Learnt:
    """The cache learnt that `pseudonym` is `owner` (None: somebody who must not be kept).

    `taps` and `scans` are the rows that wait for it; `before` are scans older than the identifier.
    """

    moment: Moment
    pseudonym: str
    owner: Customer | None
    taps: tuple[Row, ...] = ()
    scans: tuple[Row, ...] = ()
    before: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Nobody will ever be learnt for these held scans: too old, or their band was given away."""

    moment: Moment
    scans: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A customer was deleted or no longer consents to `cart`."""

    moment: Moment
    customer: str


@dataclass(frozen=True, slots=True)
class Given:
    """Staff gave an unclaimed scan to a customer. `scan` is its row, with the `product` as the cache has it."""

    moment: Moment
    scan: Row
    customer: Customer
    staff: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Staff ended the session at the read point, or all (None)."""

    moment: Moment
    read_point: str | None = None


Happening = Tapped | Scanned | Lapsed | Learnt | Forgotten | Withdrawn | Given | Closed


def decide(floor: Floor, happening: Happening, rules: Rules) -> list[Row]:
    """The rows that `happening` is worth, in the order they are to be written."""
    match happening:
        case Tapped():
            return list(_tapped(floor.get(happening.read_point, EMPTY), happening, rules))
        case Scanned():
            return list(_scanned(floor.get(happening.read_point, EMPTY), happening, rules))
        case Lapsed():
            return list(_lapsed(floor.get(happening.read_point, EMPTY), happening, rules))
        case Learnt():
            return list(_learnt(floor, happening, rules))
        case Forgotten():
            return [_unclaimed(scan, live=False) for scan in happening.scans]
        case Withdrawn():
            return [
                _ended(happening.moment, read_point, spot.session, "consent")
                for read_point, spot in floor.items()
                if spot.session and spot.session.customer == happening.customer
            ]
        case Given():
            return list(_given(floor, happening, rules))
        case Closed():
            return [
                _ended(
                    happening.moment, read_point, spot.session, "staff" if _lasts(spot, happening, rules) else "timeout"
                )
                for read_point, spot in floor.items()
                if spot.session and happening.read_point in (read_point, None)
            ]


def evolve(floor: Floor, row: Row) -> Floor:
    """The floor after `row`. Rows of a tail may come without their beginning: a scan's row says who held the place."""
    read_point = row.data.get("read_point")
    if not row.live or read_point is None:
        return floor
    spot, at = floor.get(read_point, EMPTY), row.moment.instant
    session: Any = row.data.get("session")
    match row.kind:
        case "customer.identified" | "tap.unknown":
            opened = Session(session, row.data.get("customer"), row.data.get("pseudonym"), at, at)
            spot = replace(spot, session=opened)
        case "inside.session_extended":
            before = spot.session or _seen(row, at)
            spot = replace(spot, session=replace(before, tapped=at, last=max(before.last, at)))
        case "cart.item_added" | "inside.scan_held" if session is not None:
            before = spot.session or _seen(row, at)
            spot = Spot(replace(before, last=max(before.last, at)), _without(spot.held, row))
        case "inside.scan_held":
            spot = replace(spot, held=(*spot.held, row))
        case "scan.unclaimed":
            spot = replace(spot, held=_without(spot.held, row))
        case "customer.resolved" if spot.session and spot.session.id == session:
            spot = replace(spot, session=replace(spot.session, customer=row.data["customer"]))
        case "session.ended" if spot.session and spot.session.id == session:
            spot = replace(spot, session=None)
    return {**floor, read_point: spot}


def due(spot: Spot, rules: Rules) -> float:
    """The instant at which the next thing at this read point falls; inf if nothing will."""
    ends = spot.session.last + rules.session if spot.session else inf
    return min([ends, *(scan.moment.instant + rules.claim for scan in spot.held)])


def is_holder(session: Session, tap: Tapped) -> bool:
    """Whether the tap is that of the one who holds the session."""
    if tap.owner is not None and session.customer == tap.owner.id:
        return True
    return session.customer is None and tap.pseudonym is not None and session.pseudonym == tap.pseudonym


def _tapped(spot: Spot, tap: Tapped, rules: Rules) -> Iterator[Row]:
    session, at, now = spot.session, tap.read_point, tap.moment
    if session and is_holder(session, tap):
        if now.instant - session.tapped >= AGAIN:
            who = {"customer": session.customer} if session.customer else {"pseudonym": session.pseudonym}
            yield Row(EXTENDED, now, {**who, "session": session.id, "read_point": at})
        return
    if session:
        yield _ended(now, at, session, "replaced")
    if tap.owner:
        who = {"customer": tap.owner.id}
        yield Row("customer.identified", now, _opening(who, tap), tap.id)
    elif tap.pseudonym:
        who = {"pseudonym": tap.pseudonym}
        yield Row("tap.unknown", now, _opening(who, tap), tap.id)
    for scan in spot.held:
        if tap.owner:
            yield _added(scan, tap.owner, tap.id, rules)
        elif tap.pseudonym:
            yield replace(scan, data={**scan.data, "session": tap.id, "pseudonym": tap.pseudonym})
        else:
            yield _unclaimed(scan)


def _scanned(spot: Spot, scan: Scanned, rules: Rules) -> Iterator[Row]:
    session = spot.session
    if session and session.customer and scan.holder is None:
        yield _ended(scan.moment, scan.read_point, session, "consent")
        session = None
    item = scan.item
    data: dict[str, Any] = {
        "read_point": scan.read_point,
        "gtin": item.gtin,
        "symbology": item.symbology,
        "product": item.product,
    }
    if item.in_store:
        data["in_store"] = item.in_store
    held = Row(HELD, scan.moment, data, scan.id)
    if session and scan.holder:
        yield _added(held, scan.holder, session.id, rules)
    elif session:
        yield replace(held, data={**data, "session": session.id, "pseudonym": session.pseudonym})
    else:
        yield held


def _lapsed(spot: Spot, lapse: Lapsed, rules: Rules) -> Iterator[Row]:
    now = lapse.moment.instant
    if spot.session and spot.session.last + rules.session <= now:
        yield _ended(lapse.moment, lapse.read_point, spot.session, "timeout")
    for scan in spot.held:
        if scan.moment.instant + rules.claim <= now:
            yield _unclaimed(scan)


def _learnt(floor: Floor, learnt: Learnt, rules: Rules) -> Iterator[Row]:
    if learnt.owner is None:
        for read_point, spot in floor.items():
            if spot.session and spot.session.customer is None and spot.session.pseudonym == learnt.pseudonym:
                yield _ended(learnt.moment, read_point, spot.session, "consent")
        return
    for scan in learnt.before:
        yield _unclaimed(scan, live=False)
    for tap in learnt.taps:
        data = {"customer": learnt.owner.id, "pseudonym": learnt.pseudonym, "session": tap.data["session"]}
        yield Row("customer.resolved", learnt.moment, {**data, "read_point": tap.data["read_point"]})
    for scan in learnt.scans:
        yield replace(_added(scan, learnt.owner, scan.data["session"], rules), live=False)


def _given(floor: Floor, given: Given, rules: Rules) -> Iterator[Row]:
    """Nothing if the customer has no session. It is no reading: it extends none, as its read point may be another's."""
    sessions = [
        (spot.session.last, read_point, spot.session)
        for read_point, spot in floor.items()
        if spot.session and spot.session.customer == given.customer.id and _lasts(spot, given, rules)
    ]
    if sessions:
        (_, _, session) = max(sessions, key=lambda found: found[:2])
        data = _added(given.scan, given.customer, session.id, rules).data
        about = {"staff": given.staff, "event": given.scan.id}
        yield Row("cart.item_added", given.moment, {**data, **about}, live=False)


def _lasts(spot: Spot, at: Given | Closed, rules: Rules) -> bool:
    """Whether the session is not over by itself, though nobody has looked yet."""
    return spot.session is not None and spot.session.last + rules.session > at.moment.instant


def _opening(who: Mapping[str, str], tap: Tapped) -> dict[str, Any]:
    return {**who, "session": tap.id, "read_point": tap.read_point, "method": tap.method}


def _ended(moment: Moment, read_point: str, session: Session, reason: str) -> Row:
    data = {"session": session.id, "customer": session.customer, "reason": reason, "read_point": read_point}
    return Row("session.ended", moment, data)


def _added(scan: Row, customer: Customer, session: str, rules: Rules) -> Row:
    data = {
        "customer": customer.id,
        "cart": customer.cart,
        "session": session,
        "read_point": scan.data["read_point"],
        "gtin": scan.data["gtin"],
        "quantity": 1,
        "symbology": scan.data["symbology"],
        "product": _named(scan.data["product"], customer.language, rules.language),
    }
    if in_store := scan.data.get("in_store"):
        data["in_store"] = in_store
    return Row("cart.item_added", scan.moment, data, scan.id)


def _unclaimed(scan: Row, *, live: bool = True) -> Row:
    data = {key: scan.data[key] for key in ("read_point", "gtin", "symbology", "in_store") if key in scan.data}
    return Row("scan.unclaimed", scan.moment, data, scan.id, live)


def _named(product: Mapping[str, Any] | None, *languages: str | None) -> Mapping[str, Any] | None:
    """The product with its name in the first of `languages` there is, else in any; `ko-KR` is content with `ko`."""
    if product is None or not isinstance(names := product.get("name"), Mapping):
        return product
    tags = (tag for language in languages if language for tag in (language, language.partition("-")[0]))
    found = next((names[tag] for tag in tags if tag in names), None)
    return {**product, "name": found if found is not None else next(iter(names.values()), "")}


def _seen(row: Row, at: float) -> Session:
    return Session(row.data["session"], row.data.get("customer"), row.data.get("pseudonym"), -inf, at)


def _without(held: tuple[Row, ...], row: Row) -> tuple[Row, ...]:
    return tuple(scan for scan in held if scan.id != row.id)
