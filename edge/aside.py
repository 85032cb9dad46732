"""What a sink refused for good: kept with the reason until somebody has it tried again, or dropped.

Such a row is passed by the sink's cursor and never pruned. All functions run inside a transaction of the writer,
or on a reader.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec

from edge.journal import Stored

ASKED, TAKEN_BACK = 1, 2
"""Why a row is tried again: a person asked for it; or a sink that refuses one after the other has it again first."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A refused event, as people are told of it. `id`, `type`, `time` and `gtin` are the event's."""

    sink: str
    seq: int
    id: str
    type: str
    time: str
    gtin: str | None
    reason: str


def put(connection: sqlite3.Connection, sink: str, refused: Iterable[tuple[int, str]]) -> None:
    """Puts rows aside, each with the reason. An app that refused is not pushed to by itself any more.

    What is no open push any more, as it was removed, confirmed or withdrawn meanwhile, is not wanted by any cart.
    """
    for seq, reason in refused:
        if sink == "cart" and not connection.execute("DELETE FROM open_push WHERE seq = ?", (seq,)).rowcount:
            drop(connection, sink, [seq])
        else:
            connection.execute("INSERT OR REPLACE INTO aside VALUES (?, ?, ?, 0)", (sink, seq, reason))


def again(connection: sqlite3.Connection, sink: str, seqs: Iterable[int], why: int) -> None:
    """Has rows that are aside tried again. What is pushed is open meanwhile, so that an app may confirm it."""
    for seq in seqs:
        connection.execute("UPDATE aside SET again = ? WHERE sink = ? AND seq = ?", (why, sink, seq))
        if sink == "cart":
            connection.execute(
                "INSERT OR IGNORE INTO open_push SELECT r.id, r.seq, NULL FROM row r"
                " JOIN aside a ON a.sink = 'cart' AND a.seq = r.seq WHERE r.seq = ?",
                (seq,),
            )


def drop(connection: sqlite3.Connection, sink: str, seqs: Iterable[int], *, delivered: bool = False) -> None:
    """Rows are aside no more: they were delivered, or nobody wants them delivered."""
    for seq in seqs:
        connection.execute("DELETE FROM aside WHERE sink = ? AND seq = ?", (sink, seq))
        if sink == "cart" and not delivered:
            connection.execute("DELETE FROM open_push WHERE seq = ?", (seq,))


def waiting(connection: sqlite3.Connection, sink: str, limit: int) -> list[Stored]:
    """The first rows that are to be tried again."""
    found = connection.execute(
        "SELECT r.seq, r.body, a.again FROM aside a JOIN row r USING (seq)"
        " WHERE a.sink = ? AND a.again > 0 ORDER BY a.seq LIMIT ?",
        (sink, limit),
    )
    return [Stored(*row) for row in found]


def listed(connection: sqlite3.Connection, ids: Collection[str] = ()) -> list[Aside]:
    """All that is aside, or only the events with these ids."""
    found = connection.execute(
        "SELECT a.sink, a.seq, r.id, r.kind, r.body, a.reason FROM aside a JOIN row r USING (seq)"
        " ORDER BY a.seq, a.sink"
    )
    rows = []
    for sink, seq, id, kind, body, reason in found:
        event = msgspec.json.decode(body)
        gtin = event["data"].get("gtin")
        rows.append(Aside(sink, seq, str(uuid.UUID(bytes=id)), kind, event["time"], gtin, reason))
    chosen = frozenset(ids)
    return [row for row in rows if not chosen or row.id in chosen]


def count(connection: sqlite3.Connection, sink: str) -> int:
    return int(connection.execute("SELECT count(*) FROM aside WHERE sink = ?", (sink,)).fetchone()[0])
