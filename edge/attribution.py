"""Whose a reading is: what the cache and the floor together make of it. Runs inside a batch.

The order for a code's text: a cached identifier (it works as a tap), the store's own labels, a product,
the form of a loyalty code. What is nobody's is not kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from re import Pattern

import msgspec

from edge import codes, directory, erasure, identity
from edge.batch import Batch
from edge.codes import Code, InStore
from edge.database import Full
from edge.floor import EMPTY, HELD, Forgotten, Learnt, Scanned, Tapped, Withdrawn, is_holder
from edge.journal import Waiting, last_seq
from edge.model import Item, Lapse, Moment, Outcome, Row, Scan, Sighting, Tap


@dataclass(frozen=True, slots=True)
class Observation:
    """A reading without raw identifiers of taps, with the id and the moment it got when it was made."""

    id: str
    moment: Moment
    reading: Tap | Scan | Lapse


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a reading. `unknown_tap`: a pseudonym worth asking the platform about.

    `made_up`: what was read before and could not be written then. `kept`: what may be kept of the reading, which is the
    GTIN of a product, the pseudonym of a customer, or that it was a tap; `session`: the one it belongs to, if any.
    """

    outcome: Outcome | None
    unknown_tap: str | None = None
    made_up: tuple[Observation, ...] = ()
    kept: Tap | Scan | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Attribution:
    """The rules of one store. `late`: seconds a held scan may wait to learn its customer.

    `old_key`: whom the cache does not know by `key` it may still know by this one; strangers get the new pseudonym.
    """

    key: bytes
    loyalty: Pattern[str]
    in_store: tuple[InStore, ...]
    late: float
    old_key: bytes | None = None

    def veil(self, tap: Tap, forms: Mapping[str, Pattern[str]]) -> Tap:
        """The tap without its raw value."""
        new = identity.veil(tap, self.key, forms)
        if self.old_key is None:
            return new
        old = identity.veil(tap, self.old_key, forms)
        others = (replace(each, others=(), plausible=False) for each in (old, *old.others))
        return replace(new, others=(*new.others, *others))

    def veiled(self, connection: sqlite3.Connection, sighting: Sighting) -> Sighting:
        """The sighting without its raw value."""
        new = identity.veiled(sighting, self.key)
        if self.old_key is None or (new.pseudonym and directory.owner(connection, new.pseudonym)):
            return new
        old = identity.veiled(sighting, self.old_key)
        return old if old.pseudonym and directory.owner(connection, old.pseudonym) else new

    def observe(self, batch: Batch, seen: Observation) -> Answer:
        """Writes what the reading is worth."""
        reading = seen.reading
        batch.lapse(reading.read_point, seen.moment)
        if isinstance(reading, Lapse):
            return Answer(None)
        named = self.named(batch.connection, reading)
        if isinstance(named, Tap):
            return self._tap(batch, seen, named)
        return self._scan(batch, seen, *named) if named else Answer("unknown")

    def named(self, connection: sqlite3.Connection, reading: Tap | Scan) -> Tap | tuple[Code, Item] | None:
        """What the reading names: of a card the identifier that counts, a customer, a product; None: it is nobody's."""
        if isinstance(reading, Tap):
            return _chosen(connection, reading)
        code = codes.read(reading.text, reading.symbology)
        tap, known = self._presented(connection, reading.read_point, code)
        if known:
            return tap
        if item := codes.item(code, self.in_store):
            return code, item
        return tap if self.loyalty.search(code.text) else None

    def may_be_tap(self, connection: sqlite3.Connection, reading: Tap | Scan | Lapse) -> bool:
        """Whether it could end a session; a product's code does not, unless it is somebody's identifier."""
        if isinstance(reading, Scan):
            code = codes.read(reading.text, reading.symbology)
            return codes.item(code, self.in_store) is None or self._presented(connection, reading.read_point, code)[1]
        return isinstance(reading, Tap)

    def _presented(self, connection: sqlite3.Connection, read_point: str, code: Code) -> tuple[Tap, bool]:
        """A code as the tap that it is, if it is somebody's identifier; whether it is."""
        keys = [key for key in (self.key, self.old_key) if key is not None]
        taps = [
            Tap(read_point=read_point, type="code", pseudonym=identity.pseudonym(key, "code", code.text))
            for key in keys
        ]
        known = next((tap for tap in taps if directory.owner(connection, tap.pseudonym)), None)
        return known or taps[0], known is not None

    def _tap(self, batch: Batch, seen: Observation, tap: Tap) -> Answer:
        owner = directory.owner(batch.connection, tap.pseudonym) if tap.pseudonym else None
        consents = owner is not None and "cart" in owner.consents
        stranger = tap.pseudonym if owner is None and tap.plausible else None
        tapped = Tapped(seen.id, seen.moment, tap.read_point, tap.type, owner if consents else None, stranger)
        nobody = Tap(read_point=tap.read_point)
        if not batch.room:
            session = batch.floor.get(tap.read_point, EMPTY).session
            if session is None or not is_holder(session, tapped):
                batch.happen(replace(tapped, owner=None, pseudonym=None))
                return Answer("cannot", kept=nobody)
            return Answer("cannot")
        rows = batch.happen(tapped)
        if any(row.kind == "tap.unknown" for row in rows):
            return Answer("saved", stranger, kept=nobody)
        session = batch.floor.get(tap.read_point, EMPTY).session
        kept, whose = (tap, session.id) if session and tapped.owner else (nobody, None)
        if session is None or not rows:
            return Answer("unknown" if session is None else None, kept=kept, session=whose)
        return Answer("accepted" if session.customer else "saved", kept=kept, session=whose)

    def _scan(self, batch: Batch, seen: Observation, code: Code, item: Item) -> Answer:
        if not batch.room:
            return Answer("cannot")
        session = batch.floor.get(seen.reading.read_point, EMPTY).session
        holder = directory.customer(batch.connection, session.customer) if session and session.customer else None
        if holder and "cart" not in holder.consents:
            holder = None
        item = replace(item, product=directory.product(batch.connection, item.gtin))
        rows = batch.happen(Scanned(seen.id, seen.moment, seen.reading.read_point, item, holder))
        outcome: Outcome = "accepted" if any(row.kind == "cart.item_added" for row in rows) else "saved"
        session = batch.floor.get(seen.reading.read_point, EMPTY).session
        text = code.text if item.in_store else item.gtin  # a label's price or weight is in its digits
        kept = Scan(read_point=seen.reading.read_point, text=text, symbology=item.symbology)
        return Answer(outcome, kept=kept, session=session.id if session else None)

    def learn(self, batch: Batch, page: directory.Page, since: str | None) -> None:
        """Applies a page of the feed, and what follows from it for sessions, held scans and pushes.

        Raises Full for one of a new generation where taps and scans are refused: it is not to take the reserve.
        """
        if not batch.room and directory.filling(batch.connection, since):
            raise Full("no room for a new generation of the cache")
        effects = directory.apply(batch.connection, page, since)
        for customer, deleted in effects.withdrawn.items():
            withdraw(batch, customer, "platform", everything=deleted)
        for pseudonym, deleted in effects.pseudonyms.items():
            erasure.begin(batch.connection, pseudonym, last_seq(batch.connection), everything=deleted)
        for pseudonym in effects.lost:
            erasure.begin(batch.connection, pseudonym, last_seq(batch.connection))
        for pseudonym in effects.reassigned:
            forget(batch, pseudonym)
        for customer in batch.stays:
            known = directory.customer(batch.connection, customer)
            if known is None or "presence" not in known.consents:
                batch.forget(customer)
        self.resolve(batch)

    def resolve(self, batch: Batch) -> None:
        """Gives what is held, and not too old, to those whom the cache knows by now."""
        self.expire(batch)
        for pseudonym in directory.learnable(batch.connection):
            owner = directory.owner(batch.connection, pseudonym)
            if owner is None or "cart" not in owner.consents:
                batch.happen(Learnt(batch.now, pseudonym, None))
                _erase_held(batch, pseudonym)
                continue
            since = directory.valid_from(batch.connection, pseudonym)
            waiting = batch.journal.held(batch.connection, pseudonym)
            settled = [w for w in waiting if since is None or w.time is not None]
            _release(batch, settled)
            own = [w.row for w in settled if since is None or w.time is None or w.time >= since]
            scans = tuple(row for row in own if row.kind == HELD)
            # Who is there now, or was when a scan was made that is theirs, was the same at the tap.
            theirs = {row.id for row in own} | {scan.data["session"] for scan in scans} | batch.open_sessions()
            taps = tuple(w.row for w in settled if w.row.kind == "tap.unknown" and w.row.id in theirs)
            before = tuple(w.row for w in settled if w.row not in own and w.row.kind == HELD)
            batch.happen(Learnt(batch.now, pseudonym, owner, taps, scans, before))
            if others := [w.seq for w in settled if w.row not in own]:
                erasure.begin(batch.connection, pseudonym, max(others))

    def expire(self, batch: Batch) -> None:
        """What has waited for `late` is nobody's."""
        elapsed = batch.journal.elapsed(batch.now.instant) - self.late
        for pseudonym in batch.journal.held_until(batch.connection, elapsed, batch.open_sessions()):
            forget(batch, pseudonym, elapsed)

    def refused(self, batch: Batch, seqs: Iterable[int]) -> None:
        """The platform refused these rows: what staff said in them of a band does not hold any more.

        Nor does it when it is sent again and accepted: then the feed says so.
        """
        taken = directory.take_back(batch.connection, seqs)
        for pseudonym, lost in taken.items():
            if lost:
                forget(batch, pseudonym)
        if taken:
            self.resolve(batch)


