"""The append-only order of rows, and how far each sink has got.

One fact, one row: sent, shown, pruned and remembered from the same table. `open_push`, `held` and `present` beside it
find what is unconfirmed or unattributed, and who is in a beacon zone; all follow from the rows. Everything here that
takes a connection runs inside a transaction of the writer, or on a reader.
"""

from __future__ import annotations

import sqlite3
import uuid
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

import msgspec

from edge import envelope
from edge.floor import EXTENDED, HELD
from edge.identity import uuid7
from edge.model import Moment, Row
from edge.presence import ENTERED, LEFT, Stay

PUSHED = frozenset({"cart.item_added", "cart.item_removed"})
"""Kinds that go to the shopper's app."""

STEP = 200
"""Rows that are deleted in one transaction at most, so that nobody waits long for it."""

_EVENTS = "kind NOT GLOB 'inside.*'"
_ABOUT_ASIDE = (
    f"(r.kind IN {tuple(sorted(PUSHED))} AND r.instant IS NULL AND EXISTS (SELECT 1 FROM aside a JOIN row o USING (seq)"
    " WHERE lower(hex(o.id)) = replace(json_extract(CAST(r.body AS TEXT), '$.data.event'), '-', '')))"
)
_SHOWN = f"({_EVENTS} OR kind IN ('{HELD}', '{EXTENDED}', 'inside.staff'))"


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as a sink gets it. `again`: why it is tried again though it was refused, see `edge.aside`."""

    seq: int
    body: bytes
    again: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A held scan, or the tap of a nameless session. `since`: elapsed seconds at its commit.

    `time`: milliseconds since 1970 when it was read, None while that boot's clock was never right.
    """

    seq: int
    since: float
    row: Row
    time: int | None


@dataclass(frozen=True, slots=True)
class Boot:
    """A start of the kernel: elapsed seconds = `origin` + CLOCK_BOOTTIME go on across boots."""

    n: int
    base: float
    origin: float


