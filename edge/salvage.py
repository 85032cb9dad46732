"""A damaged database becomes a sound one: what can be read of it goes into a new file, and the old one is wiped.

The damaged file is set aside under another name, carved record by record, and overwritten once what was found is
committed; a crash at any moment begins anew or goes on. Rows keep their journal and seq; a new journal begins after
them and says how many are missing. What follows from the rows (`open_push`, `held`, `present`) is made from them again.
The directory serves on, and is pulled anew at the first chance. People, intents and bindings stay.
"""

from __future__ import annotations

import logging
import sqlite3
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from edge import searchable
from edge.carve import Pages, Record
from edge.database import PAGE, Damaged, Database, Full, suspect
from edge.wipe import wipe

log = logging.getLogger(__name__)

_CHUNK = 2000
"""Records that are written in one transaction."""
_SINKS = ("cart", "platform")
_Statement = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class _Found:
    """The rows' seqs, eight bytes each, and the journal of the newest."""

    seqs: array[int] = field(default_factory=lambda: array("q"))
    newest: int = 0
    journal: str | None = None

    def add(self, seq: int, journal: str) -> None:
        self.seqs.append(seq)
        if seq > self.newest:
            self.newest, self.journal = seq, journal


class _Body(msgspec.Struct):
    id: str
    journal: str
    seq: int
    bootid: str


def opened(path: Path) -> Database:
    """The database at `path`, made if there is none, salvaged if it is damaged. Raises DatabaseError, Broken, Full."""
    broken = path.with_name(f"{path.name}.broken")
    _set_apart(path)
    if not broken.exists():
        try:
            if _headless(path):
                raise Damaged(f"{path}: is empty, but has a WAL")
            return Database(path)
        except Damaged as error:
            log.error("%s; what can be read of it is salvaged", error)
    elif database := _salvaged(path):
        _wipe(broken)
        return database
    for old, new in zip(_parts(path), _parts(broken), strict=True):
        if new.exists():
            old.unlink(missing_ok=True)
        elif old.exists():
            old.rename(new)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    suspect(path).unlink(missing_ok=True)
    broken.touch()
    database = Database(path)
    try:
        found = _fill(database, Pages(broken, PAGE))
    except Full as error:
        database.close()
        raise Full(f"no room to salvage what is in {broken} ({error}); make room") from None
    log.warning("salvaged: %d rows, %d are lost", *found)
    _wipe(broken)
    return database


def _parts(path: Path) -> tuple[Path, Path]:
    """In the order of renaming: while the file is there under the new name, the salvage has begun."""
    return path, path.with_name(f"{path.name}-wal")


