"""What §4 of the contract promises of one gateway: told what happens, it says what must come of it.

Written from the contract alone; it knows nothing of the code it judges. Instants are seconds on CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SESSION, CLAIM, AGAIN, LATE = 45.0, 10.0, 3.0, 3600.03125

Stamp = tuple[int, bool, str]  # `time` in milliseconds, `clockok`, `bootid`
Value = dict[str, Any] | None  # of a change; None: a delete
Changes = list[tuple[tuple[str, str], Value]]  # by kind and key


@dataclass(eq=False)
class Boot:
    """`gap`: seconds off before. `offset` mends its times. `origin`: on the clock of ages, at instant 0."""

    id: str
    offset: float | None = None
    gap: float = 0.0
    origin: float = 0.0


Since = tuple[Boot, float]


@dataclass(eq=False)
class Session:
    """The `n`-th at its read point. `fate`: added if its customer is known, held for a name, or unclaimed, erased."""

    at: str
    n: int
    band: str
    stamp: Stamp
    since: Since
    customer: str | None
    fate: str
    tapped: float
    last: float


@dataclass(eq=False)
class Scan:
    """`fate`: waiting (for a claim), held (for a name), added, unclaimed, erased. `stopped`: no push follows."""

    at: str
    gtin: str
    stamp: Stamp
    since: Since
    fate: str = "waiting"
    session: Session | None = None
    band: str = ""
    customer: str | None = None
    cart: str | None = None
    stopped: bool = False
    removed: bool = False


@dataclass(eq=False)
class Item:
    """What staff send to an app besides: a scan that was given, or a removal."""

    at: str
    gtin: str
    since: Since
    session: Session
    customer: str
    cart: str
    stopped: bool = False
    removed: bool = False


@dataclass(eq=False)
class Binding:
    """A band that staff gave (or took: no customer). `id` of the event; `named` by a full pull that is under way."""

    id: str
    customer: str | None
    named: bool = False


class Model:
    """One gateway as the contract has it. `events` are those that must be there."""

    def __init__(self, boot: Boot, instant: float) -> None:
        self.boot, self.boots, self.now = boot, {boot.id: boot}, instant
        self.cache: dict[tuple[str, str], Value] = {}
        self.filling: dict[tuple[str, str], Value] | None = None
        self.scans: dict[str, Scan] = {}
        self.sessions: list[Session] = []
        self.open: dict[str, Session] = {}
        self.unwritten: set[str] = set()
        self.in_vain: set[str] = set()
        self.items: dict[tuple[str, str], Scan | Item] = {}
        self.bindings: dict[str, Binding] = {}
        self.intents: dict[str, tuple[str, tuple[str, ...], Since, str]] = {}  # about what, since when, on whom
        self.events: Counter[tuple[Any, ...]] = Counter()

    def of(self, fate: str, **like: object) -> list[Scan]:
        """The scans of this fate with these attributes."""
        like["fate"] = fate
        return [scan for scan in self.scans.values() if all(getattr(scan, k) == like[k] for k in like)]

    def age(self, since: Since) -> float:
        """Across boots: the running time, and the gaps as far as they are known."""
        return self.boot.origin + self.now - since[0].origin - since[1]

    def dues(self) -> list[float]:
        """When something falls by itself."""
        late = [self.now + LATE - self.age(scan.since) for scan in self.of("held")]
        claims = [scan.since[1] + CLAIM for scan in self.of("waiting")]
        return [*late, *claims, *(session.last + SESSION for session in self.open.values())]

    def consents(self, customer: str | None) -> bool:
        return "cart" in (self.cache.get(("customer", customer or "")) or {"consents": ()})["consents"]

    def owner(self, band: str) -> str | None:
        """An identifier whose customer is unknown is unknown."""
        customer = self.holder(band)
        return customer if ("customer", customer) in self.cache else None

    def holder(self, band: str) -> str | None:
        """A binding made by staff stays on top."""
        if band in self.bindings:
            return self.bindings[band].customer
        return (self.cache.get(("identifier", band)) or {"customer": None})["customer"]

    def pass_to(self, instant: float) -> None:
        """Timeouts fall when due, not at the next reading."""
        self.now = instant
        for session in [s for s in self.open.values() if s.last + SESSION <= instant]:
            self._end(session, "timeout")
        over = [scan for scan in self.of("waiting") if scan.since[1] + CLAIM <= instant]
        late = [read for read in self._held() if self.age(read.since) >= LATE and read not in self.open.values()]
        self._unclaim([*over, *late])

    def read(self, at: str) -> None:
        """A tap that could not be written comes before anything more is accepted there."""
        self.in_vain.discard(at)
        if at in self.unwritten:
            self.unwritten.remove(at)
            self._replace(at)

    def refused(self, at: str, band: str) -> None:
        """A tap that could not be written; the holder's own changes nothing."""
        self.in_vain.add(at)
        if at not in self.open or not self._holds(self.open[at], band):
            self.unwritten.add(at)

    def killed(self) -> None:
        """Who tapped in vain is not known any more, only that somebody did."""
        self.unwritten |= self.in_vain

    def tap(self, at: str, band: str, method: str, stamp: Stamp) -> None:
        """`band` is empty if nobody can say what was presented. A customer without `cart` is nobody."""
        self.read(at)
        owner, session = self.owner(band), self.open.get(at)
        if session and self._holds(session, band):
            if self.now - session.tapped >= AGAIN:
                session.tapped = session.last = self.now
        elif not band or (owner and not self.consents(owner)):
            self._replace(at)
        else:
            n, now = 1 + sum(s.at == at for s in self.sessions), self.now
            new = Session(at, n, band, stamp, (self.boot, now), owner, "added" if owner else "held", now, now)
            kind = "customer.identified" if owner else "tap.unknown"
            self.events[kind, at, n, owner or band, method, stamp] += 1
            for scan in self.of("waiting", at=at):
                self._attribute(scan, new)
            self._replace(at)
            self.open[at] = new
            self.sessions.append(new)

    def scan(self, at: str, gtin: str, stamp: Stamp) -> None:
        self.read(at)
        self.scans[gtin] = scan = Scan(at, gtin, stamp, (self.boot, self.now))
        if session := self.open.get(at):
            session.last = self.now
            self._attribute(scan, session)

    def page(self, changes: Changes, *, first: bool, more: bool) -> None:
        """Changes in their order. A full pull replaces the cache when it is over: what it lacks is gone."""
        self.filling = {} if first else self.filling
        replaces = self.filling is not None
        for band, binding in self.bindings.items():
            binding.named = replaces and ((binding.named and not first) or ("identifier", band) in dict(changes))
        if self.filling is not None:
            self.filling.update(changes)
            new, changes = {key: value for key, value in self.filling.items() if value}, []
            if not more:
                self.filling = None
                named = [("identifier", band) for band in self.bindings if self.bindings[band].named]
                changes = [
                    *((key, None) for key in {**self.cache, **dict.fromkeys(named)} if key not in new),
                    *new.items(),
                ]
        for (kind, key), value in changes:
            consented, was = self.consents(key), self.holder(key)
            self.cache.pop((kind, key), None)
            if value:
                self.cache[kind, key] = value
            if kind == "customer" and consented and not self.consents(key):
                self._withdraw(key)
            if kind == "customer" and not value:
                self._forget(key)
            elif kind == "identifier" and not (replaces and key in self.bindings and not self.bindings[key].named):
                self.bindings.pop(key, None)
                if (not value and (was or not replaces)) or (value and was and was != value["customer"]):
                    self._release(key)
        self._learn()

    def bind(self, customer: str, band: str, id: str) -> None:
        """Staff give a band that nobody has."""
        if self.consents(customer) and self.holder(band) is None:
            self.bindings[band] = Binding(id, customer)
            self.events["band.bound", customer, band] += 1
            self._learn()

    def unbind(self, customer: str, band: str, id: str) -> None:
        """Staff take the customer's band."""
        if self.holder(band) == customer:
            self.bindings[band] = Binding(id, None)
            self.events["band.unbound", customer, band] += 1
            self._release(band)

    def rejected(self, id: str) -> None:
        """The platform rejects an event; if it is a binding's, that is no more."""
        for band in [band for band, binding in self.bindings.items() if binding.id == id]:
            was = self.bindings.pop(band).customer
            if was and self.holder(band) != was:
                self._release(band)
        self._learn()

    def end(self, at: str) -> None:
        """Staff end the session there."""
        if at in self.open:
            self._end(self.open[at], "staff")

    def close(self) -> None:
        for at in [*self.open]:
            self.end(at)

    def give(self, gtin: str, customer: str) -> None:
        """Staff give an unclaimed scan, once, to somebody with an open session."""
        sessions = [session for session in self.open.values() if session.customer == customer]
        if ("gift", gtin) not in self.items and sessions and self.consents(customer):
            session = max(sessions, key=lambda session: (session.last, session.at))
            at, cart = self.scans[gtin].at, (self.cache["customer", customer] or {})["cart"]
            self.items["gift", gtin] = Item(at, gtin, (self.boot, self.now), session, customer, cart)
            self.events["gift", at, session.n, gtin, customer, cart] += 1

    def remove(self, kind: str, gtin: str) -> None:
        """Staff take out what was added or given."""
        item = self.items[kind, gtin]
        if not item.stopped and not item.removed and item.customer and item.cart and self.consents(item.customer):
            assert item.session
            item.removed, since = True, (self.boot, self.now)
            told = item.at, item.session.n, gtin, item.customer, item.cart
            self.items[f"removal of {kind}", gtin] = Item(item.at, gtin, since, item.session, item.customer, item.cart)
            self.events["cart.item_removed", *told] += 1

    def erase(self, customer: str) -> None:
        """Staff erase a customer: as if deleted, with the identifiers."""
        if ("customer", customer) not in self.cache:
            return
        self._withdraw(customer)
        theirs = [band for band in {key for _, key in self.cache} | {*self.bindings} if self.holder(band) == customer]
        self._forget(customer)
        for known in (self.cache, self.filling or {}):
            for key in [k for k, v in known.items() if k[0] == "identifier" and v and v["customer"] == customer]:
                del known[key]
                if known is self.cache and key[1] in self.bindings and not self.bindings[key[1]].customer:
                    del self.bindings[key[1]]
            known.pop(("customer", customer), None)
        for band in theirs:
            self._release(band)

    def _withdraw(self, customer: str) -> None:
        for session in [s for s in self.open.values() if s.customer == customer]:
            self._end(session, "consent")
        for item in self.items.values():
            item.stopped = item.stopped or item.customer == customer

    def _forget(self, customer: str) -> None:
        """What staff gave the customer, and have in mind."""
        self.bindings = {band: each for band, each in self.bindings.items() if each.customer != customer}
        self.intents = {id: intent for id, intent in self.intents.items() if customer != intent[3]}

    def _release(self, band: str) -> None:
        """What is held for the band is nobody's."""
        self._unclaim([read for read in self._held() if read.band == band and read not in self.open.values()])

    def reboot(self, boot: Boot, instant: float, *, ok: bool) -> None:
        """After a reboot every open session has ended and no claim waits; an unknown gap counts as 0."""
        for session in [*self.open.values()]:
            self._end(session, "timeout")
        self._unclaim(self.of("waiting"))
        boot.gap = boot.gap if self.boot.offset is not None else 0.0
        boot.origin, boot.offset = self.boot.origin + self.now + boot.gap * ok, 0.0 if ok else None
        self.boot = self.boots[boot.id] = boot
        self.pass_to(instant)

    def right(self, offset: float) -> None:
        """The clock is right for the first time in this boot."""
        self.events["clock.adjusted", self.boot.id, round(offset, 3)] += 1
        self.boot.offset = offset
        self.boot.origin += self.boot.gap
        self._learn()
        self.pass_to(self.now)

    def _holds(self, session: Session, band: str) -> bool:
        owner = self.owner(band)
        return session.customer == owner if session.customer else owner is None and session.band == band

    def _replace(self, at: str) -> None:
        """Whoever was there is not any more."""
        if at in self.open:
            self._end(self.open[at], "replaced")
        self._unclaim(self.of("waiting", at=at))

    def _end(self, session: Session, reason: str) -> None:
        del self.open[session.at]
        self.events["session.ended", session.at, session.n, session.customer, reason] += 1

    def _attribute(self, scan: Scan, session: Session) -> None:
        scan.fate, scan.session, scan.band, scan.since = "held", session, session.band, (self.boot, self.now)
        if session.customer:
            self._name(scan, session.customer)

    def _name(self, read: Session | Scan, customer: str) -> None:
        read.fate, read.customer = "added", customer
        if isinstance(read, Session):
            self.events["customer.resolved", read.at, read.n, customer, read.band] += 1
        elif read.session:
            self.items["added", read.gtin] = read
            read.cart, read.since = (self.cache["customer", customer] or {})["cart"], (self.boot, self.now)
            self.events["cart.item_added", read.at, read.session.n, read.gtin, customer, read.cart, read.stamp] += 1

    def _held(self) -> list[Session | Scan]:
        return [read for read in (*self.sessions, *self.scans.values()) if read.fate == "held"]

    def _unclaim(self, reads: Sequence[Session | Scan]) -> None:
        for read in reads:
            read.fate = "unclaimed"
            if isinstance(read, Scan):
                self.events["scan.unclaimed", read.at, None, read.gtin, read.stamp] += 1

    def _learn(self) -> None:
        """What is held for those whom the cache knows by now is theirs; erased, if they do not consent."""
        for read in self._held():
            owner = self.owner(read.band)
            if owner and not self.consents(owner):
                read.fate = "erased"
                for session in [s for s in self.open.values() if s.band == read.band and not s.customer]:
                    self._end(session, "consent")
            elif owner and (own := self._is_since(read)) is not None:
                self._name(read, owner) if own or self._lasts(read) else self._unclaim([read])

    def _lasts(self, read: Session | Scan) -> bool:
        """Whether it is the session of somebody who is there, or of whom a later scan is theirs."""
        scans = [scan for scan in self.of("held") if scan.session is read]
        return read in self.open.values() or any(self._is_since(scan) for scan in scans)

    def _is_since(self, read: Session | Scan) -> bool | None:
        """Whether it is not older than the identifier's `from`; None: its right time is not known yet."""
        known = {} if read.band in self.bindings else self.cache["identifier", read.band] or {}
        since, (time, ok, boot) = known.get("from"), read.stamp
        offset = 0.0 if ok else self.boots[boot].offset
        if since is None or offset is None:
            return True if since is None else None
        return bool(time + round(offset * 1000) >= datetime.fromisoformat(since).timestamp() * 1000)
