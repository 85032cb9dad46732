"""`cartwire backup`: one verified copy of the database in another folder, made beside a running daemon.

The copy says that it is one: whoever puts it in the place of a lost database gets a new journal, with the reason
`restored`. What was delivered since it was made is told again under the same ids. What a person had asked for and
could still take back is left out, for it has been done since; an erasure is not, for that may be done twice.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from edge import journal
from edge.database import FILE, DatabaseError, reader
from edge.space import ERASED
from edge.wipe import wipe

_MARKS = """
INSERT INTO meta SELECT 'restored', '["' || value || '",0]' FROM meta WHERE key = 'journal';
DELETE FROM meta WHERE key = 'journal';
DELETE FROM intent WHERE action <> 'erase'
"""


def backup(data: Path, folder: Path) -> Path:
    """Makes the copy anew and wipes the one before; where it is. It is his whose the folder is.

    Raises DatabaseError, sqlite3.Error, OSError.
    """
    (data / ERASED).unlink(missing_ok=True)  # first: what is erased while it is copied has to be asked for again
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made, new, old = (folder / f"{FILE}{suffix}" for suffix in ("", ".new", ".old"))
    for left in (*folder.glob(f"{new.name}*"), *folder.glob(old.name)):
        wipe(left)
    new.touch(mode=0o600)
    owner = folder.stat()
    if os.geteuid() == 0 != owner.st_uid:  # root's would be in the way of the timer's next one, and so of an erasure
        os.chown(new, owner.st_uid, owner.st_gid)
    with closing(reader(data / FILE)) as source, closing(sqlite3.connect(new, isolation_level=None)) as copy:
        source.backup(copy)
        _mark(copy)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    if made.exists():
        old.hardlink_to(made)
    new.replace(made)
    _sync(folder)
    if old.exists():
        wipe(old)
    return made


def _mark(copy: sqlite3.Connection) -> None:
    """Lets it say what it is, alone in one file, and looks whether it is sound."""
    if not journal.is_open(copy):
        raise DatabaseError("the daemon has not opened its journal yet; try again when it has")
    copy.execute("PRAGMA journal_mode=DELETE")
    copy.execute("PRAGMA secure_delete=ON")
    copy.execute("BEGIN")
    for statement in _MARKS.split(";\n"):
        copy.execute(statement)
    copy.execute("COMMIT")
    if (found := copy.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise DatabaseError(f"the copy is not sound ({' '.join(found.split())}); the one before stays")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