class Journal:
    """Appends rows under `source`, a URI reference such as /stores/gangnam/gateways/gw-1."""

    def __init__(self, id: str, source: str, boot: Boot, sinks: Collection[str]) -> None:
        self.id = id
        self.boot = boot
        self._source = source
        self.sinks = sinks

    def elapsed(self, instant: float) -> float:
        """Seconds on the clock that runs on across boots."""
        return self.boot.origin + instant

    def append(self, connection: sqlite3.Connection, rows: Iterable[Row], now: Moment, seq: int) -> list[Row]:
        """Writes the rows with the sequence numbers after `seq`, the last so far; returns them as they stand there."""
        written = []
        for row in rows:
            seq += 1
            id, data = row.id or uuid7(), row.data
            body = envelope.render(row, id, seq, self.id, self._source)
            row = Row(row.kind, row.moment, data, id, row.live, seq, body)
            instant = row.moment.instant if row.live else None
            key = bytes.fromhex(id.replace("-", ""))
            who = data.get("customer") or data.get("pseudonym")
            connection.execute(
                "INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (seq, row.kind, self.boot.n, now.instant, instant, key, who, data.get("cart"), body),
            )
            if row.kind in PUSHED and "cart" in self.sinks:
                connection.execute("INSERT INTO open_push VALUES (?, ?, NULL)", (key, seq))
            elif row.kind in (HELD, "tap.unknown") and "pseudonym" in data:
                connection.execute("INSERT INTO held VALUES (?, ?)", (data["pseudonym"], seq))
            elif row.kind == ENTERED:
                stay = (who, data["read_point"], self.boot.n, row.moment.instant)
                connection.execute("INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?)", stay)
            elif row.kind == LEFT:
                forget(connection, data["customer"])
            written.append(row)
        return written

    def note_wall(self, connection: sqlite3.Connection, now: Moment) -> None:
        """Keeps what the wall clock says, for the gap until the next boot; writes only when it has jumped."""
        if now.ok:
            wall = now.wall
            connection.execute("UPDATE boot SET wall = ? WHERE n = ? AND abs(wall - ?) > 1", (wall, self.boot.n, wall))

    def confirmed(self, connection: sqlite3.Connection, id: uuid.UUID, now: Moment) -> Row | None:
        """The confirmation of a push, once: None for an id that is not open."""
        found = connection.execute("DELETE FROM open_push WHERE id = ? RETURNING seq", (id.bytes,)).fetchall()
        if not found:
            return None
        (body,) = connection.execute("SELECT body FROM row WHERE seq = ?", found[0]).fetchone()
        return Row(
            "cart.item_confirmed",
            now,
            {"event": str(id), "read_point": envelope.parse(body, None).data["read_point"]},
            live=False,
        )

    def stays(self, connection: sqlite3.Connection) -> dict[str, Stay]:
        """Who is in which beacon zone. An earlier boot's ends where this one begins, as long as was seen of it."""
        found = connection.execute(
            "SELECT p.customer, p.read_point, CASE p.boot WHEN ? THEN p.since ELSE min(0, p.since - b.ran) END"
            " FROM present p JOIN boot b ON b.n = p.boot",
            (self.boot.n,),
        )
        return {customer: Stay(read_point, float(since)) for customer, read_point, since in found}

    def held(self, connection: sqlite3.Connection, pseudonym: str) -> list[Waiting]:
        """What waits for the pseudonym, oldest first."""
        found = connection.execute(
            "SELECT r.seq, b.origin + r.committed, r.body, r.instant, b.right - b.base FROM held h"
            " JOIN row r USING (seq) JOIN boot b ON b.n = r.boot WHERE h.pseudonym = ? ORDER BY r.seq",
            (pseudonym,),
        )
        return [
            Waiting(seq, since, row := envelope.parse(body, instant), _right_time(row.moment, offset))
            for seq, since, body, instant, offset in found
        ]

    def nameless(self, connection: sqlite3.Connection, session: str) -> str | None:
        """The pseudonym of the tap that opened the session, while it waits for a name."""
        found = connection.execute(
            "SELECT h.pseudonym FROM held h JOIN row r USING (seq) WHERE r.id = ?", _bytes([session])
        ).fetchone()
        return found[0] if found else None

    def held_until(self, connection: sqlite3.Connection, elapsed: float, but: frozenset[str]) -> list[str]:
        """Pseudonyms for which something waits since `elapsed` or longer, other than the rows with ids in `but`."""
        select = f"SELECT DISTINCT h.pseudonym {_held_but(len(but))} AND b.origin + r.committed <= ?"
        return [pseudonym for (pseudonym,) in connection.execute(select, (*_bytes(but), elapsed))]

    def oldest_held(self, connection: sqlite3.Connection, but: frozenset[str]) -> float | None:
        """Elapsed seconds at the commit of what waits longest, other than the rows with ids in `but`."""
        select = f"SELECT min(b.origin + r.committed) {_held_but(len(but))}"
        (at,) = connection.execute(select, _bytes(but)).fetchone()
        return at if at is None else float(at)

    def drop_old(self, connection: sqlite3.Connection, now: float, max_age: float, retention: float) -> bool:
        """Closes pushes past `max_age`, deletes rows past `retention` that every sink has; whether there are more.

        Seconds, elapsed.
        """
        pushes = "SELECT seq FROM open_push p JOIN row r USING (seq) JOIN boot b ON b.n = r.boot"
        closed = connection.execute(
            f"DELETE FROM open_push WHERE seq IN ({pushes} WHERE b.origin + r.committed < ? LIMIT {STEP})",
            (now - max_age,),
        ).rowcount
        return STEP in (closed, self._drop(connection, "b.origin + r.committed < ?", now - retention))

    def drop_delivered(self, connection: sqlite3.Connection, before: float) -> None:
        """The oldest rows that every sink has go, as far as they were committed before that instant of this boot."""
        self._drop(connection, f"(r.boot < {self.boot.n} OR r.committed < ?)", before)

    def _drop(self, connection: sqlite3.Connection, condition: str, value: float) -> int:
        """Deletes a step of delivered rows, oldest first, up to the first that does not meet the condition.

        Of what goes to a cart `open_push` knows more than its cursor. What staff made of an event that is aside stays
        with it, or they could do it twice.
        """
        found = connection.execute(
            f"SELECT r.seq, {condition} FROM row r JOIN boot b ON b.n = r.boot"
            " WHERE r.seq <= ? AND r.seq < (SELECT max(seq) FROM row)"
            " AND NOT EXISTS (SELECT 1 FROM open_push p WHERE p.id = r.id)"
            " AND r.seq NOT IN (SELECT seq FROM held UNION SELECT seq FROM aside)"
            f" AND NOT {_ABOUT_ASIDE}"
            f" ORDER BY r.seq LIMIT {STEP}",
            (value, delivered(connection, *(sink for sink in self.sinks if sink != "cart"))),
        )
        gone = [(seq,) for seq, _ in takewhile(lambda row: row[1], found.fetchall())]
        connection.executemany("DELETE FROM row WHERE seq = ?", gone)
        connection.executemany("INSERT OR REPLACE INTO meta VALUES ('dropped', ?)", gone[-1:])
        return len(gone)


