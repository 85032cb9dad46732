"""The journal's events as one who reads them from outside gets them, with and without a daemon."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge import journal
from edge.database import DatabaseError, reader

_LOOK = 0.2
"""Seconds between two looks: another process writes, there is nothing to wait on."""
_PAGE = 500


def events(connection: sqlite3.Connection, since: int) -> Iterator[journal.Stored]:
    """Those after `since` that are there."""
    while found := journal.events(connection, since, _PAGE):
        yield from found
        since = found[-1].seq


def follow(path: Path, since: int) -> Iterator[journal.Stored]:
    """The same, and then what comes, for ever; a damaged database is waited for until it is salvaged."""
    file, connection = _file(path), reader(path)
    told = False
    while True:
        try:
            for event in events(connection, since):
                since = event.seq
                yield event
        except sqlite3.DatabaseError as error:
            if not told:
                print(f"cartwire: {path}: {error}; goes on when the daemon has salvaged it", file=sys.stderr)
            told = True
        time.sleep(_LOOK)  # a command of its own: no event loop runs here
        if (new := _file(path)) not in (0, file):
            with suppress(DatabaseError, sqlite3.DatabaseError):  # not complete yet
                opened = reader(path)
                if journal.is_open(opened):
                    connection.close()
                    file, connection, told = new, opened, False


def _file(path: Path) -> int:
    """The number of the file, 0 if there is none: a salvage puts a new one in its place."""
    return path.stat().st_ino if path.exists() else 0