def withdraw(batch: Batch, customer: str, reason: str, *, everything: bool) -> None:
    """The customer's sessions end, no push follows, rows are blanked when accepted; `reason`: who wants it so."""
    batch.happen(Withdrawn(batch.now, customer))
    batch.connection.execute(
        "DELETE FROM open_push WHERE seq IN (SELECT p.seq FROM open_push p JOIN row r USING (seq) WHERE r.who = ?)",
        (customer,),
    )
    batch.write([Row("customer.erased", batch.now, {"customer": customer, "reason": reason}, live=False)])
    erasure.begin(batch.connection, customer, last_seq(batch.connection), everything=everything)


def forget(batch: Batch, pseudonym: str, until: float = inf) -> None:
    """Held scans of this pseudonym, committed up to `until` (elapsed seconds), become unclaimed.

    The tap of a session that is open still waits: the session may yet get its name.
    """
    waiting = [w for w in batch.journal.held(batch.connection, pseudonym) if w.since <= until]
    open_now = batch.open_sessions()
    gone = [w for w in waiting if w.row.id not in open_now]
    _release(batch, gone)
    batch.happen(Forgotten(batch.now, tuple(w.row for w in gone if w.row.kind == HELD)))
    rest = len(gone) < len(waiting) or batch.journal.held(batch.connection, pseudonym)
    upto = max((w.seq for w in gone), default=0) if rest else last_seq(batch.connection)
    erasure.begin(batch.connection, pseudonym, upto)