def _set_apart(path: Path) -> None:
    """A file that says it has no WAL is a copy by `edge.backup`: one that lies there belongs to what it replaces."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if file.read(20)[18:] == b"\1\1":
            for what in ("wal", "shm"):
                path.with_name(f"{path.name}-{what}").unlink(missing_ok=True)


def _headless(path: Path) -> bool:
    """SQLite itself would delete such a WAL."""
    wal = path.with_name(f"{path.name}-wal")
    return (not path.exists() or not path.stat().st_size) and wal.exists() and wal.stat().st_size > 0


def _salvaged(path: Path) -> Database | None:
    """The new database, if all that was found is in it."""
    if path.exists():
        try:
            database = Database(path)
        except Damaged:
            _remove(path)
            return None
        if database.write_now(lambda connection: connection.execute(f"{_META} IN ('salvaged', 'journal')").fetchone()):
            return database
        database.close()
        _remove(path)
    return None


def _remove(path: Path) -> None:
    for part in _parts(path):
        part.unlink(missing_ok=True)


_META = "SELECT value FROM meta WHERE key"


def _wipe(broken: Path) -> None:
    """Not only removed: what is erased in the new one must not stand on in the old."""
    for part in _parts(broken):
        if part.exists():
            wipe(part)


def _fill(database: Database, pages: Pages) -> tuple[int, int]:
    """Writes all that makes sense; how many rows these are, and how many are missing."""
    found = _Found()
    boots: dict[int, str] = {}
    meta: dict[str, Any] = {}
    statements = _statements(pages.records(), found, boots, meta)
    done = 0
    while chunk := list(islice(statements, _CHUNK)):
        database.write_now(partial(_run, statements=chunk))
        done += len(chunk)
        log.info("salvage: %d records", done)
    newest = max(found.seqs, default=0)
    dropped = meta["dropped"] if isinstance(meta.get("dropped"), int) else min(found.seqs, default=1) - 1

    def finish(connection: sqlite3.Connection) -> int:
        told = int(connection.execute("SELECT ifnull(max(seq), 0) FROM cursor").fetchone()[0])
        lost = max(newest, told) - dropped - sum(seq > dropped for seq in found.seqs)
        previous = found.journal or meta.get("journal")
        for statement in _FOLLOWS.split(";\n"):
            connection.execute(statement)
        for n, id in boots.items():
            connection.execute("INSERT OR IGNORE INTO boot VALUES (?, ?, 0, NULL, NULL, 0, 0)", (n, id))
        connection.execute("UPDATE cursor SET seq = min(seq, ?)", (newest,))
        connection.execute("UPDATE OR REPLACE erasure SET upto = min(upto, ?)", (newest,))
        (kept,) = connection.execute("SELECT max(generation) FROM customer").fetchone()
        generation = meta["generation"] if isinstance(meta.get("generation"), int) else kept or 0
        numbers = (
            *(("generation", generation), ("newest", max(generation, kept or 0))),
            *(("doubted", 1), ("unscrubbed", 1)),
        )
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", numbers)
        searchable.fill(connection)
        salvaged = msgspec.json.encode([previous, max(0, lost)]).decode()
        connection.execute("INSERT INTO meta VALUES ('salvaged', ?)", (salvaged,))
        return max(0, lost)

    return len(found.seqs), database.write_now(finish)


def _run(connection: sqlite3.Connection, statements: Iterable[_Statement]) -> None:
    for sql, values in statements:
        connection.execute(sql, values)


def _statements(
    records: Iterable[Record], found: _Found, boots: dict[int, str], meta: dict[str, Any]
) -> Iterator[_Statement]:
    """What writes each record that is one of ours; fills in what was found, boot -> id, and the old `meta`."""
    for rowid, columns in records:
        if rowid is None and len(columns) == len(_FORMS["customer"]) - 1:
            columns = (*columns, None)  # from before a customer had what it is found by
        table = _table(rowid, columns)
        if table == "meta":
            meta[columns[0]] = columns[1]
        elif table == "row" and rowid is not None:
            values = (rowid, *columns[1:])
            if body := _body(rowid, columns):
                found.add(rowid, body.journal)
                boots[columns[2]] = body.bootid
            elif columns[1] != "inside.erased":
                continue
            # Two of one seq cannot be; were there two, the one that is blanked would be the newer.
            yield f"INSERT OR {'REPLACE' if columns[6] is None else 'IGNORE'} INTO row VALUES ({_marks(9)})", values
        elif table == "boot":
            yield f"INSERT OR REPLACE INTO boot VALUES ({_marks(7)})", (rowid, *columns[1:])
        elif table == _BEFORE:
            yield f"INSERT OR REPLACE INTO customer VALUES ({_marks(7)})", (*columns, None)
        elif table:
            yield f"INSERT OR REPLACE INTO {table} VALUES ({_marks(len(columns))})", columns


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _body(seq: int, columns: tuple[Any, ...]) -> _Body | None:
    """What the event says of itself, if it is whole and the row's own."""
    try:
        body = msgspec.json.decode(columns[8], type=_Body)
        return body if body.seq == seq and uuid.UUID(body.id).bytes == columns[5] else None
    except (msgspec.MsgspecError, ValueError):
        return None


