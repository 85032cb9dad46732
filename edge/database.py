"""SQLite on disk: one connection writes and checkpoints, one work at a time; every other only reads.

It has a thread of its own, as an SD card may hold a commit up for a second. While commits are quick, those of readings
do without: a way to another thread and back takes longer than all the rest of one, and many at once would take twice as
long, as each call of SQLite would wait for the loop to let go of the interpreter.

WAL with synchronous=FULL: a commit that returned survives a power cut. SQLite before 3.51.3 can corrupt a
WAL that two connections write or checkpoint at once, hence the single writer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from edge.envelope import Unreadable

_T = TypeVar("_T")

FILE = "cartwire.db"
MIGRATIONS = 3
"""How many migrations `edge.migrations` knows."""

PAGE = 512
"""Bytes. A commit writes whole pages, and the fewer bytes the longer an SD card lives: see `make bench`."""

CHECKPOINT = 800
"""Changed rows after which the writer checkpoints: about 2 MB of WAL."""
WAL_KEPT = 4_000_000
"""Bytes of WAL that are kept for the next rows after a checkpoint."""

_UNSYNCED = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
_IN_USE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REFUSED = _IN_USE | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


CHECKED = 32_000_000
"""Bytes up to which a database is checked through at every start; a bigger one only if it is suspect."""
PATIENCE = 5000
"""Milliseconds to wait for another program that writes."""
QUICK = 0.05
"""Seconds that a COMMIT may hold the event loop up."""
SLOW = 60.0
"""Seconds for which the thread has all commits after one that took longer, its own included."""
RETRY = 1.0
"""Seconds until what the disk did not take is tried again."""
SHRINK = 2000
"""Pages that are given back to the disk in one transaction at most."""


class DatabaseError(Exception):
    """The database cannot be opened; the text says why."""


class Full(Exception):
    """The disk takes nothing now: no room, an error of writing, read-only, in use. Nothing of the work was kept."""


class InUse(Full):
    """Another program writes; it will end."""


class Broken(Exception):
    """The process has to end and start again.

    After a failed fsync the kernel may call lost pages clean, so the same descriptor is never tried again.
    """


class Damaged(Broken):
    """The file is no sound database any more: see `edge.salvage`."""


class Database:
    """The journal's and the directory's file. `write` may be called from any task."""

    def __init__(self, path: Path, instant: Callable[[], float] = time.monotonic) -> None:
        """Opens it, made if it is not there. Raises DatabaseError, Damaged, Broken, Full."""
        self.path = path
        self._instant = instant
        self._changed = 0
        self._broken: Broken | None = None
        self._slow_until = 0.0
        self._took = 0.0
        """Seconds of the last COMMIT that wrote: the loop has the next one only if that was quick."""
        self._patience = PATIENCE
        self._thread = ThreadPoolExecutor(1, "database")
        self._given: Future[Any] = self._thread.submit(_open, path)
        """What the thread was given last."""
        self._writer: sqlite3.Connection = self._given.result()

    async def write(self, work: Callable[[sqlite3.Connection], _T], *, small: bool = False) -> _T:
        """Runs `work` in one transaction; returns when it is on the disk. `small` work may stay in the loop's thread.

        Raises what `work` raises, or `Full`: then nothing was written. `Broken`: nobody knows.
        """
        if small and self._is_fast() and not self._given.done():
            over = asyncio.wrap_future(self._given)
            over.add_done_callback(lambda done: done.cancelled() or done.exception())  # is for whoever gave it
            await asyncio.wait((over,))
        if small and self.quick():
            with suppress(InUse):  # whoever writes there is not waited for on the loop
                return self.write_here(work)
        result = await asyncio.wrap_future(self._give(partial(self._write, work)))
        self._move_in_time()
        return result

    def quick(self) -> bool:
        """Whether a small transaction may be made in the loop's thread: by `write_here`, which raises InUse besides."""
        return self._given.done() and self._is_fast()

    def write_here(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """The same on the loop, waiting for no other program; the thread moves the WAL into the file."""
        try:
            result = self._transaction(work, patience=0)
        except BaseException:
            self._give(self._give_back)
            raise
        self._move_in_time()
        return result

    def write_now(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """The same, waiting for it: at the start and the stop, when no loop runs."""
        result = self._give(partial(self._write, work)).result()
        self._move_in_time()
        return result

    def reader(self) -> sqlite3.Connection:
        """A new read-only connection, for one thread at a time."""
        return reader(self.path)

    def close(self) -> None:
        """Not of a broken one: closing would move the WAL into the file and call it safe."""
        if not self._broken:
            self._thread.submit(self._writer.close).result()
        self._thread.shutdown()

    async def scrub(self) -> bool:
        """Empties the WAL, in which erased content may still stand. False if a reader was in the way."""
        return await asyncio.shield(asyncio.wrap_future(self._give(partial(self._checkpoint, "TRUNCATE"))))

    def _give(self, call: Callable[[], _T]) -> Future[_T]:
        given = self._thread.submit(call)
        self._given = given
        return given

    def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return self._transaction(work)
        except BaseException:
            self._give_back()
            raise

    def _transaction(self, work: Callable[[sqlite3.Connection], _T], patience: int = PATIENCE) -> _T:
        connection = self._writer
        with self._judged():
            self._wait(patience)
            before = connection.total_changes
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                self._commit(connection, wrote=connection.total_changes > before)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        self._changed += connection.total_changes - before
        return result

    def _commit(self, connection: sqlite3.Connection, *, wrote: bool) -> None:
        began = self._instant()
        try:
            connection.execute("COMMIT")
        finally:
            if wrote:
                self._took = self._instant() - began
                if self._took > QUICK:
                    self._slow_until = self._instant() + SLOW

    def _is_fast(self) -> bool:
        return self._took <= QUICK and self._instant() >= self._slow_until

    def _move_in_time(self) -> None:
        """The thread moves them once there are CHECKPOINT changed rows."""
        if self._changed >= CHECKPOINT:
            self._give(self._move)

    def _move(self) -> None:
        """From the WAL into the file."""
        with suppress(Full):  # the WAL has it all; the next commit tries again
            self._checkpoint("PASSIVE")
            self._changed = 0

    def _give_back(self) -> None:
        """What a transaction that came to nothing has written stands in the WAL and takes room."""
        with suppress(OSError, Full):
            if self.path.with_name(f"{self.path.name}-wal").stat().st_size > WAL_KEPT:
                self._checkpoint("TRUNCATE")

    def _checkpoint(self, mode: str) -> bool:
        """Moves the WAL into the file. Not SQLite's own automatic one: that says nothing of a failed sync."""
        with self._judged():
            self._wait(0)  # no reader keeps the shop waiting
            (busy, _, _) = self._writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return not busy

    def _wait(self, patience: int) -> None:
        """How long to wait for another program's lock from now on."""
        if patience != self._patience:
            self._writer.execute(f"PRAGMA busy_timeout={patience}")
            self._patience = patience

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """What an error of SQLite means: Full, Broken for good, or a fault of ours."""
        if self._broken:
            raise self._broken
        try:
            yield
        except (sqlite3.DatabaseError, Unreadable) as error:
            self._broken = self.judge(error)
            if self._broken:
                raise self._broken from error
            if _code(error) & 0xFF in _REFUSED:
                raise (InUse if _code(error) & 0xFF in _IN_USE else Full)(str(error)) from error
            raise

    def judge(self, error: sqlite3.DatabaseError | Unreadable) -> Broken | None:
        """What an error, also a reader's, says of the file; the next start is told to look at it, or to salvage it."""
        damaged = isinstance(error, Unreadable) or _is_damage(_code(error))
        if not damaged and _code(error) not in _UNSYNCED:
            return None
        with suppress(OSError):
            suspect(self.path).write_text("damaged" if damaged else "")
        return (Damaged if damaged else Broken)(str(error))


def shrink(connection: sqlite3.Connection) -> bool:
    """Gives a step of free pages back to the disk if many are free; whether there are more."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free < max(SHRINK, pages // 4):
        return False
    connection.execute(f"PRAGMA incremental_vacuum({SHRINK})").fetchall()
    return True


def suspect(path: Path) -> Path:
    """The file beside the database that says: check all of it at the next start; or, that it is damaged."""
    return path.with_name(f"{path.name}-suspect")


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR))


def _is_damage(code: int) -> bool:
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def reader(path: Path) -> sqlite3.Connection:
    """A read-only connection to a database with or without a daemon. Raises DatabaseError."""
    if not path.exists():
        raise DatabaseError(
            f"{path}: there is no journal yet; has `cartwire run` been started with this configuration?"
        )
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA cache_size=-500")  # kB: what is read is read once
        connection.execute("SELECT count(*) FROM meta").fetchone()
    except sqlite3.Error as error:
        raise DatabaseError(f"{path}: cannot be read ({error})") from None
    return connection


def _open(path: Path) -> sqlite3.Connection:
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE / 1000, isolation_level=None, check_same_thread=False)
        for pragma in (
            *(f"page_size={PAGE}", "auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL"),
            *("wal_autocheckpoint=0", f"journal_size_limit={WAL_KEPT}", "secure_delete=ON", "temp_store=MEMORY"),
            "cache_size=-500",  # kB: a commit fits; the kernel caches the rest
        ):
            connection.execute(f"PRAGMA {pragma}")
        _expect(connection, "journal_mode", "wal")
        _expect(connection, "synchronous", 2)
        _check(connection, path)
        if _applied(connection) < MIGRATIONS:
            _migrate(path)
        if (found := _applied(connection)) != MIGRATIONS:
            raise DatabaseError(
                f"{path}: has schema {found}, this version knows {MIGRATIONS}; install the newer version"
            )
    except sqlite3.Error as error:
        code = _code(error)
        if code in _UNSYNCED:
            raise Broken(f"{path}: {error}") from None
        if connection:
            connection.close()
        if _is_damage(code):
            raise Damaged(f"{path}: is damaged ({error})") from None
        if code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise Full(f"{path}: cannot be opened ({error})") from None
        raise DatabaseError(f"{path}: cannot be opened ({error})") from None
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    doubts = suspect(path).read_text() if suspect(path).exists() else None
    if path.stat().st_size > CHECKED and doubts is None:
        return
    found = doubts or connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        connection.close()
        raise Damaged(f"{path}: is damaged ({' '.join(found.split())})")
    suspect(path).unlink(missing_ok=True)


def _migrate(path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "edge.migrations", path], capture_output=True, text=True, timeout=600)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DatabaseError(f"{path}: cannot be brought up to date ({last})")


def _applied(connection: sqlite3.Connection) -> int:
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone()
    return connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone()[0] if exists else 0


def _expect(connection: sqlite3.Connection, pragma: str, value: Any) -> None:
    (found,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    if found != value:
        raise DatabaseError(
            f"PRAGMA {pragma} is {found!r}, not {value!r}: this disk or SQLite cannot keep what is written"
        )
