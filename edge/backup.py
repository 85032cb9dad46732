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
from edge.database import FILE, DatabaseError, reader
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
    asked = _asked(data / ERASED)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        made = _made(data, folder, reserve)
    if asked:
        _answered(data / ERASED, asked)
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
    size = sum(path.stat().st_size for path in data.glob(f"{FILE}*"))
    wanted = size + (2 * reserve if folder.stat().st_dev == data.stat().st_dev else 0)
    disk = os.statvfs(folder)
    if (free := disk.f_bavail * disk.f_frsize) < wanted:
        megabytes = f"{wanted // 10**6} MB are wanted, {free // 10**6} MB are free"
        raise DatabaseError(f"{folder}: no room for a copy: {megabytes}; the one before stays")


def _asked(file: Path) -> int:
    """When the daemon asked for a copy; 0: it has not."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _answered(file: Path, asked: int) -> None:
    """It need not ask any more; but what was erased while it was copied asks again."""
    done = file.with_suffix(".done")
    file.rename(done)
    if _asked(done) == asked:
        done.unlink()
    else:
        done.rename(file)


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