def _table(rowid: int | None, columns: tuple[Any, ...]) -> str | None:
    """Which of our tables a record is out of, by its form."""
    if rowid is None:
        return next((name for name, form in _FORMS.items() if _fits(columns, form)), None)
    if rowid > 0 and _fits(columns, _ROW):
        return "row"
    return "boot" if _fits(columns, _BOOT) else None


def _fits(columns: tuple[Any, ...], form: tuple[Callable[[Any], bool], ...]) -> bool:
    return len(columns) == len(form) and all(test(value) for test, value in zip(form, columns, strict=True))


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


_NULL = type(None)
_int, _text, _blob, _number = _is(int), _is(str), _is(bytes), _is(int, float)
_sink: Callable[[Any], bool] = lambda value: value in _SINKS  # noqa: E731  # a form like the others
_ROW = (_is(_NULL), _text, _int, _number, _is(int, float, _NULL), _blob, _is(str, _NULL), _is(str, _NULL), _blob)
_BOOT = (_is(_NULL), _text, _number, *[_is(int, float, _NULL)] * 2, _number, _number)
_FORMS = {
    "cursor": (_sink, _int),
    "meta": (_text, _is(int, float, str)),
    "aside": (_sink, _int, _text, _int),
    "erasure": (_text, _int, _int, _int),
    "person": (_text, _text, _text),
    "intent": (_text, _number, _text, _text, _blob),
    "binding": (_text, _text, _is(str, _NULL), _int, _is(int, _NULL)),
    "customer": (_int, _text, _text, _is(str, _NULL), _is(str, _NULL), _text, _is(str, _NULL)),
    "identifier": (_int, _text, _text, _text, _is(int, _NULL)),
    "product": (_int, _text, _blob),
}
_BEFORE = "customer before it had the column found_by"
_FORMS[_BEFORE] = _FORMS["customer"][:-1]
_FOLLOWS = """
DELETE FROM aside WHERE seq NOT IN (SELECT seq FROM row);

UPDATE binding SET seq = 0 WHERE seq NOT IN (SELECT seq FROM row WHERE kind GLOB 'band.*');

-- What an app has not confirmed and nobody removed; pushed long ago, if the cursor has passed it.
INSERT INTO open_push
SELECT id, seq, CASE WHEN seq <= (SELECT seq FROM cursor WHERE sink = 'cart') THEN 0.0 END FROM row
WHERE kind IN ('cart.item_added', 'cart.item_removed') AND who IS NOT NULL
  AND seq NOT IN (SELECT seq FROM aside WHERE sink = 'cart' AND again = 0)
  AND lower(hex(id)) NOT IN (
    SELECT replace(json_extract(CAST(body AS TEXT), '$.data.event'), '-', '') FROM row
    WHERE kind IN ('cart.item_confirmed', 'cart.item_removed'));

-- Scans that nothing was made of yet, and the taps of their sessions.
INSERT INTO held
SELECT json_extract(CAST(body AS TEXT), '$.data.pseudonym') AS pseudonym, seq FROM row
WHERE kind = 'inside.scan_held' AND pseudonym IS NOT NULL
  AND id NOT IN (SELECT id FROM row WHERE kind IN ('cart.item_added', 'scan.unclaimed'));

INSERT INTO held
SELECT json_extract(CAST(body AS TEXT), '$.data.pseudonym') AS pseudonym, seq FROM row
WHERE kind = 'tap.unknown' AND pseudonym IN (SELECT pseudonym FROM held);

-- Who has entered and not left.
INSERT INTO present
SELECT who, json_extract(CAST(body AS TEXT), '$.data.read_point'), boot, instant FROM row
WHERE kind = 'presence.entered' AND who IS NOT NULL AND instant IS NOT NULL
  AND seq IN (SELECT max(seq) FROM row WHERE kind GLOB 'presence.*' GROUP BY who)
"""
