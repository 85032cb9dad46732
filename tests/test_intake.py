"""Who is committed when: a reading at once, those that come together together, and what nobody waits for later."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from edge import intents, journal
from edge.batch import Batch
from edge.clock import Clock
from edge.database import FILE, RETRY, Database, Full
from edge.floor import Rules, Scanned, Tapped
from edge.identity import uuid7
from edge.intake import ENOUGH, GATHER, LARGEST, MARKS, RIDE, WAITING, Fault, Intake
from edge.model import Customer, Item, Row
from edge.space import Space
from watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture
def watch() -> Watch:
    """The intake's time."""
    return Watch()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new one."""
    with closing(Database(tmp_path / FILE)) as made:
        yield made


@asynccontextmanager
async def at_rest(
    database: Database, watch: Watch, space: Space | None = None, expire: Callable[[Batch], None] = lambda _: None
) -> AsyncIterator[Intake]:
    """An intake that works, and has nothing to do."""
    clock = Clock("boot", 0.0, watch)
    opened = database.write_now(
        lambda connection: journal.open_journal(connection, "/s", clock.now(), 0.0, ["platform"])
    )
    space = space or Space(database.path.parent, 100_000_000, 1_000_000)
    intake = Intake(database, clock, opened, space, Rules(), LATE, expire=expire)
    intake.restore()
    running = asyncio.create_task(intake.run())
    await asyncio.sleep(0)
    try:
        yield intake
    finally:
        running.cancel()
        await asyncio.wait((running,))
        intake.committed.clear()


ANN = Customer("c-1", "k-1", None, frozenset({"cart"}))
SESSION = Rules().session
LATE = 86400.0


def tap(batch: Batch) -> None:
    """Ann taps."""
    batch.happen(Tapped(uuid7(), batch.now, "till-1", "nfc", ANN))


async def turns() -> None:
    """Let the loop get round until nothing is at work."""
    for _ in range(5):
        await asyncio.sleep(0)


def named(name: str, order: list[str]) -> Callable[[Batch], str]:
    """Work that writes a row, and notes that it was done."""

    def work(batch: Batch) -> str:
        batch.write([Row("scan.unclaimed", batch.now, {"read_point": "till-1", "name": name}, live=False)])
        order.append(name)
        return name

    return work


async def test_a_reading_that_finds_nothing_at_work_is_committed_where_it_is(database: Database, watch: Watch) -> None:
    async with at_rest(database, watch) as intake:
        before, told = intake.newest, list[Row]()
        intake.committed.append(told.extend)
        kept = await intake.submit(named("one", []), small=True)
        assert kept.done(), "it waited for a turn of the loop"
        assert kept.result() == "one"
        with closing(sqlite3.connect(database.path)) as other:
            assert other.execute("SELECT max(seq) FROM row").fetchone() == (before + 1,) == (intake.newest,)
        assert [row.data["name"] for row in told] == ["one"]


async def test_those_that_come_together_are_committed_together(database: Database, watch: Watch) -> None:
    async with at_rest(database, watch) as intake:
        before = intake.commits.count
        kept = [await intake.submit(named(str(n), []), small=True) for n in range(10)]
        assert await asyncio.gather(*kept) == [str(n) for n in range(10)]
        assert intake.commits.count == before + 2, "the first alone, the others together"


async def test_nobody_is_overtaken(database: Database, watch: Watch) -> None:
    order: list[str] = []
    async with at_rest(database, watch) as intake:
        page = await intake.submit(named("page", order))
        reading = await intake.submit(named("reading", order), small=True)
        await asyncio.wait((page, reading))
    assert order == ["page", "reading"]


async def test_what_became_of_a_reading_is_known_before_the_next_is_decided(database: Database, watch: Watch) -> None:
    """Else a tap that was made up for would be made up for twice."""
    known: list[str] = []
    seen: list[list[str]] = []

    async def read(name: str) -> None:
        def work(_: Batch) -> str:
            seen.append([*known])
            return name

        kept = await intake.submit(work, small=True)
        kept.add_done_callback(lambda done: known.append(done.result()))
        await kept

    async with at_rest(database, watch) as intake:
        await asyncio.gather(read("one"), read("two"))
        await read("three")
    assert seen == [[], ["one"], ["one", "two"]]


async def test_so_it_is_when_something_falls_due_at_that_moment(database: Database, watch: Watch) -> None:
    """Timer and driver come in the same turn of the loop, the driver first."""
    known: list[str] = []
    seen = asyncio.get_running_loop().create_future()

    async def two() -> None:
        kept = await intake.submit(lambda _: "one", small=True)
        kept.add_done_callback(lambda done: known.append(done.result()))
        await (await intake.submit(lambda _: seen.set_result([*known]), small=True))

    async with at_rest(database, watch) as intake:
        await (await intake.submit(tap))
        watch.instant += SESSION - 0.05
        await intake.submit(lambda _: None, small=True)
        await turns()
        loop, tasks = asyncio.get_running_loop(), list[asyncio.Task[None]]()
        due = max(timer.when() for timer in vars(loop)["_scheduled"] if not timer.cancelled())
        loop.call_at(due - 1e-6, lambda: tasks.append(loop.create_task(two())))
        async with asyncio.timeout(10):
            assert await seen == ["one"]
        await tasks[0]


async def test_readings_that_are_tried_one_by_one_still_come_before_what_falls_due(
    database: Database, watch: Watch
) -> None:
    """For a fault in another; the session was open when the scan was made."""
    rows = list[Row]()
    item = Item("08801234567893", "EAN13")

    def faulty(_: Batch) -> None:
        raise KeyError

    async with at_rest(database, watch) as intake:
        intake.committed.append(rows.extend)
        await (await intake.submit(tap))
        watch.instant += SESSION - 1
        made = intake.clock.now()
        watch.instant += 2

        def scan(batch: Batch) -> None:
            batch.lapse("till-1", made)
            batch.happen(Scanned(uuid7(), made, "till-1", item, ANN))

        kept = [await intake.submit(work) for work in (lambda _: None, faulty, scan)]
        await asyncio.wait(kept)
    assert [row.kind for row in rows] == ["customer.identified", "cart.item_added"]


@pytest.mark.parametrize("later", [GATHER, 0.0], ids=["with it", "before it, which comes at the stop"])
async def test_what_a_forwarder_writes_of_its_cursor_is_newer_than_what_is_gathered(
    database: Database, watch: Watch, later: float
) -> None:
    """Else what is put aside would be sent again after a kill, or a stop."""

    def put_aside(batch: Batch) -> None:
        batch.connection.execute("INSERT OR REPLACE INTO cursor VALUES ('platform', 10)")

    async with at_rest(database, watch) as intake:
        intake.advance("platform", 5)
        watch.instant += later
        await (await intake.submit(put_aside))
        assert intake.cursor("platform") == (None if later else 5)
    with closing(sqlite3.connect(database.path)) as other:
        assert other.execute("SELECT seq FROM cursor").fetchall() == [(10,)]


async def test_a_reading_waits_in_line_for_another_program(database: Database, watch: Watch) -> None:
    async with at_rest(database, watch) as intake:
        with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            kept = await intake.submit(named("one", []), small=True)
            await turns()
            assert not kept.done()
            other.execute("COMMIT")
        async with asyncio.timeout(10):
            assert await kept == "one"


async def test_a_reading_with_a_fault_is_refused_and_the_next_is_kept(database: Database, watch: Watch) -> None:
    def faulty(_: Batch) -> None:
        raise KeyError

    async with at_rest(database, watch) as intake:
        with pytest.raises(Fault):
            await (await intake.submit(faulty, small=True))
        assert await (await intake.submit(named("one", []), small=True)) == "one"


async def test_a_fault_of_those_who_are_told_ends_the_intake_and_not_the_driver(
    database: Database, watch: Watch
) -> None:
    def faulty(_: list[Row]) -> None:
        raise KeyError

    async with at_rest(database, watch) as intake:
        (running,) = (task for task in asyncio.all_tasks() if "Intake.run" in repr(task))
        intake.committed.append(faulty)
        await intake.submit(named("one", []), small=True)
        await asyncio.wait((running,), timeout=10)
        assert isinstance(running.exception(), KeyError)


async def test_no_reading_carries_what_nobody_waits_for(database: Database, watch: Watch) -> None:
    order: list[str] = []
    async with at_rest(database, watch) as intake:
        acks = [await intake.submit(named("ack", order), small=True, patient=True) for _ in range(ENOUGH - 1)]
        intake.advance("platform", 1)
        assert (await intake.submit(named("scan", order), small=True)).done()
        await asyncio.sleep(0)
        assert order == ["scan"]
        assert intake.cursor("platform") == 1
        watch.instant += GATHER - 1.1 * RIDE
        await (await intake.submit(named("scan", order), small=True))
        assert order == ["scan", "scan"]
        await turns()
        watch.instant += 0.2 * RIDE
        count = intake.commits.count
        await (await intake.submit(named("scan", order), small=True))
        await asyncio.wait(acks)
        assert order == ["scan", "scan", "scan", *["ack"] * (ENOUGH - 1)]
        assert intake.commits.count == count + 1, "the last took them along"
        assert intake.cursor("platform") is None, "it is on the disk, with them"
        for _ in range(ENOUGH):
            last = await intake.submit(named("ack", order), small=True, patient=True)
        await last
        assert len(order) == 2 * ENOUGH + 2, "so many do not wait, as the broker may not give us more"


async def test_in_a_rush_the_acks_wait_for_the_readings_a_second_at_most(database: Database, watch: Watch) -> None:
    order: list[str] = []
    async with at_rest(database, watch) as intake:
        acks = [await intake.submit(named("ack", order), small=True, patient=True) for _ in range(WAITING)]
        scans = [await intake.submit(named("scan", order)) for _ in range(4 * LARGEST)]
        await asyncio.wait(scans[:LARGEST])
        assert "ack" not in order
        watch.instant += GATHER
        await asyncio.wait((*scans, *acks))
    rush = "".join(name[0] for name in order).rstrip("a")
    assert rush.count("a") == LARGEST, "what is due rides with them, and no more"


async def test_what_the_broker_took_is_noted_a_part_at_a_time(database: Database, watch: Watch) -> None:
    """After days without a broker it takes thousands at once, and no reading is to wait for all of them."""
    ids = [number.to_bytes(16) for number in range(2 * MARKS + 1)]
    noted = list[int]()

    def pushes(batch: Batch) -> None:
        batch.connection.executemany("INSERT INTO open_push VALUES (?, 1, NULL)", [(id,) for id in ids])

    async with at_rest(database, watch) as intake:
        await (await intake.submit(pushes))
        intake.pushed(ids)
        for _ in range(3):
            await turns()
            watch.instant += GATHER
            await (await intake.submit(lambda _: None, small=True))
            with closing(sqlite3.connect(database.path)) as other:
                noted += other.execute("SELECT count(*) FROM open_push WHERE pushed NOT NULL").fetchone()
    assert noted == [MARKS, 2 * MARKS, 2 * MARKS + 1]


async def test_what_is_held_too_long_goes_also_where_the_disk_refused_it_first(
    database: Database, watch: Watch
) -> None:
    """A pseudonym is not to stay because the commit in which it went was undone."""
    space = Space(database.path.parent, 100_000_000, 1_000_000)
    left = list[int]()

    def expire(batch: Batch) -> None:
        batch.connection.execute("DELETE FROM held")
        space.beside = 0 if left else 10**12
        left.append(held(batch.connection))

    def held(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT count(*) FROM held").fetchone()[0])

    async with at_rest(database, watch, space, expire) as intake:
        await (await intake.submit(lambda batch: batch.happen(Tapped(uuid7(), batch.now, "till-1", "nfc", None, "ab"))))
        watch.instant += SESSION + 1
        await (await intake.submit(lambda _: None))
        watch.instant += LATE
        with pytest.raises(Full):
            await (await intake.submit(lambda _: None))
        assert left == [0]
        with closing(sqlite3.connect(database.path)) as other:
            assert held(other) == 1
            watch.instant += RETRY
            await (await intake.submit(lambda _: None))
            assert held(other) == 0


async def test_what_was_taken_back_while_the_loop_stood_still_is_not_done(database: Database, watch: Watch) -> None:
    async with at_rest(database, watch) as intake:
        running = asyncio.create_task(intents.Intents(database, intake).run())
        put = partial(intents.put, action="close", arguments={}, staff="kim")
        intent = await (await intake.submit(put))
        await turns()
        watch.instant += intents.WAIT + 3.0
        await (await intake.submit(named("the next reading", [])))
        await turns()
        taken = await (await intake.submit(partial(intents.take_back, id=intent.id, staff="kim")))
        assert taken, "it was done before anybody was listened to"
        running.cancel()
        await asyncio.wait((running,))
