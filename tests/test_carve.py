"""Reading a SQLite file page by page, held against SQLite itself."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.carve import Pages

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=2000),
    st.binary(max_size=3000),
)
ROWS = st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.tuples(VALUES, VALUES), max_size=40)


def made(path: Path, size: int, rows: dict[int, tuple[Any, Any]], *, wal: bool) -> sqlite3.Connection:
    """A table of each kind with these rows; with `wal` the second half of them stands in it."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (f"page_size={size}", f"journal_mode={'WAL' if wal else 'DELETE'}", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, a, b)")
    connection.execute("CREATE TABLE w (n TEXT PRIMARY KEY, a, b) WITHOUT ROWID")
    items = list(rows.items())
    for half in (items[: len(items) // 2], items[len(items) // 2 :]):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, *row) for n, row in half])
        connection.executemany("INSERT INTO w VALUES (?, ?, ?)", [(f"w{n}", *row) for n, row in half])
        connection.execute("COMMIT")
        if half is not items and wal and connection.execute("SELECT count(*) FROM t").fetchone()[0] < len(items):
            connection.execute("PRAGMA wal_checkpoint(RESTART)")
    return connection


def key(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(map(repr, row))


@settings(max_examples=60)
@given(rows=ROWS, size=st.sampled_from([512, 1024, 4096]), wal=st.booleans())
def test_what_sqlite_wrote_is_found(
    tmp_path_factory: Any, rows: dict[int, tuple[Any, Any]], size: int, wal: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "carve.db"
    connection = made(path, size, rows, wal=wal)
    try:
        found = [(rowid, columns) for rowid, columns in Pages(path, size).records() if len(columns) == 3]
        expected = [(n, (None, a, b)) for n, a, b in connection.execute("SELECT * FROM t")]
        expected += [(None, row) for row in connection.execute("SELECT * FROM w")]
        assert sorted(found, key=key) == sorted(expected, key=key)
    finally:
        connection.close()


@settings(max_examples=150)
@given(damage=st.lists(st.tuples(st.integers(0, 200_000), st.binary(min_size=1, max_size=700)), max_size=20))
def test_damage_ends_nothing(tmp_path_factory: Any, damage: list[tuple[int, bytes]]) -> None:
    """Whatever is written over the file, what is left can be gone through."""
    path = tmp_path_factory.getbasetemp() / "damaged.db"
    connection = made(path, 512, {n: (f"{n} " * n, bytes(n)) for n in range(100)}, wal=False)
    connection.close()
    data = bytearray(path.read_bytes())
    for at, piece in damage:
        start = at % len(data)
        data[start : start + len(piece)] = piece
    path.write_bytes(data)
    list(Pages(path, 512).records())
