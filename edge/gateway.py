"""The composition root: puts the parts of one gateway together and runs them."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edge import aside, control, directory, journal, presence, status
from edge.attribution import Attribution
from edge.clock import Clock, boot_id
from edge.cues import Cues, late_cue
from edge.database import Database, DatabaseError, Full
from edge.desk import Desk
from edge.devices import Devices
from edge.directory import Page
from edge.envelope import timestamp
from edge.floor import Rules
from edge.health import DriverHealth
from edge.intake import Batch, Intake
from edge.intents import Intents
from edge.kiosk import words
from edge.kiosk.condition import Condition
from edge.kiosk.history import History
from edge.kiosk.live import Live
from edge.model import Outcome, Row, Scan
from edge.plan import Plan
from edge.ports import Unavailable
from edge.reception import Reception
from edge.recorder import Recorder
from edge.sound import Sound
from edge.space import Space
from edge.staff import NOTE, PUSH
from edge.training import Training, clear
from edge.unwritten import Unwritten
from edge.upkeep import Upkeep
from edge.zones import Zones
from sync.backoff import Backoff
from sync.cart import Cart
from sync.downlink import Downlink
from sync.forwarder import Forwarder, Sink
from sync.line import Line
from sync.mqtt import Server
from sync.platform import Platform
from sync.uplink import Uplink

if TYPE_CHECKING:
    from edge import settings
    from edge.kiosk.shop import Shop

log = logging.getLogger(__name__)

VERSION = version("cartwire")
_NO_ROOM = 60.0
"""Seconds until a cache that did not fit is pulled again: each time it is written to the disk in vain."""
NUDGES = 1.0
"""Seconds between two nudges that are passed on."""
_COUNT = 15.0
"""Seconds between two looks at how much waits, for the page's chart."""
_DRAIN = 4.0
"""Seconds in which what was read is committed at the stop."""