def open_journal(
    connection: sqlite3.Connection, source: str, now: Moment, wall: float, sinks: Collection[str]
) -> Journal:
    """The journal of this database, made when there is none; the boot is entered at its first row."""
    boot = _enter_boot(connection, now, wall)
    found = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('journal', 'salvaged', 'restored')"))
    journal = Journal(found.get("journal", uuid7()), source, boot, sinks)
    if "journal" not in found:
        reason = next((reason for reason in ("salvaged", "restored") if reason in found), "created")
        previous, lost = msgspec.json.decode(found.get(reason, "[null,0]"))
        connection.execute("INSERT INTO meta VALUES ('journal', ?)", (journal.id,))
        connection.execute("DELETE FROM meta WHERE key IN ('salvaged', 'restored')")
        data = {"reason": reason, "previous": previous, "rows_lost": lost}
        journal.append(connection, [Row("journal.opened", now, data, live=False)], now, last_seq(connection))
    return journal


def forget(connection: sqlite3.Connection, customer: str) -> None:
    """The customer is in no beacon zone any more."""
    connection.execute("DELETE FROM present WHERE customer = ?", (customer,))


def events(connection: sqlite3.Connection, since: int, limit: int) -> list[Stored]:
    """Events after `since`, in order."""
    found = connection.execute(
        f"SELECT seq, body FROM row WHERE seq > ? AND {_EVENTS} ORDER BY seq LIMIT ?", (since, limit)
    )
    return [Stored(*row) for row in found]


def shown_since(connection: sqlite3.Connection, since: int | None, most: int) -> tuple[bool, list[Stored]]:
    """What people see of the rows after `since`, in order; if that has a gap or is more, the last `most` and True."""
    if since is not None and not _has_gone(connection, since):
        found = connection.execute(
            f"SELECT seq, body FROM row WHERE seq > ? AND {_SHOWN} ORDER BY seq LIMIT ?", (since, most + 1)
        ).fetchall()
        if len(found) <= most:
            return False, [Stored(*row) for row in found]
    newest = connection.execute(f"SELECT seq, body FROM row WHERE {_SHOWN} ORDER BY seq DESC LIMIT ?", (most,))
    return True, [Stored(*row) for row in newest.fetchall()[::-1]]


def waiting(connection: sqlite3.Connection, sink: str, cursor: int) -> tuple[int, float | None]:
    """How many events after `cursor` wait for the sink, and elapsed seconds at the commit of the oldest."""
    only = "AND r.seq IN (SELECT seq FROM open_push)" if sink == "cart" else ""
    count, oldest = connection.execute(
        "SELECT count(*), min(b.origin + r.committed) FROM row r JOIN boot b ON b.n = r.boot"
        f" WHERE r.seq > ? AND {_EVENTS} {only}",
        (cursor,),
    ).fetchone()
    return count, oldest


def unconfirmed(connection: sqlite3.Connection, cursor: int) -> int:
    """Pushes that the broker took and no app has confirmed."""
    return int(connection.execute("SELECT count(*) FROM open_push WHERE seq <= ?", (cursor,)).fetchone()[0])


