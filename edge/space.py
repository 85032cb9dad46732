"""How much of the store's share of the disk is left.

All that lies in the data folder counts, and the disk itself may have less than the share. Free pages inside the
database count as left: the next rows take them first.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.database import FILE, PAGE

ERASED = "erased"
"""A file in the data folder that is there while a copy of the database may hold what is erased here."""


@dataclass(slots=True)
class Space:
    """Bytes. `reserve` is kept for what follows from what is accepted; see `Room`."""

    data: Path
    capacity: int
    reserve: int
    beside: int = 0
    """What else lies in the data folder than the database; see `look`."""

    def look(self) -> None:
        """Measures what is not the database: a broker's files, what was set aside."""
        self.beside = sum(size for name, size in _files(self.data) if not name.startswith(FILE))

    def left(self, connection: sqlite3.Connection) -> int:
        """What may still be written; below 0 where more is there than may be."""
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
        free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
        database = f"{self.data}/{FILE}"
        used = pages * PAGE + _size(f"{database}-wal") + _size(f"{database}-shm") + self.beside
        disk = os.statvfs(self.data)
        unwritten = max(0, pages * PAGE - _size(database))  # still in the WAL, and needs room in the file
        return min(self.capacity - used, disk.f_bavail * disk.f_frsize - unwritten) + free * PAGE


def used(data: Path) -> int:
    """Bytes of all files in the folder."""
    return sum(size for _, size in _files(data))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Names and sizes; os.walk, unlike Path.rglob, passes over folders that go meanwhile."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield name, _size(f"{parent}/{name}")


def _size(path: str) -> int:
    """0 for what has gone since it was listed; a FIFO and a socket have none."""
    with suppress(OSError):
        return os.lstat(path).st_size  # not Path's: with little room each piece of work asks thrice
    return 0
