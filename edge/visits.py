"""What staff see of a shopper: this visit's items and what became of them, bands, and all that is held, to hand over.

All functions read. The journal has no index by customer, so all but `export` look back a day at most.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from edge import catalogue, envelope, journal
from edge.catalogue import DAY
from edge.floor import EXTENDED
from edge.model import Row

GAP = 3600.0
"""Seconds without anything after which a visit is over."""
LISTED = 100
"""Unclaimed scans at most."""

_VISIT = ("customer.identified", "customer.resolved", "cart.item_added", EXTENDED, "presence.entered", "presence.left")
_GENERATION = "(SELECT value FROM meta WHERE key = 'generation')"
_EVENT = "json_extract(CAST(body AS TEXT), '$.data.event')"


def shopper(connection: sqlite3.Connection, id: str, cursor: int | None, now: float) -> dict[str, Any] | None:
    """`id`, `display`, `language`, `consents`, `items`, `bands`, `held`; None for one whom the cache does not know.

    `cursor`: the seq up to which the broker has everything, None where there is no [cart]; `now`: elapsed seconds.
    """
    record = _record(connection, id)
    if record is None:
        return None
    since = journal.first_since(connection, now - DAY)
    lately = list(_of(connection, id, since))
    items = [(seq, row) for seq, row in _visit(lately) if row.kind == "cart.item_added"]
    states = _states(connection, {seq: str(row.id) for seq, row in items}, cursor)
    offsets = journal.offsets(connection)
    bands = connection.execute(
        "SELECT pseudonym, type, EXISTS (SELECT 1 FROM binding b WHERE b.pseudonym = known.pseudonym)"
        " FROM known WHERE customer = ? ORDER BY pseudonym",
        (id,),
    )
    return {
        **{key: record[key] for key in ("id", "display", "language", "consents")},
        "items": [
            {
                **_line(seq, row, offsets),
                "product": (row.data.get("product") or {}).get("name"),
                "price": (row.data.get("product") or {}).get("price"),
                "state": states[seq],
            }
            for seq, row in items
        ],
        "bands": [{"pseudonym": pseudonym, "type": type, "by_staff": bool(staff)} for pseudonym, type, staff in bands],
        "held": {"rows": len(lately), "oldest": journal.shown_time(lately[-1][2].moment, offsets) if lately else None},
    }


def unclaimed(connection: sqlite3.Connection, now: float, language: str = "") -> list[dict[str, Any]]:
    """Scans of the day before `now` (elapsed seconds) that nobody claimed and staff gave to nobody, newest first.

    `seq`, `id`, `time`, `read_point`, `gtin`, `product`: its name in that language, else in any, or None.
    """
    since = journal.first_since(connection, now - DAY)
    given = {
        event
        for (event,) in connection.execute(
            f"SELECT {_EVENT} FROM row WHERE seq >= ? AND kind = 'cart.item_added' AND {_EVENT} IS NOT NULL", (since,)
        )
    }
    found = connection.execute(
        "SELECT seq, body FROM row WHERE seq >= ? AND kind = 'scan.unclaimed' ORDER BY seq DESC", (since,)
    )
    offsets = journal.offsets(connection)
    lines: list[dict[str, Any]] = []
    for seq, body in found:
        row = envelope.parse(body, None)
        if row.id not in given and len(lines) < LISTED:
            product = catalogue.name(connection, row.data["gtin"], language)
            lines.append({**_line(seq, row, offsets), "product": product})
    return lines


def export(connection: sqlite3.Connection, id: str, exported: str) -> dict[str, Any] | None:
    """All that is held on the customer and nothing of others; None for one whom the cache does not know.

    `customer`, `identifiers`, `presence`, `waiting`, `rows` as they are sent, `exported`: the time as given here.
    """
    customer = _record(connection, id)
    if customer is None:
        return None
    identifiers = connection.execute(
        "SELECT pseudonym, type, since FROM known WHERE customer = ? ORDER BY pseudonym", (id,)
    ).fetchall()
    rows = {seq: msgspec.json.decode(body) for seq, body in _bodies(connection, [id])}
    sessions = {row["data"]["session"] for row in rows.values() if row["type"] == envelope.type_of("customer.resolved")}
    for seq, body in _bodies(connection, [pseudonym for pseudonym, _, _ in identifiers]):
        row = msgspec.json.decode(body)
        if row["data"].get("session") in sessions:
            rows[seq] = row
    return {
        "customer": customer,
        "identifiers": [
            {"pseudonym": pseudonym, "type": type, "from": None if since is None else envelope.timestamp(since)}
            for pseudonym, type, since in identifiers
        ],
        "presence": [
            {"read_point": read_point, "since": envelope.timestamp(round(seconds * 1000))}
            for read_point, seconds in connection.execute(
                "SELECT p.read_point, ifnull(b.right, b.base) + p.since FROM present p JOIN boot b ON b.n = p.boot"
                " WHERE p.customer = ?",
                (id,),
            )
        ],
        "waiting": {
            "pushes": _count(connection, "open_push JOIN row USING (seq) WHERE who = ?", id),
            "scans": _count(connection, "held JOIN known USING (pseudonym) WHERE customer = ?", id),
        },
        "rows": [rows[seq] for seq in sorted(rows)],
        "exported": exported,
    }


def _record(connection: sqlite3.Connection, id: str) -> dict[str, Any] | None:
    found = connection.execute(
        f"SELECT cart, display, language, consents FROM customer WHERE generation = {_GENERATION} AND id = ?", (id,)
    ).fetchone()
    if found is None:
        return None
    cart, display, language, consents = found
    return {"id": id, "cart": cart, "display": display, "language": language, "consents": consents.split()}


def _of(connection: sqlite3.Connection, customer: str, since: int) -> Iterator[tuple[int, float, Row]]:
    """The customer's rows from a seq on, newest first: seq, elapsed seconds at the commit, row."""
    found = connection.execute(
        "SELECT r.seq, b.origin + r.committed, r.body FROM row r CROSS JOIN boot b ON b.n = r.boot"
        " WHERE r.seq >= ? AND r.who = ? ORDER BY r.seq DESC",
        (since, customer),
    )
    for seq, at, body in found:
        yield seq, at, envelope.parse(body, None)