class Gateway:
    """One store's gateway. `run` works until it is cancelled."""

    def __init__(self, plan: Plan, database: Database, server: Server | None) -> None:
        config, store = plan.config, plan.config.store
        self._config = config
        self.database = database
        clock = Clock(boot_id(), 0.0)
        clock.base = clock.wall() - clock.instant()
        opened = database.write_now(
            lambda connection: journal.open_journal(
                connection,
                f"/stores/{store.id}/gateways/{store.gateway}",
                clock.now(),
                clock.wall(),
                [name for name, there in (("cart", config.cart), ("platform", config.platform)) if there],
            )
        )
        clock.base = opened.boot.base
        self._attribution = Attribution(
            plan.key, re.compile(config.floor.loyalty), config.floor.labels, config.floor.late
        )
        self._rules = rules = Rules(config.floor.session, config.floor.claim, store.language)
        self._space = Space(store.data, int(store.capacity), int(store.reserve))
        self._space.look()
        self._intake = Intake(
            database, clock, opened, self._space, rules, config.floor.late, expire=self._attribution.expire
        )
        speeds = [getattr(driver, "speed", 1.0) for _, driver in plan.drivers]
        self._intake.restore(min([1.0, *(speed for speed in speeds if speed > 0)]))
        self._intake.committed.append(self._committed)
        self._reader = database.reader()
        self._upkeep = Upkeep(
            database,
            self._intake,
            self._space,
            config.cart.max_age if config.cart else store.retention,
            store.retention,
            self._attribution.resolve,
        )
        self._unwritten = Unwritten(store.data, clock.now())
        p = config.presence
        beacons = presence.Rules(p.enter, p.leave, p.leave_after, p.silent, p.margin)
        owner, lately = partial(directory.owner, self._reader), journal.tail(self._reader, presence.CALM)
        self._zones = Zones(self._intake, beacons, owner, lately)
        self._intents = Intents(database, self._intake)
        self._live = Live(self._floor, self._conditions, self._states, self._pending)
        self._intents.changed.append(self._live.intents_changed)
        told = self._live.rehearsed, self._live.floor_changed
        self._training = Training(self._intake, self._attribution, rules, self._reader, *told)
        self._desk = Desk(self._attribution, database, self._live.desk, self._cue)
        self._reception = Reception(
            self._intake,
            self._attribution,
            {"nfc": re.compile(config.floor.bands), "code": re.compile(config.floor.loyalty)},
            self._cue,
            self._ask,
            self._unwritten,
            self._zones,
            self._reader,
            config.kiosk.read_point if config.kiosk else None,
            lambda reading: self._aside(self._desk.read(reading)),
            self._training,
        )
        self._recorder = Recorder()
        self._reception.answered.append(self._recorder.answered)
        self._zones.heard.append(self._recorder.heard)
        sounds = [Sound(tuple(shlex.split(config.cue.player)), config.cue.files)] if config.cue.files else []
        everywhere = [Cues("[cue]", sound) for sound in sounds]
        self._devices = Devices(plan.drivers, everywhere, lambda: clock.now().time)
        self._cart: Cart | None = None
        self._platform: Platform | None = None
        self._downlink: Downlink | None = None
        self._line: Line | None = None
        sinks: list[Sink] = []
        if config.platform:
            self._platform = Platform(config.platform.url, plan.platform_token, plan.platform_tls)
            self._downlink = Downlink(
                self._platform,
                store.id,
                config.platform.poll,
                partial(directory.position, self._reader),
                self._apply,
                self._restart_feed,
                Backoff(),
            )
            self._line = Line(config.platform.url, plan.platform_tls, lambda: clock.now().time, self._pull_now)
            limits = config.platform
            sinks.append(Uplink(self._platform, limits.batch, limits.drain_per_second, limits.jitter))
        if server and config.cart:
            nudge = self._nudge
            names = store.id, store.gateway, VERSION
            self._cart = Cart(server, *names, config.cart.max_age, self._intake, nudge)
            sinks.append(self._cart)
        refused = {"platform": self._attribution.refused}
        self._forwarders = [
            Forwarder(sink, database, self._intake, Backoff(), refused.get(sink.name, lambda *_: None))
            for sink in sinks
        ]
        self._condition = Condition(self._devices.beeping)
        self._history = History()
        self._known = self._intake.floor, self._intake.stays
        self._reports: asyncio.Queue[Row] = asyncio.Queue()
        self._background = asyncio.TaskGroup()
        self._nudging: asyncio.TimerHandle | None = None
        self._stopping = False
        self.shop = self._shop(config.kiosk) if config.kiosk else None
        """What the staff's page may use, if there is one."""

    async def run(self) -> None:
        """Drivers and sinks stop first, then what was read is committed, then the rest stops."""
        async with AsyncExitStack() as stack:
            if self._platform:
                await stack.enter_async_context(self._platform.opened())
            intake = asyncio.create_task(self._intake.run(), name="intake")
            try:
                async with self._background as group:
                    group.create_task(_watch(intake))
                    self._start(group)
            finally:
                self._stopping = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN):
                        last = await self._intake.submit(lambda _: None)
                        await asyncio.wait((intake, last), return_when=asyncio.FIRST_COMPLETED)
                        last.add_done_callback(lambda done: done.cancelled() or done.exception())
                intake.cancel()
                await asyncio.wait((intake,))
                self._reader.close()
                self._unwritten.close()

    def trouble(self) -> str | None:
        """Why no reading can be taken now; None while any can."""
        if self._intake.trouble:
            return self._intake.trouble
        lost = [device.health.driver for device in self._devices.all if device.health.state == "lost"]
        return f"lost: {', '.join(lost)}" if lost and len(lost) == len(self._devices.all) else None

    async def status(self) -> dict[str, Any]:
        """What `cartwire status --json` prints."""
        sinks = {forwarder.sink.name: (forwarder.health, forwarder.cursor) for forwarder in self._forwarders}
        drivers = self._devices.healths()
        parts = await asyncio.to_thread(status.report, self.database, self._space, self._intake, sinks, drivers)
        if self._cart:
            parts["sinks"]["cart"]["unknown_acks"] = self._cart.unknown_acks
        if self._downlink and self._line:
            line = self._line
            parts["feed"] = {"reachable": self._downlink.reachable, "age_seconds": self._age()}
            parts["line"] = {"up": line.up, "since": timestamp(line.since), "reason": line.reason}
        takes = {"trouble": self.trouble(), "refused": self._intake.trouble}
        return {
            "version": VERSION,
            **parts,
            **takes,
            "readings": self._reception.counts,
            "pages": len(self._live.pages),
        }

    @property
    def answers(self) -> control.Answers:
        """What the commands may ask."""
        return {"status": self.status, "rejected": self.rejected, "record": self.record}

    async def rejected(self, what: str, *ids: str) -> dict[str, Any]:
        """Has what was refused tried again, or drops it; without ids all of it."""
        try:
            return {"count": await self._rejected(what, ids)}
        except Full as error:
            return {"error": f"the disk takes nothing now: {error}"}

    async def _rejected(self, what: str, ids: Sequence[str]) -> int:
        """How many. Raises Full."""

        def work(batch: Batch) -> int:
            chosen = aside.listed(batch.connection, ids)
            for row in chosen:
                if what == "retry":
                    aside.again(batch.connection, row.sink, [row.seq], aside.ASKED)
                else:
                    aside.drop(batch.connection, row.sink, [row.seq])
            return len(chosen)

        count = await (await self._intake.submit(work))
        self._wake()
        return count

    def record(self) -> AsyncIterator[dict[str, Any]]:
        """What is read from now on, as the `replay` driver plays it."""
        return self._recorder.lines(self._intake.clock.instant())

    def _start(self, group: asyncio.TaskGroup) -> None:
        self._devices.start(group, self._reception.emit, self._report)
        for part in (self._zones, self._training, self._live, self._intents):
            group.create_task(part.run())
        group.create_task(self._count())
        if self._line:
            group.create_task(self._line.run())
        group.create_task(self._write_reports())
        for forwarder in self._forwarders:
            group.create_task(forwarder.run())
        if self._downlink:
            group.create_task(self._downlink.run())
        group.create_task(self._upkeep.run())

    def _committed(self, rows: list[Row]) -> None:
        if any(not row.inside for row in rows):
            self._wake()
        if any(row.kind == "customer.erased" for row in rows):
            self._upkeep.stirred.set()
        for row in rows:
            if self._cart and row.kind == NOTE and row.data["action"] == PUSH:
                self._cart.push_again(row.data["seq"])
                self._wake()
            if outcome := late_cue(row, self._intake.floor):
                self._cue(row.data["read_point"], outcome)
        self._recorder.committed(rows, self._intake.floor)
        if rows:
            self._live.committed()
        known, self._known = self._known, (self._intake.floor, self._intake.stays)
        if any(before is not now for before, now in zip(known, self._known, strict=True)):
            self._live.floor_changed()

    def _wake(self) -> None:
        for forwarder in self._forwarders:
            forwarder.wake()

    def _cue(self, read_point: str, outcome: Outcome) -> None:
        log.info("cue at %s: %s", read_point, outcome)
        self._live.cue(read_point, outcome)
        self._devices.cue(read_point, outcome)

    def _ask(self, pseudonym: str) -> None:
        if self._downlink:
            self._aside(self._downlink.resolve(pseudonym))

    def _nudge(self) -> None:
        """Of many nudges one a second is passed on, the last of them always."""
        loop = asyncio.get_running_loop()
        if not self._nudging or self._nudging.when() <= loop.time():
            after = self._nudging.when() + NUDGES if self._nudging else 0.0
            self._nudging = loop.call_at(max(after, loop.time()), self._pull_now)

    def _pull_now(self) -> None:
        """The platform is there: nobody waits for it any longer. That the broker is there is not in question."""
        if self._downlink:
            self._downlink.nudge()
        for forwarder in self._forwarders:
            if not isinstance(forwarder.sink, Cart):
                forwarder.backoff.nudge()

    def _aside(self, work: Coroutine[Any, Any, object]) -> None:
        """Work that nothing waits for; at the end nobody sees it any more."""
        if self._stopping:
            work.close()
        else:
            self._background.create_task(work)

    async def _report(self, health: DriverHealth, read_point: str, kind: str, reason: str) -> None:
        data = {"driver": health.driver, "reason": reason, "read_point": read_point}
        row = Row(kind, self._intake.clock.now(), data, live=False)
        self._reports.put_nowait(row)

    async def _write_reports(self) -> None:
        """One after the other, each as soon as the disk takes it."""
        while True:
            rows = [await self._reports.get()]
            await self._intake.insist(partial(Batch.write, rows=rows))

    async def _apply(self, page: Page, since: str | None) -> None:
        try:
            await self._kept(partial(self._learn, page=page, since=since))
        except Unavailable as error:
            if not directory.filling(self._reader, since):
                raise
            await self._restart_feed()  # what there is of it takes the room of taps and scans
            self._upkeep.stirred.set()
            raise Unavailable(f"the cache does not fit: {error}", retry_after=_NO_ROOM, state="full") from None

    def _learn(self, batch: Batch, page: Page, since: str | None) -> None:
        self._attribution.learn(batch, page, since)
        if not page.more:
            directory.up_to_date(batch.connection, batch.journal.elapsed(batch.now.instant))

    async def _restart_feed(self) -> None:
        await self._kept(lambda batch: directory.restart(batch.connection))

    async def _kept(self, work: Any) -> None:
        try:
            await (await self._intake.submit(work))
        except Full as error:
            raise Unavailable(f"the disk is full: {error}", retry_after=10, state="full") from None

    def _shop(self, kiosk: settings.Kiosk) -> Shop:
        from edge.kiosk.shop import Shop

        return Shop(
            store=self._config.store,
            kiosk=kiosk,
            version=VERSION,
            database=self.database,
            intake=self._intake,
            attribution=self._attribution,
            intents=self._intents,
            live=self._live,
            status=self._conditions,
            floor=self._floor,
            history=self._last_hour,
            pull=self._pull_now,
            restart=self._devices.restart,
            beep=self._devices.beep,
            train=self._train,
            desk=lambda text: asyncio.to_thread(self._desk.look_up, Scan(read_point=kiosk.read_point, text=text)),
            age=self._age,
            retry=partial(self._rejected, "retry"),
        )

    def _floor(self) -> dict[str, Any]:
        now, kiosk = self._intake.clock.instant(), self._config.kiosk
        return words.floor(
            self._reader,
            self._devices.read_points,
            {**self._intake.floor, **self._training.floor},
            self._intake.stays,
            lambda session: session.last + self._rules.session - now,
            self._training.left,
            kiosk.read_point if kiosk else "",
        )

    def _states(self) -> object:
        """What a person is to see at once when it changes."""
        sinks = [(forwarder.health.state, forwarder.health.reason) for forwarder in self._forwarders]
        drivers = [(device.health.state, device.health.reason) for device in self._devices.all]
        line = self._line.up if self._line else None
        return self.trouble(), self._intake.trouble, self._intake.clock.ok(), line, sinks, drivers

    async def _conditions(self) -> dict[str, Any]:
        return self._condition.of(await self.status(), self._intake.clock.now().time)

    def _pending(self, connection: sqlite3.Connection) -> list[dict[str, Any]]:
        return [intent.shown() for intent in self._intents.pending(connection)]

    async def _last_hour(self) -> dict[str, Any]:
        clock = self._intake.clock
        self._history.look(clock.instant(), (await self._conditions())["queued"], self._reception.counts)
        return self._history.report(clock.instant(), clock.now().time / 1000)

    async def _count(self) -> None:
        while True:
            with suppress(DatabaseError):  # what can be read later is counted then
                await self._last_hour()
            await asyncio.sleep(_COUNT)

    def _train(self, read_point: str, on: bool) -> None:
        if on:
            self._training.begin(read_point)
            self._aside(self._intake.insist(partial(clear, read_point=read_point)))
        else:
            self._training.end(read_point)

    def _age(self) -> float | None:
        return directory.age(self._reader, self._intake.journal.elapsed(self._intake.clock.instant()))


async def _watch(task: asyncio.Task[None]) -> None:
    """A fault of the intake ends everything: the process is to be started again."""
    await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()):
        raise error