def held_scans(connection: sqlite3.Connection) -> int:
    """Scans that wait until the cache learns whose they are."""
    return int(
        connection.execute("SELECT count(*) FROM held JOIN row USING (seq) WHERE kind = ?", (HELD,)).fetchone()[0]
    )


def rate(connection: sqlite3.Connection, now: float, seconds: float) -> tuple[int, float]:
    """About how many bytes were written in the last `seconds`, and how much of that time the journal has."""
    since = first_since(connection, now - seconds)
    (size,) = connection.execute(
        "SELECT ifnull(avg(length(body)), 0) + 64 FROM (SELECT body FROM row ORDER BY seq DESC LIMIT 200)"
    ).fetchone()
    oldest = _committed(connection, 0)
    return int((last_seq(connection) + 1 - since) * size), min(seconds, now - (now if oldest is None else oldest))


def first_since(connection: sqlite3.Connection, elapsed: float) -> int:
    """The seq from which on rows were committed after `elapsed`, without an index; the next seq if none was."""
    # One at a time: asked for both at once, SQLite looks at all rows.
    (first,) = connection.execute("SELECT ifnull(min(seq), 1) FROM row").fetchone()
    seqs = range(first, last_seq(connection) + 1)
    return int(first + bisect_right(seqs, elapsed, key=lambda seq: _committed(connection, seq) or 0.0))


def _committed(connection: sqlite3.Connection, seq: int) -> float | None:
    """Elapsed seconds at the commit of the first row from `seq` on; None if there is none."""
    found = connection.execute(
        "SELECT b.origin + r.committed FROM row r JOIN boot b ON b.n = r.boot WHERE seq >= ? ORDER BY seq LIMIT 1",
        (seq,),
    ).fetchone()
    return float(found[0]) if found else None


def offsets(connection: sqlite3.Connection) -> dict[str, int]:
    """By boot id: milliseconds to add to the times of that boot's rows with `clockok` false, as was learnt later."""
    found = connection.execute("SELECT id, right - base FROM boot WHERE right <> base")
    return {boot: round(offset * 1000) for boot, offset in found}


def shown_time(moment: Moment, offsets: Mapping[str, int]) -> str:
    """When it was read, as people are told: RFC 3339, by the clock as it was set right later; see `offsets`."""
    return envelope.timestamp(moment.time + (0 if moment.ok else offsets.get(moment.boot, 0)))


def cursor_of(connection: sqlite3.Connection, sink: str) -> int:
    """The seq up to which the sink has everything."""
    found = connection.execute("SELECT seq FROM cursor WHERE sink = ?", (sink,)).fetchone()
    return int(found[0]) if found else 0


def delivered(connection: sqlite3.Connection, *sinks: str) -> int:
    """The seq up to which each of the sinks has everything; without sinks nothing waits."""
    return min((cursor_of(connection, sink) for sink in sinks), default=last_seq(connection))


def knows(connection: sqlite3.Connection, id: str) -> bool:
    """Whether rows of the journal `id` are here: this database's own, or one it was salvaged from."""
    own = "SELECT 1 FROM meta WHERE key = 'journal' AND value = ?"
    salvaged = (
        "SELECT 1 FROM row WHERE kind = 'journal.opened' AND ? IN"
        " (json_extract(CAST(body AS TEXT), '$.journal'), json_extract(CAST(body AS TEXT), '$.data.previous'))"
    )
    return any(connection.execute(select, (id,)).fetchone() for select in (own, salvaged))


def is_open(connection: sqlite3.Connection) -> bool:
    """Whether the database has its journal: before that a salvage still fills it."""
    return connection.execute("SELECT 1 FROM meta WHERE key = 'journal'").fetchone() is not None