def _visit(lately: Collection[tuple[int, float, Row]]) -> Iterator[tuple[int, Row]]:
    """The rows of the last visit, newest first."""
    after: float | None = None
    for seq, at, row in lately:
        if row.kind not in _VISIT:
            continue
        if after is not None and after - at > GAP:
            return
        after = at
        yield seq, row


def _states(connection: sqlite3.Connection, items: dict[int, str], cursor: int | None) -> dict[int, str]:
    """What became of each item (seq -> id)."""
    if not items:
        return {}
    first = min(items)
    settled = dict[str, str]()
    for kind, event in connection.execute(
        f"SELECT kind, {_EVENT} FROM row WHERE seq > ? AND kind IN ('cart.item_confirmed', 'cart.item_removed')"
        " ORDER BY seq",
        (first,),
    ):
        if settled.get(event) != "removed":
            settled[event] = "removed" if kind == "cart.item_removed" else "confirmed"
    pushes = dict(connection.execute("SELECT seq, pushed FROM open_push WHERE seq >= ?", (first,)))
    aside = {seq for (seq,) in connection.execute("SELECT seq FROM aside WHERE sink = 'cart' AND seq >= ?", (first,))}

    def state(seq: int) -> str:
        if seq in pushes:
            return "pushed" if pushes[seq] is not None or (seq <= (cursor or 0) and seq not in aside) else "saved"
        if seq in aside:
            return "refused"
        return "saved" if cursor is None else "expired"

    return {seq: settled.get(id) or state(seq) for seq, id in items.items()}


def _line(seq: int, row: Row, offsets: dict[str, int]) -> dict[str, Any]:
    time = journal.shown_time(row.moment, offsets)
    return {"seq": seq, "id": row.id, "time": time, "read_point": row.data["read_point"], "gtin": row.data["gtin"]}


def _bodies(connection: sqlite3.Connection, who: Collection[str]) -> Iterator[tuple[int, bytes]]:
    """Seq and body of all rows that name one of these: a look at the whole journal."""
    yield from connection.execute(
        "SELECT seq, body FROM row WHERE who IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(list(who)).decode(),),
    )


def _count(connection: sqlite3.Connection, what: str, id: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {what}", (id,)).fetchone()[0])