def _chosen(connection: sqlite3.Connection, tap: Tap) -> Tap:
    """Of all that a card may be, what the cache knows; else what has the form of ours."""
    named = [each for each in (tap, *tap.others) if each.pseudonym]
    known = (each for each in named if directory.owner(connection, each.pseudonym or ""))
    return next(known, None) or next((each for each in named if each.plausible), tap)


def _release(batch: Batch, waiting: Iterable[Waiting]) -> None:
    batch.connection.executemany("DELETE FROM held WHERE seq = ?", [(w.seq,) for w in waiting])


def _erase_held(batch: Batch, pseudonym: str) -> None:
    """Held scans of somebody who must not be kept leave without an event, also as they waited for a claim."""
    waiting = batch.journal.held(batch.connection, pseudonym)
    _release(batch, waiting)
    batch.connection.execute(
        "UPDATE row SET kind = 'inside.erased', instant = NULL, who = NULL, body = x''"
        " WHERE kind = 'inside.scan_held'"
        " AND id IN (SELECT id FROM row WHERE seq IN (SELECT value FROM json_each(?)))",
        (msgspec.json.encode([w.seq for w in waiting if w.row.kind == HELD]).decode(),),
    )
    erasure.begin(batch.connection, pseudonym, last_seq(batch.connection))
