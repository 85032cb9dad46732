"""Which thread commits, so that a slow disk never holds the loop up; and that a commit keeps to the capacity."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import asynccontextmanager, closing
from threading import Event, get_ident
from typing import TYPE_CHECKING

import pytest

from edge import journal
from edge.clock import Clock
from edge.database import FILE, PATIENCE, QUICK, SLOW, Database, Full
from edge.floor import Rules
from edge.intake import Batch, Intake
from edge.model import Row
from edge.space import Space, used

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CAPACITY, RESERVE = 17_000_000, 1_000_000
"""The least there may be."""


class Watch:
    """A time that stands until somebody moves it."""

    def __init__(self) -> None:
        self.instant = 100.0

    def __call__(self) -> float:
        """Return it."""
        return self.instant


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

    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('test', 1)")
        watch.instant += takes
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
        assert await committer(database, watch, takes=0.09 * SLOW) != here
    watch.instant += 0.2 * SLOW
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
    held.set()
    assert await second != get_ident()
    await first
    assert order == ["page", "reading"]
    assert await committer(database, watch) == get_ident()


async def test_the_loop_does_not_wait_for_another_program(database: Database, watch: Watch) -> None:
    """One that writes: `cartwire decommission`, a technician with sqlite3."""
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


@asynccontextmanager
async def full_at(capacity: int, database: Database, reserve: int = RESERVE) -> AsyncIterator[Intake]:
    """An intake whose rows no sink has yet, on a share of the disk of so many bytes."""
    clock = Clock("boot", 0.0, Watch())  # all that follows happens at once
    opened = database.write_now(
        lambda connection: journal.open_journal(connection, "/s", clock.now(), 0.0, ["platform"])
    )
    intake = Intake(database, clock, opened, Space(database.path.parent, capacity, reserve), Rules(), 86400)
    intake.restore()
    running = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        running.cancel()
        await asyncio.wait((running,))


def big(batch: Batch) -> bool:
    """Write a row of 30 kB if there is room; whether there was."""
    if batch.room:
        batch.write([Row("scan.unclaimed", batch.now, {"read_point": "till-1", "text": "x" * 30_000}, live=False)])
    return batch.room


async def many_big(intake: Intake, count: int) -> list[bool | BaseException]:
    """Ask at once for so many of these; whether there was room for each."""
    asked = [await intake.submit(big, small=True) for _ in range(count)]
    return await asyncio.gather(*asked, return_exceptions=True)


def hold(reader: sqlite3.Connection) -> None:
    """From here on the WAL cannot begin anew."""
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM row").fetchone()


@pytest.mark.parametrize("seed", [0, 1, 4])
async def test_the_capacity_holds_though_much_is_undone(database: Database, seed: int) -> None:
    """What a batch had put into the WAL stays there, too, when it does not fit."""
    chance, kept = random.Random(seed), []
    async with full_at(CAPACITY, database) as intake:
        with closing(database.reader()) as reader:
            for _ in range(30):
                if not reader.in_transaction:
                    hold(reader)
                kept += await many_big(intake, chance.randint(10, 190))
                assert used(database.path.parent) <= CAPACITY
                if chance.random() < 0.3:
                    reader.execute("COMMIT")
    assert all(isinstance(each, bool | Full) for each in kept)
    assert 100 < kept.count(True) < len(kept)


async def test_a_commit_has_room_in_the_file_and_in_the_wal(database: Database) -> None:
    async with full_at(CAPACITY, database, 50_000) as intake:
        with closing(database.reader()) as first, closing(database.reader()) as second:
            hold(first)
            for count in (100, 60, 35, 20, 20, 20, 12):
                await many_big(intake, count)
            first.execute("COMMIT")
            hold(second)
            assert not await database.scrub(), "it is all in the file now, and still in the WAL"
            assert 0.9 * CAPACITY < used(database.path.parent) <= CAPACITY


async def test_one_piece_of_work_that_is_too_big_is_refused(database: Database) -> None:
    async with full_at(CAPACITY, database, 50_000) as intake:
        with pytest.raises(Full):
            await (await intake.submit(lambda batch: [big(batch) for _ in range(300)]))
        assert used(database.path.parent) <= CAPACITY
        assert await many_big(intake, 2) == [True, True]
