"""One life of the daemon: the real parts, put together as the composition root does, in the world's time."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from edge import directory, journal, presence, staff
from edge.attribution import Attribution
from edge.batch import Batch
from edge.clock import Clock
from edge.database import FILE, Database, Full
from edge.floor import Rules
from edge.intake import Intake
from edge.intents import Intents
from edge.model import Reading, Row
from edge.ports import Unavailable
from edge.reception import Reception
from edge.space import Space
from edge.unwritten import Unwritten
from edge.upkeep import Upkeep
from edge.zones import Zones
from model import CLAIM, LATE, SESSION
from peers.store import KEY
from simulated.broker import Broker
from simulated.clock import Clocks
from simulated.disk import Disk, Writer
from simulated.loop import Loop
from simulated.platform import Platform
from sync.backoff import Backoff
from sync.cart import Cart
from sync.downlink import Downlink
from sync.forwarder import Forwarder, Sink
from sync.mqtt import Server
from sync.uplink import Uplink

SOURCE = "/stores/gangnam/gateways/gw-1"
MAX_AGE, RETENTION = 86_400.0, 21_600.0
LOYALTY = re.compile("^KR[0-9]{10}$")
FORMS = {"nfc": re.compile("^04[0-9A-F]{12}$"), "code": LOYALTY}


class Process:
    """On the file in `folder`. `page` hears of each page that is kept: its changes, whether it is a full pull's first,
    whether more come; `committed` of each commit; `done` of each intent whose time has come, and whether the row is
    there that it is about; `rejected` of each event that the platform rejected.
    """

    def __init__(
        self,
        folder: Path,
        clocks: Clocks,
        broker: Broker,
        platform: Platform,
        page: Callable[..., None],
        committed: Callable[[], None],
        done: Callable[[str, bool], None],
        rejected: Callable[[str], None],
    ) -> None:
        self.folder, self.clocks, self._broker = folder, clocks, broker
        self._page, self._look, self._done, self._rejected = page, committed, done, rejected
        self.loop = Loop(clocks)
        self.loop.set_default_executor(Writer(1))
        self.faults: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(str(context)))
        self.database = Database(folder / FILE, lambda: 0.0)
        self.disk = Disk(self.database._writer)
        self.database._writer = cast(Any, self.disk)
        self.writer = cast(Writer, self.database._thread)
        self.reader = self.database.reader()
        clock = Clock(clocks.boot, clocks.at_zero, self.loop.time, clocks.wall, lambda: clocks.ok)
        opened = self.database.write_now(
            lambda connection: journal.open_journal(connection, SOURCE, clock.now(), clock.wall(), ["cart", "platform"])
        )
        clock.base = opened.boot.base
        attribution = Attribution(KEY, LOYALTY, (), LATE)
        space, rules = Space(folder, 10**10, 10**7), Rules(SESSION, CLAIM)
        intake = Intake(self.database, clock, opened, space, rules, LATE, expire=attribution.expire)
        intake.restore()
        intake.committed.append(self._committed)
        self.attribution, self.intake, self.space = attribution, intake, space
        self.upkeep = Upkeep(self.database, intake, space, MAX_AGE, RETENTION, attribution.resolve)
        telling = cast(Any, SimpleNamespace(clock=clock, own_time=intake.own_time, submit=self._submit))
        self._unwritten = Unwritten(folder, clock.now())
        owner, lately = partial(directory.owner, self.reader), journal.tail(self.reader, presence.CALM)
        self.zones = Zones(intake, presence.Rules(), owner, lately)
        asking, known = (lambda *_: None, self._ask), (self._unwritten, self.zones, self.reader)
        self.reception = Reception(telling, attribution, FORMS, *asking, *known)
        server = Server("broker", 1883, "cartwire-gangnam-gw-1", v5=True, session_expiry=int(MAX_AGE))
        uplink = Uplink(cast(Any, platform), 500, 0, 0.0, instant=clock.instant)
        cart = Cart(server, "gangnam", "gw-1", "1", MAX_AGE, intake, self._nudge)
        sinks: list[tuple[Sink, Any]] = [(uplink, platform), (cart, broker)]
        refused = {"platform": self._refused}
        self._forwarders = [
            Forwarder(sink, self.database, intake, _backoff(peer), refused.get(sink.name, lambda *_: None))
            for sink, peer in sinks
        ]
        intending = {"insist": self._insist, "journal": opened, "clock": clock, "committed": intake.committed}
        self._cart, self.intents = cart, Intents(self.database, cast(Any, SimpleNamespace(**intending)))
        since = partial(directory.position, self.reader)
        feed = self._apply, self._restart_feed, _backoff(platform)
        self._downlink = Downlink(cast(Any, platform), "gangnam", 1800.0, since, *feed)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Everything runs, and what can be done at once is done."""
        parts = self.intake, self.zones, *self._forwarders, self._downlink, self.upkeep, self.intents
        self._tasks = [self.loop.create_task(part.run()) for part in parts]
        self.run_to(self.clocks.instant)

    def doom(self, how: str) -> None:
        """It dies `before` or `after` its next commit, which is the writer's then."""
        self.writer.death, self.database._slow_until = how, math.inf if how else 0.0

    def run_to(self, instant: float) -> None:
        self.loop.run_to(instant)
        ended = [task for task in self._tasks if task.done()]
        assert self.writer.death or not (ended or self.faults), (ended, self.faults)

    def do(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """All that can be done now is done."""
        task = self.loop.create_task(work)
        self.run_to(self.clocks.instant)
        return task

    def emit(self, reading: Reading) -> asyncio.Task[object]:
        """A driver emits what no model is told of."""
        return self.do(self.reception.emit(reading))

    async def read(self, reading: Reading, written: Callable[[], object], refused: Callable[[], object]) -> None:
        """A driver emits; `written` is called at its commit, `refused` if the disk has no room."""
        self._telling = written, refused
        await self.reception.emit(reading)

    def ask(self, work: Callable[[Batch], Any], told: Callable[[Any], object]) -> None:
        """Staff want something; `told` is called at its commit with what came of it, None if it was refused."""

        def telling(batch: Batch) -> None:
            came = None
            try:
                came = work(batch)
            finally:
                self.disk.then.append(partial(told, came))

        async def asking() -> None:
            with suppress(Full, staff.Refused):
                await staff.ask(self.intake, telling)

        self.do(asking())

    def stop(self) -> None:
        """SIGTERM: the sinks stop first, what was read is committed, then the rest."""
        intake, *others = self._tasks
        self._tasks = []
        self._cancel(others)
        assert self.do(self.intake.submit(lambda _: None)).done()
        self._close([intake])

    def kill(self, into: Path) -> None:
        """Power or SIGKILL: only what is in the files is left. What ends here ends on files nobody reads."""
        self._broker.drop()
        shutil.copytree(self.folder, into, ignore=shutil.ignore_patterns("*-shm"))
        tasks = [*asyncio.all_tasks(self.loop)]  # held, as the loop itself holds them weakly
        self.doom("")
        self.disk.full, self._tasks = False, []
        self._close(tasks)

    def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        self._cancel(tasks)
        self.reader.close()
        self.database.close()
        self._unwritten.close()
        self.loop.close()

    def _cancel(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        self.run_to(self.clocks.instant)
        assert all(task.done() for task in tasks), [task for task in tasks if not task.done()]

    async def _submit(self, work: Callable[[Batch], Any], **how: bool) -> asyncio.Future[Any]:
        written, refused = self._telling

        def told(batch: Batch) -> Any:
            self.disk.then.append(written)
            return work(batch)

        kept = await self.intake.submit(told, **how)
        kept.add_done_callback(lambda done: self._refuse(refused) if done.exception() else None)
        return kept

    def _refuse(self, refused: Callable[[], object]) -> None:
        self.faults += [] if self.disk.full else ["refused although there is room"]
        refused()

    async def _insist(self, work: Any) -> bool:
        def told(batch: Batch) -> None:
            id = work.keywords["id"]
            found = batch.connection.execute("SELECT arguments FROM intent WHERE id = ?", (id,)).fetchone()
            if found:
                about = json.loads(found[0])
                self.disk.then.append(partial(self._done, id, there(batch.connection, about.get("seq"))))
            work(batch)

        return await self.intake.insist(told)

    def _refused(self, batch: Batch, seqs: list[int]) -> None:
        self.attribution.refused(batch, seqs)
        for seq in seqs:
            (id,) = batch.connection.execute("SELECT id FROM row WHERE seq = ?", (seq,)).fetchone()
            self.disk.then.append(partial(self._rejected, str(uuid.UUID(bytes=id))))

    def _committed(self, rows: list[Row]) -> None:
        self._look()
        notes = [row.data for row in rows if row.kind == staff.NOTE]
        again = [data["seq"] for data in notes if data["action"] == staff.PUSH]
        for seq in again:
            self._cart.push_again(seq)
        if again or any(not row.inside for row in rows):
            for forwarder in self._forwarders:
                forwarder.wake()
        if any(row.kind == "customer.erased" for row in rows):
            self.upkeep.stirred.set()

    def _ask(self, unknown: str) -> None:
        self.loop.create_task(self._downlink.resolve(unknown))

    def _nudge(self) -> None:
        self._downlink.nudge()
        for forwarder in self._forwarders:
            forwarder.backoff.nudge()

    async def _apply(self, page: directory.Page, since: str | None) -> None:
        told = partial(self._page, [json.loads(bytes(change)) for change in page.changes], since is None, page.more)

        def work(batch: Batch) -> None:
            self.attribution.learn(batch, page, since)
            self.disk.then.append(told)

        await self._kept(work)

    async def _restart_feed(self) -> None:
        await self._kept(lambda batch: directory.restart(batch.connection))

    async def _kept(self, work: Callable[[Batch], None]) -> None:
        try:
            await (await self.intake.submit(work))
        except Full as error:
            raise Unavailable(str(error), retry_after=10) from None


def there(connection: sqlite3.Connection, seq: int | None) -> bool:
    """Whether the row, if any is meant, was not pruned."""
    return seq is None or connection.execute("SELECT 1 FROM row WHERE seq = ?", (seq,)).fetchone() is not None


def _backoff(peer: Broker | Platform) -> Backoff:
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        while not peer.online:  # noqa: ASYNC110  # trying in vain is nothing but slow
            await asyncio.sleep(30)

    return Backoff(sleep=sleep, chance=random.Random(1))
