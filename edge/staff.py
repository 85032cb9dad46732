"""What staff may do to the journal: each a function on a batch, which leaves an event with `staff` in it, or a note.

Each looks at what is so in the batch and raises `Refused` before it writes anything. What waits for ten seconds first
(see `edge.intents`) has its look apart, named `…able`, and that says what a page shows of it meanwhile.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, TypeVar

from edge import aside, directory, envelope, erasure
from edge.attribution import Attribution, forget, withdraw
from edge.batch import Batch
from edge.floor import Closed, Given
from edge.intake import Intake
from edge.journal import PUSHED, last_seq
from edge.model import Customer, Row

_T = TypeVar("_T")
NOTE = "inside.staff"
"""The row that says what staff did: `staff`, `action`, and what it is about."""
PUSH = "push"
"""The action of a note that has an open push, `seq`, pushed again."""


class Refused(Exception):
    """It cannot be done. `code` says why, as the problems of the page's OpenAPI do."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def ask(intake: Intake, work: Callable[[Batch], _T]) -> _T:
    """Does what staff want in a batch. Raises Refused, and Full where the disk takes nothing now."""

    def attempt(batch: Batch) -> _T | Refused:
        """A refusal is an answer: raised, it would undo what others have in the same commit."""
        try:
            return work(batch)
        except Refused as refused:
            return refused

    answer = await (await intake.submit(attempt))
    if isinstance(answer, Refused):
        raise answer
    return answer


def note(batch: Batch, staff: str, action: str, **about: object) -> None:
    """Writes down what staff did, where no event says so."""
    batch.write([Row(NOTE, batch.now, {"staff": staff, "action": action, **about}, live=False)])


def removable(connection: sqlite3.Connection, seq: int, id: str) -> dict[str, Any]:
    """Customer, GTIN and, if known, name of an item. Raises Refused: not-found, no-consent, already-removed."""
    added = _event(connection, seq, id, "cart.item_added").data
    _consenting(connection, added["customer"])
    if _about(connection, "cart.item_removed", seq, id):
        raise Refused("already-removed")
    named = {"name": added["product"]["name"]} if added["product"] else {}
    return {"customer": added["customer"], "gtin": added["gtin"], **named}


def remove(batch: Batch, seq: int, id: str, staff: str) -> None:
    """Takes the item out of the cart; it is not pushed any more, its removal is. Raises as `removable`."""
    removable(batch.connection, seq, id)
    added = _event(batch.connection, seq, id, "cart.item_added").data
    names = ("customer", "cart", "session", "gtin", "quantity", "in_store", "read_point")
    same = {name: added[name] for name in names if name in added}
    aside.drop(batch.connection, "cart", [seq])
    batch.write([Row("cart.item_removed", batch.now, {"event": id, **same, "staff": staff}, live=False)])


def push_again(batch: Batch, seq: int, id: str, staff: str) -> None:
    """Has it pushed as soon as can be, also where the broker had refused it.

    Raises Refused: not-found, no-consent, already-removed, confirmed, expired.
    """
    customer = _event(batch.connection, seq, id, *PUSHED).data["customer"]
    _consenting(batch.connection, customer)
    if any(row.sink == "cart" for row in aside.listed(batch.connection, [id])):
        aside.again(batch.connection, "cart", [seq], aside.ASKED)
    elif not batch.connection.execute("SELECT 1 FROM open_push WHERE id = ?", (_bytes(id),)).fetchone():
        codes = {"cart.item_removed": "already-removed", "cart.item_confirmed": "confirmed"}
        raise Refused(
            next((code for kind, code in codes.items() if _about(batch.connection, kind, seq, id)), "expired")
        )
    note(batch, staff, PUSH, customer=customer, event=id, seq=seq)


def give(batch: Batch, seq: int, id: str, customer: str, staff: str) -> None:
    """Gives an unclaimed scan to a customer who has a session somewhere; the same again is nothing.

    Raises Refused: not-found, no-consent, already-given (to another), not-here.
    """
    scan = _event(batch.connection, seq, id, "scan.unclaimed")
    owner = _consenting(batch.connection, customer)
    if given := _about(batch.connection, "cart.item_added", seq, id):
        if given.data["customer"] != customer:
            raise Refused("already-given")
        return
    product = directory.product(batch.connection, scan.data["gtin"])
    if not batch.happen(Given(batch.now, replace(scan, data={**scan.data, "product": product}), owner, staff)):
        raise Refused("not-here")


def bind(batch: Batch, attribution: Attribution, customer: str, pseudonym: str, staff: str) -> None:
    """Gives the customer a band that nobody has, and what is held for it.

    Raises Refused: not-found, no-consent, band-taken.
    """
    _consenting(batch.connection, customer)
    holder = directory.holder(batch.connection, pseudonym)
    if holder == customer:
        return
    if holder is not None:
        raise Refused("band-taken")
    _bound(batch, "band.bound", customer, pseudonym, staff)
    directory.bind(batch.connection, pseudonym, customer, last_seq(batch.connection))
    attribution.resolve(batch)


