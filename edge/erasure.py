"""Blanking: whose data must go loses customer, cart, pseudonym and subject in the rows that the platform has.

Begun with what is to go and the last row it concerns; then done step by step, as far as rows are accepted, until all
are. What is not accepted yet still goes to the platform as it is. With `secure_delete` and an emptied WAL nothing of
it is left in the file; a mark stays until that is so, and until copies are asked to be made anew. All functions run
inside a transaction of the writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any

import msgspec

from edge.journal import delivered, last_seq

STEP = 5000
"""Rows that are looked at in one transaction."""
_BLANK = ("customer", "cart", "pseudonym")
_ELSE = "(r.kind GLOB 'presence.*' OR r.kind GLOB 'band.*')"
"""Rows that the loss of the consent `cart` alone does not touch."""
_MARK = "INSERT INTO meta VALUES ('unscrubbed', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1"


def begin(connection: sqlite3.Connection, who: str, upto: int, *, everything: bool = True) -> None:
    """`who`: a customer's id or a pseudonym, in rows up to `upto`; else than `everything`: cart and session rows.

    With everything goes what staff still have in mind with the customer.
    """
    connection.execute("INSERT OR REPLACE INTO erasure VALUES (?, ?, 0, ?)", (who, upto, everything))
    connection.execute(_MARK)
    if everything:
        connection.execute("DELETE FROM intent WHERE json_extract(CAST(arguments AS TEXT), '$.customer') = ?", (who,))


def step(connection: sqlite3.Connection, sinks: Collection[str]) -> bool:
    """Goes on with what is accepted by now; whether anything was done, so that there may be more."""
    accepted = delivered(connection, "platform") if "platform" in sinks else last_seq(connection)
    (again,) = connection.execute("SELECT min(seq) FROM aside WHERE sink = 'platform' AND again > 0").fetchone()
    accepted = accepted if again is None else min(accepted, again - 1)
    (done,) = connection.execute("SELECT min(done) FROM erasure WHERE done < min(upto, ?)", (accepted,)).fetchone()
    if done is None:
        return False
    here = min(done + STEP, accepted)
    found = connection.execute(
        "SELECT r.seq, r.body FROM row r WHERE r.seq > ? AND r.seq <= ? AND r.seq NOT IN (SELECT seq FROM held)"
        f" AND r.who IN (SELECT who FROM erasure WHERE r.seq <= upto AND (everything OR NOT {_ELSE}))",
        (done, here),
    )
    for seq, body in found.fetchall():
        connection.execute("UPDATE row SET who = NULL, cart = NULL, body = ? WHERE seq = ?", (_blanked(body), seq))
        connection.execute("DELETE FROM aside WHERE seq = ?", (seq,))  # what is no more as it was is not sent again
    connection.execute(_MARK)
    connection.execute("UPDATE erasure SET done = max(done, ?)", (here,))
    connection.execute("DELETE FROM erasure WHERE done >= upto")
    return True


def pending(connection: sqlite3.Connection) -> bool:
    """Whether something is left to go when it is accepted."""
    return connection.execute("SELECT 1 FROM erasure").fetchone() is not None


def unscrubbed(connection: sqlite3.Connection) -> int:
    """A mark that is there while what was erased may still stand in the WAL and in copies; 0: there is none."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'unscrubbed'").fetchone()
    return int(found[0]) if found else 0


def scrubbed(connection: sqlite3.Connection, mark: int) -> None:
    """It does not any more; if something was erased since the mark was read, that one stays."""
    connection.execute("DELETE FROM meta WHERE key = 'unscrubbed' AND value = ?", (mark,))


def _blanked(body: bytes) -> bytes:
    event: dict[str, Any] = msgspec.json.decode(body)
    event.pop("subject", None)
    event["data"] = {key: None if key in _BLANK else value for key, value in event["data"].items()}
    return msgspec.json.encode(event)
