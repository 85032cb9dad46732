"""Which thread commits, so that a slow disk never holds the loop up."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from threading import Event, get_ident
from typing import TYPE_CHECKING

import pytest

from edge.database import CHECKPOINT, FILE, PATIENCE, QUICK, SLOW, WAL_KEPT, Database
from watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def watch() -> Watch:
    """The database's time."""
    return Watch()


@pytest.fixture
def database(tmp_path: Path, watch: Watch) -> Iterator[Database]:
    """A new one."""
    with closing(Database(tmp_path / FILE, watch)) as made:
        yield made


async def committer(database: Database, watch: Watch, *, small: bool = True, takes: float = 0.0) -> int:
    """The thread in which a commit that `takes` so long is made."""

    def passes(statement: str) -> None:
        watch.instant += takes if statement == "COMMIT" else 0.0

    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('test', 1)")
        connection.set_trace_callback(passes)
        return get_ident()

    return await database.write(work, small=small)


async def test_while_the_disk_is_quick_a_reading_is_committed_where_it_is(database: Database, watch: Watch) -> None:
    here = get_ident()
    for _ in range(3):
        assert await committer(database, watch, takes=0.9 * QUICK) == here
    assert await committer(database, watch, small=False) != here, "a page of the feed may take long"


async def test_a_slow_commit_gives_the_next_ones_to_the_thread_for_a_minute(database: Database, watch: Watch) -> None:
    here = get_ident()
    assert await committer(database, watch, takes=1.1 * QUICK) == here
    for _ in range(10):
        watch.instant += 0.09 * SLOW
        assert await committer(database, watch) != here
    watch.instant += 0.2 * SLOW
    assert await committer(database, watch) == here


async def test_what_is_slow_in_the_thread_too_stays_there(database: Database, watch: Watch) -> None:
    """A card that is slow now and then is not tried on the loop, not even after a night."""
    here = get_ident()
    assert await committer(database, watch, takes=1.1 * QUICK) == here
    for _ in range(3):
        watch.instant += 0.9 * SLOW
        assert await committer(database, watch, takes=1.1 * QUICK) != here
    watch.instant += 600 * SLOW
    await database.write(lambda connection: connection.set_trace_callback(None))  # no row: the disk did nothing
    assert await committer(database, watch, takes=1.1 * QUICK) != here, "the last was slow"
    watch.instant += SLOW
    assert await committer(database, watch) != here, "the last was slow"
    assert await committer(database, watch) == here


async def test_what_the_thread_has_begun_is_not_overtaken(database: Database, watch: Watch) -> None:
    """Else two threads would be in one transaction."""
    order: list[str] = []

    def work(name: str, until: Event | None = None) -> int:
        if until:
            until.wait(10)
        order.append(name)
        return get_ident()

    held = Event()
    first = asyncio.create_task(database.write(lambda _: work("page", held)))
    await asyncio.sleep(0)
    second = asyncio.create_task(database.write(lambda _: work("reading"), small=True))
    await asyncio.sleep(0)
    assert order == []
    assert not database.quick()
    held.set()
    assert await second == get_ident()
    await first
    assert order == ["page", "reading"]
    assert await committer(database, watch) == get_ident()


async def test_a_scrub_that_nobody_wants_any_more_takes_no_reading_with_it(database: Database) -> None:
    held = Event()
    page = asyncio.create_task(database.write(lambda _: held.wait(10)))
    await asyncio.sleep(0)
    scrub = asyncio.create_task(database.scrub())
    await asyncio.sleep(0)
    reading = asyncio.create_task(database.write(lambda _: "kept", small=True))
    await asyncio.sleep(0)
    scrub.cancel()
    await asyncio.wait((scrub,))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not reading.done()
    held.set()
    assert await reading == "kept"
    assert await page


async def test_the_loop_does_not_wait_for_another_program(database: Database, watch: Watch) -> None:
    """A technician with sqlite3, say."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        commit = asyncio.create_task(committer(database, watch))
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            await asyncio.sleep(0)
        assert asyncio.get_running_loop().time() - began < PATIENCE / 2000, "the loop waited for the lock"
        assert not commit.done()
        other.execute("COMMIT")
    assert await commit != get_ident()


async def test_nobody_waits_for_the_way_into_the_file(database: Database) -> None:
    held = Event()

    def many(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda said: held.wait(20) if "wal_checkpoint" in said else None)
        rows = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
        connection.execute(f"{rows} INSERT INTO cursor SELECT 'sink ' || n, 1 FROM n", (CHECKPOINT,))

    try:
        async with asyncio.timeout(10):
            await database.write(many)
    finally:
        held.set()


async def test_what_takes_long_after_a_commit_is_the_threads(database: Database) -> None:
    """The way from the WAL into the file, and the room of what was undone."""
    moved: list[int] = []
    rows = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"

    def many(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda said: moved.append(get_ident()) if "wal_checkpoint" in said else None)
        connection.execute(f"{rows} INSERT INTO cursor SELECT 'sink ' || n, 1 FROM n", (CHECKPOINT,))

    def too_much(connection: sqlite3.Connection) -> None:
        connection.execute(f"{rows} INSERT INTO cursor SELECT n || hex(zeroblob(5000)), 1 FROM n", (WAL_KEPT // 5000,))
        raise KeyError

    await database.write(many, small=True)
    await database.write(lambda _: None)
    assert len(moved) == 1
    wal = database.path.with_name(f"{FILE}-wal")
    with pytest.raises(KeyError):
        await database.write(too_much, small=True)
    await database.write(lambda _: None)
    assert len(moved) == 2
    assert wal.stat().st_size <= WAL_KEPT
    assert get_ident() not in moved