def unbindable(connection: sqlite3.Connection, customer: str, pseudonym: str) -> dict[str, Any]:
    """The customer. Raises Refused: not-found, for a band that is not the customer's."""
    if directory.holder(connection, pseudonym) != customer:
        raise Refused("not-found")
    return {"customer": customer}


def unbind(batch: Batch, customer: str, pseudonym: str, staff: str) -> None:
    """The band is nobody's, and what is held for it unclaimed. A session that it began goes on.

    Raises as `unbindable`.
    """
    unbindable(batch.connection, customer, pseudonym)
    _bound(batch, "band.unbound", customer, pseudonym, staff)
    directory.bind(batch.connection, pseudonym, None, last_seq(batch.connection))
    forget(batch, pseudonym)


def end(batch: Batch, read_point: str, staff: str) -> None:
    """The session at the read point ends; without one it is nothing."""
    if batch.happen(Closed(batch.now, read_point)):
        note(batch, staff, "end", read_point=read_point)


def close(batch: Batch, staff: str) -> None:
    """All sessions end."""
    batch.happen(Closed(batch.now))
    note(batch, staff, "close")


def erasable(connection: sqlite3.Connection, customer: str) -> dict[str, Any]:
    """The customer. Raises Refused: not-found."""
    if directory.customer(connection, customer) is None:
        raise Refused("not-found")
    return {"customer": customer}


def erase(batch: Batch, customer: str, staff: str) -> None:
    """All that is held on the customer goes, as if the platform had deleted them. Raises as `erasable`.

    The cache loses them too; what is held for a band that nobody knows is not theirs yet.
    """
    erasable(batch.connection, customer)
    note(batch, staff, "erase", customer=customer)
    withdraw(batch, customer, "staff", everything=True)
    for pseudonym in directory.forget(batch.connection, customer):
        forget(batch, pseudonym)
        erasure.begin(batch.connection, pseudonym, last_seq(batch.connection))
    batch.forget(customer)


def droppable(connection: sqlite3.Connection, ids: Collection[str]) -> dict[str, Any]:
    """The ids of those that a sink refused, or only of these among them. Raises Refused: not-found."""
    found = sorted({row.id for row in aside.listed(connection, ids)})
    if not found:
        raise Refused("not-found")
    return {"ids": found}


def drop(batch: Batch, ids: Collection[str], staff: str) -> None:
    """Events that a sink refused are sent no more. Raises as `droppable`."""
    droppable(batch.connection, ids)
    for row in aside.listed(batch.connection, ids):
        aside.drop(batch.connection, row.sink, [row.seq])
        note(batch, staff, "drop", sink=row.sink, event=row.id)


def dismissable(connection: sqlite3.Connection, name: str) -> dict[str, Any]:
    """The person. Raises Refused: not-found, last-manager."""
    roles = dict(connection.execute("SELECT name, role FROM person").fetchall())
    if name not in roles:
        raise Refused("not-found")
    if roles[name] == "manager" and sum(role == "manager" for role in roles.values()) == 1:
        raise Refused("last-manager")
    return {"name": name}


def dismiss(batch: Batch, name: str, staff: str) -> None:
    """The person may use the page no more. Raises as `dismissable`."""
    dismissable(batch.connection, name)
    batch.connection.execute("DELETE FROM person WHERE name = ?", (name,))
    note(batch, staff, "dismiss", name=name)


def _bound(batch: Batch, kind: str, customer: str, pseudonym: str, staff: str) -> None:
    data = {"customer": customer, "pseudonym": pseudonym, "staff": staff}
    batch.write([Row(kind, batch.now, data, live=False)])


def _consenting(connection: sqlite3.Connection, id: str | None) -> Customer:
    """The customer, who consents to `cart`. One whose data was erased is not found."""
    customer = directory.customer(connection, id) if id else None
    if customer is None:
        raise Refused("not-found")
    if "cart" not in customer.consents:
        raise Refused("no-consent")
    return customer


def _event(connection: sqlite3.Connection, seq: int, id: str, *kinds: str) -> Row:
    """The event, if it is one of these. What is being erased is not found."""
    found = connection.execute(
        "SELECT kind, body FROM row r WHERE seq = ? AND id = ?"
        " AND NOT EXISTS (SELECT 1 FROM erasure e WHERE e.who = r.who AND e.upto >= r.seq)",
        (seq, _bytes(id)),
    ).fetchone()
    if found is None or found[0] not in kinds:
        raise Refused("not-found")
    return envelope.parse(found[1], None)


def _about(connection: sqlite3.Connection, kind: str, seq: int, id: str) -> Row | None:
    """The later row of this kind that names the event. Such rows are not live, which spares a look into most bodies."""
    found = connection.execute(
        "SELECT body FROM row WHERE seq > ? AND kind = ? AND instant IS NULL"
        " AND json_extract(CAST(body AS TEXT), '$.data.event') = ?",
        (seq, kind, id),
    ).fetchone()
    return envelope.parse(found[0], None) if found else None


def _bytes(id: str) -> bytes:
    return uuid.UUID(id).bytes