def last_seq(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT ifnull(max(seq), 0) FROM row").fetchone()[0])


def remember(connection: sqlite3.Connection, window: float) -> float:
    """Keeps the seconds a restart has to look back; returns the longer of these and what was kept before."""
    before = connection.execute("SELECT value FROM meta WHERE key = 'window'").fetchone()
    if not before or before[0] != window:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('window', ?)", (window,))
    return max(window, before[0]) if before else window


def tail(connection: sqlite3.Connection, seconds: float) -> Iterator[Row]:
    """The live rows of the last boot that has any, not older than `seconds` before the newest row; one at a time."""
    first = newest = None
    for seq, boot, committed, live in connection.execute(
        "SELECT seq, boot, committed, instant IS NOT NULL FROM row ORDER BY seq DESC"
    ):
        if newest is None and not live:
            continue
        newest = newest or (boot, committed)
        if boot != newest[0] or committed < newest[1] - seconds:
            break
        first = seq
    for body, instant in connection.execute(
        "SELECT body, instant FROM row WHERE seq >= ? AND instant IS NOT NULL ORDER BY seq", (first,)
    ):
        yield envelope.parse(body, instant)


def set_right(connection: sqlite3.Connection, boot: Boot, now: Moment, wall: float) -> tuple[Boot, Row] | None:
    """The clock is right now: mends the boot that began without one, once. None if there is nothing to mend."""
    if connection.execute("SELECT right FROM boot WHERE n = ?", (boot.n,)).fetchone()[0] is not None:
        return None
    right = wall - now.instant
    mended = replace(boot, origin=_origin(connection, right, boot.n))
    connection.execute(
        "UPDATE boot SET right = ?, wall = ?, origin = ? WHERE n = ?", (right, right, mended.origin, boot.n)
    )
    connection.execute("UPDATE intent SET due = due + ?", (mended.origin - boot.origin,))  # nobody has less time for it
    data = {"bootid": now.boot, "offset_seconds": round(right - boot.base, 3)}
    return mended, Row("clock.adjusted", now, data, live=False)


def _has_gone(connection: sqlite3.Connection, since: int) -> bool:
    """Whether rows after `since` were deleted, or there never was such a row."""
    dropped = connection.execute("SELECT value FROM meta WHERE key = 'dropped'").fetchone()
    return bool(dropped and since < dropped[0]) or since > last_seq(connection)


def _held_but(ids: int) -> str:
    marks = ", ".join("?" * ids)
    return f"FROM held h JOIN row r USING (seq) JOIN boot b ON b.n = r.boot WHERE r.id NOT IN ({marks})"


def _bytes(ids: Iterable[str]) -> list[bytes]:
    return [uuid.UUID(id).bytes for id in ids]


def _right_time(moment: Moment, offset: float | None) -> int | None:
    if moment.ok:
        return moment.time
    return None if offset is None else moment.time + round(offset * 1000)


def _enter_boot(connection: sqlite3.Connection, now: Moment, wall: float) -> Boot:
    """The boot's record; at its first row it is tied to the boot before, as far as the gap is known."""
    found = connection.execute("SELECT n, base, origin FROM boot WHERE id = ?", (now.boot,)).fetchone()
    if found is None:
        connection.execute(
            "UPDATE boot SET ran = (SELECT committed FROM row ORDER BY seq DESC LIMIT 1) WHERE n ="
            " (SELECT boot FROM row ORDER BY seq DESC LIMIT 1)"
        )
        base = wall - now.instant
        right = base if now.ok else None
        values = (now.boot, base, right, right, _origin(connection, right))
        connection.execute("INSERT INTO boot (id, base, right, wall, origin, ran) VALUES (?, ?, ?, ?, ?, 0)", values)
        found = connection.execute("SELECT n, base, origin FROM boot WHERE id = ?", (now.boot,)).fetchone()
    return Boot(*found)


def _origin(connection: sqlite3.Connection, right: float | None, n: int | None = None) -> float:
    """Elapsed seconds at instant 0 of a boot (None: the next): what ran before, plus the gap if it is known."""
    before = connection.execute(
        "SELECT wall, origin, ran FROM boot WHERE n < ifnull(?, 9e18) ORDER BY n DESC LIMIT 1", (n,)
    ).fetchone()
    if before is None:
        return 0.0
    wall, origin, ran = before
    gap = right - (wall + ran) if right is not None and wall is not None else 0.0
    return float(origin + ran + max(0.0, gap))
