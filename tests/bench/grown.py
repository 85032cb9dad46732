"""A database as it is after years: rows and identifiers by bulk insert into the real schema, the daemon being stopped.

The rows are copies of those that the daemon has written, an addition and its confirmation in turn, one a second up to
now, and delivered; so a retention of 30 days keeps 2,000,000.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("cart.item_added", "cart.item_confirmed")


def known(number: int) -> str:
    """Return a pseudonym that `grow` gives to somebody."""
    return hashlib.sha256(b"%d" % number).hexdigest()


def grow(path: Path, rows: int, identifiers: int) -> None:
    """Add so many of each; the file is as the daemon left it before and after."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        for statement in ("synchronous=OFF", "cache_size=-200000"):
            connection.execute(f"PRAGMA {statement}")
        connection.execute("BEGIN")
        if rows:
            _rows(connection, rows)
        _identifiers(connection, identifiers)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    with path.open("rb") as file:
        os.fsync(file.fileno())  # else the kernel writes it while others are measured


def _rows(connection: sqlite3.Connection, count: int) -> None:
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(row)")]
    (last, newest) = connection.execute("SELECT max(seq), max(committed) FROM row").fetchone()
    changed = {"seq": "?1 + n", "committed": "?3 - ?2 + n", "id": "randomblob(16)"}
    values = ", ".join(changed.get(name, f'r."{name}"') for name in columns)
    connection.execute("UPDATE row SET committed = ?1 - ?2", (newest, count))  # they come before all that are added
    connection.execute(
        "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?2)"
        f" INSERT INTO row SELECT {values} FROM counted JOIN row r ON r.seq = CASE n % 2"
        f" WHEN 1 THEN (SELECT max(seq) FROM row WHERE kind = '{KINDS[0]}')"
        f" ELSE (SELECT max(seq) FROM row WHERE kind = '{KINDS[1]}') END",
        (last, count, newest),
    )
    connection.execute("UPDATE cursor SET seq = ?", (last + count,))


def _identifiers(connection: sqlite3.Connection, count: int) -> None:
    (generation,) = connection.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    names = sorted((f"c-g{number}", f"k-g{number}") for number in range(count))
    connection.executemany(
        f"INSERT INTO customer (generation, id, cart, consents) VALUES ({generation}, ?, ?, ' cart ')", names
    )
    pseudonyms = sorted((known(number), f"c-g{number}") for number in range(count))
    connection.executemany(
        f"INSERT INTO identifier (generation, pseudonym, type, customer) VALUES ({generation}, ?, 'nfc', ?)",
        pseudonyms,
    )
