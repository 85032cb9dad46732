"""What a database holds, and what a send tells."""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peers.trace import Call

ID = re.compile(rb'"specversion":"1\.0","id":"([0-9a-f-]{36})"')
decoder = json.JSONDecoder()


class Held(NamedTuple):
    """The journal's rows by id, as `seq` and bytes, and how far each sink has got."""

    rows: dict[str, tuple[int, bytes]]
    cursors: dict[str, int]


def held(folder: Path) -> Held:
    """Open the database in the folder as the next start would. Raises DatabaseError if it is not sound."""
    with closing(sqlite3.connect(folder / "cartwire.db")) as database:
        verdict = database.execute("PRAGMA integrity_check").fetchall()
        if verdict != [("ok",)]:
            message = f"integrity_check: {verdict}"
            raise sqlite3.DatabaseError(message)
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'row'").fetchone():
            return Held({}, {})
        rows = database.execute("SELECT seq, body FROM row ORDER BY seq").fetchall()
        cursors = database.execute("SELECT sink, seq FROM cursor").fetchall()
    # Where a page is another's, the check of the tree may pass though a row is no longer one.
    if torn := [seq for seq, body in rows if not isinstance(body, bytes) or not ID.search(body)]:
        message = f"no event in row {torn[0]}"
        raise sqlite3.DatabaseError(message)
    return Held({ID.findall(body)[0].decode(): (seq, body) for seq, body in rows}, dict(cursors))


def told(call: Call) -> Iterator[tuple[str, bytes | None]]:
    """Yield id and bytes of the events in a send; the bytes are None if it holds only a part of them."""
    data = _unzipped(call.data)
    text = data.decode("latin-1")  # one character a byte
    for match in ID.finditer(data):
        body = None
        with suppress(ValueError):
            start = match.start() - 1
            body = data[start : decoder.raw_decode(text, start)[1]]
        yield match[1].decode(), body


def _unzipped(data: bytes) -> bytes:
    """Return what was sent, and behind it what a gzipped body in it holds."""
    start = data.find(b"\x1f\x8b\x08")
    return data if start < 0 else data + zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data[start:])
