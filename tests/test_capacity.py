"""A commit keeps to the capacity, with what it takes in the WAL, also where it is undone."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from edge import journal
from edge.batch import Batch
from edge.clock import Clock
from edge.database import FILE, Database, Full
from edge.floor import Rules
from edge.intake import Intake
from edge.model import Row
from edge.space import Space, used

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CAPACITY, RESERVE = 17_000_000, 1_000_000
"""The least there may be."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new one."""
    with closing(Database(tmp_path / FILE)) as made:
        yield made


@asynccontextmanager
async def full_share(database: Database, reserve: int = RESERVE) -> AsyncIterator[Intake]:
    """An intake whose rows no sink has yet, on a share of the disk of CAPACITY bytes."""
    clock = Clock("boot", 0.0, lambda: 100.0)  # all that follows happens at once
    opened = database.write_now(
        lambda connection: journal.open_journal(connection, "/s", clock.now(), 0.0, ["platform"])
    )
    intake = Intake(database, clock, opened, Space(database.path.parent, CAPACITY, reserve), Rules(), 86400)
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
    async with full_share(database) as intake:
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
    async with full_share(database, 50_000) as intake:
        with closing(database.reader()) as first, closing(database.reader()) as second:
            hold(first)
            for count in (100, 60, 35, 20, 20, 20, 12):
                await many_big(intake, count)
            first.execute("COMMIT")
            hold(second)
            assert not await database.scrub(), "it is all in the file now, and still in the WAL"
            assert 0.9 * CAPACITY < used(database.path.parent) <= CAPACITY


async def test_one_piece_of_work_that_is_too_big_is_refused(database: Database) -> None:
    async with full_share(database, 50_000) as intake:
        with pytest.raises(Full):
            await (await intake.submit(lambda batch: [big(batch) for _ in range(300)]))
        assert used(database.path.parent) <= CAPACITY
        assert await many_big(intake, 2) == [True, True]
