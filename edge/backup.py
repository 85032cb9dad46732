"""`cartwire backup`: one verified copy of the database in another folder, made beside a running daemon.

The copy says that it is one: whoever puts it in the place of a lost database gets a new journal, with the reason
`restored`. What was delivered since it was made is told again under the same ids. What a person had asked for and
could still take back is left out, for it has been done since; an erasure is not, for that may be done twice.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge import journal
from edge.database import FILE, WAL_KEPT, DatabaseError, reader
from edge.space import ERASED
from edge.wipe import wipe

_MARKS = """
INSERT INTO meta SELECT 'restored', '["' || value || '",0]' FROM meta WHERE key = 'journal';
DELETE FROM meta WHERE key = 'journal';
DELETE FROM intent WHERE action <> 'erase'
"""


def backup(data: Path, folder: Path, reserve: int) -> Path:
    """Makes the copy anew and wipes the one before; where it is. It is his whose the folder is.

    `reserve`: bytes that are to stay free for the daemon. Raises DatabaseError, sqlite3.Error, OSError.
    """
    wish = data / ERASED
    asked = _since(wish)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    renewed = (folder / FILE).exists()  # a first one, before an upgrade say, is not the one that the daemon means
    with _alone(folder):
        made = _made(data, folder, reserve)
    if renewed and _since(wish) == asked:  # what was erased while it was copied asks again
        wish.unlink(missing_ok=True)
    return made


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else makes one there meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DatabaseError(f"{folder}: another copy is being made there; wait for it") from None
    finally:
        os.close(descriptor)


def _made(data: Path, folder: Path, reserve: int) -> Path:
    made, new, old = (folder / f"{FILE}{suffix}" for suffix in ("", ".new", ".old"))
    for left in (*folder.glob(f"{new.name}*"), *folder.glob(old.name)):
        if made.exists() and left.samefile(made):  # the power went between its two names
            left.unlink()
        else:
            wipe(left)
    _must_fit(data, folder, reserve)
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


def _must_fit(data: Path, folder: Path, reserve: int) -> None:
    """On the daemon's own disk a copy is not to take the room that the daemon needs meanwhile."""
    database = data / FILE
    size = database.stat().st_size + WAL_KEPT if database.exists() else 0
    wanted = size + (2 * reserve if folder.stat().st_dev == data.stat().st_dev else 0)
    disk = os.statvfs(folder)
    if (free := disk.f_bavail * disk.f_frsize) < wanted:
        megabytes = f"{wanted // 10**6} MB are wanted, {free // 10**6} MB are free"
        raise DatabaseError(f"{folder}: no room for a copy: {megabytes}; the one before stays")


def _since(wish: Path) -> int:
    """When the daemon asked for a copy; 0: it has not."""
    try:
        return wish.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


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
