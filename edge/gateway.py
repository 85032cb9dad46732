"""The composition root: puts the parts of one gateway together and runs them."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from edge import aside, control, directory, journal, notify, people, presence, settings, status
from edge.attribution import Attribution
from edge.batch import Batch
from edge.clock import Clock, boot_id
from edge.cues import Cues, late_cue
from edge.database import Database, DatabaseError, Full
from edge.desk import Desk
from edge.devices import Devices
from edge.envelope import timestamp
from edge.floor import Rules
from edge.health import DriverHealth, Trouble
from edge.intake import Intake
from edge.intents import Intents
from edge.journald import EACH
from edge.kiosk import words
from edge.kiosk.condition import Condition, in_short
from edge.kiosk.history import History
from edge.kiosk.live import Live
from edge.links import Links
from edge.model import Outcome, Row, Scan
from edge.plan import Plan
from edge.reception import Reception
from edge.recorder import Recorder
from edge.remote import Remote
from edge.sound import Sound
from edge.space import Space
from edge.staff import NOTE, PUSH
from edge.training import Training, clear
from edge.unwritten import Unwritten
from edge.upkeep import Upkeep
from edge.version import VERSION
from edge.zones import Zones
from sync.heartbeat import Pulse
from sync.mqtt import Server

if TYPE_CHECKING:
    from edge.kiosk.shop import Shop

log = logging.getLogger(__name__)

_COUNT = 15.0
"""Seconds between two looks at how much waits, for the page's chart."""
_DRAIN = 4.0
"""Seconds in which what was read is committed at the stop."""


class Gateway:
    """One store's gateway. `run` works until it is cancelled."""

    def __init__(self, plan: Plan, database: Database, server: Server | None, remote: Remote | None = None) -> None:
        config, store = plan.config, plan.config.store
        self._remote = remote
        if remote:
            remote.ailing = self._ailing
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
            plan.key, settings.pattern(config.floor.loyalty), config.floor.labels, config.floor.late, plan.old_key
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
            {"nfc": settings.pattern(config.floor.bands), "code": settings.pattern(config.floor.loyalty)},
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
        heard = self._attribution, self._upkeep.stirred.set, Pulse(self._states, self._health)
        self._links = Links(plan, VERSION, server, database, self._intake, *heard, remote)
        self._condition = Condition(self._devices.beeping)
        self._history = History()
        self._known = self._intake.floor, self._intake.stays
        self._reports: asyncio.Queue[Row] = asyncio.Queue()
        self._background = asyncio.TaskGroup()
        self._stopping = False
        self.shop = self._shop(config.kiosk) if config.kiosk else None
        """What the staff's page may use, if there is one."""

    async def run(self) -> None:
        """Drivers and sinks stop first, then what was read is committed, then the rest stops."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._links.opened())
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
                self._links.close()
                self._reader.close()
                self._unwritten.close()

    def trouble(self) -> Trouble | None:
        """Why no reading can be taken now; None while any can."""
        if self._intake.trouble:
            return Trouble("disk", self._intake.trouble)
        lost = self._lost()
        return Trouble("readers", f"lost: {', '.join(lost)}") if lost and len(lost) == len(self._devices.all) else None

    def _lost(self) -> dict[str, str]:
        healths = [device.health for device in self._devices.all]
        return {health.driver: health.reason for health in healths if health.state == "lost"}

    def _ailing(self) -> dict[str, str]:
        """What a configuration could be to blame for."""
        return self._lost() | ({"journal": self._intake.trouble} if self._intake.trouble else {})

    async def status(self) -> dict[str, Any]:
        """What `cartwire status --json` prints."""
        sinks = {forwarder.sink.name: (forwarder.health, forwarder.cursor) for forwarder in self._links.forwarders}
        drivers = self._devices.healths()
        parts = await asyncio.to_thread(status.report, self.database, self._space, self._intake, sinks, drivers)
        trouble = self.trouble()
        takes = {"trouble": trouble and trouble.text, "refused": self._intake.trouble}
        return {
            "version": VERSION,
            **self._links.report(parts),
            **takes,
            "readings": self._reception.counts,
            "pages": len(self._live.pages),
            **({"remote": self._remote.report()} if self._remote else {}),
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
        self._links.wake()
        return count

    async def dismiss_all(self) -> dict[str, Any]:
        """Nobody may use the staff's page any more."""
        try:
            return {"count": await (await self._intake.submit(people.dismiss_all))}
        except Full as error:
            return {"error": f"the disk takes nothing now: {error}"}

    def record(self) -> AsyncIterator[dict[str, Any]]:
        """What is read from now on, as the `replay` driver plays it."""
        return self._recorder.lines(self._intake.clock.instant())

    def _start(self, group: asyncio.TaskGroup) -> None:
        self._devices.start(group, self._reception.emit, self._report)
        for part in (self._zones, self._training, self._live, self._intents, self._upkeep):
            group.create_task(part.run())
        if self._remote:
            group.create_task(self._remote.run())
        self._links.start(group)
        group.create_task(self._count())
        group.create_task(self._write_reports())
        group.create_task(notify.keep(self._progress, self._in_short))

    async def _progress(self) -> None:
        """Returns once loop, intake and writer have worked; a disk that refuses is no reason to start again."""
        with suppress(Full):
            await (await self._intake.submit(lambda _: None))

    def _in_short(self) -> str:
        sinks = [f"{forwarder.sink.name} {forwarder.health.state}" for forwarder in self._links.forwarders]
        trouble = self.trouble()
        return ", ".join([trouble.text if trouble else "takes taps and scans", *sinks])

    def _committed(self, rows: list[Row]) -> None:
        if any(not row.inside for row in rows):
            self._links.wake()
        if any(row.kind == "customer.erased" for row in rows):
            self._upkeep.stirred.set()
        for row in rows:
            if row.kind == NOTE and row.data["action"] == PUSH:
                self._links.push_again(row.data["seq"])
            if outcome := late_cue(row, self._intake.floor):
                self._cue(row.data["read_point"], outcome)
        self._recorder.committed(rows, self._intake.floor)
        if rows:
            self._live.committed()
        known, self._known = self._known, (self._intake.floor, self._intake.stays)
        if any(before is not now for before, now in zip(known, self._known, strict=True)):
            self._live.floor_changed()

    def _cue(self, read_point: str, outcome: Outcome) -> None:
        log.info("cue at %s: %s", read_point, outcome, extra=EACH)
        self._live.cue(read_point, outcome)
        self._devices.cue(read_point, outcome)

    def _ask(self, pseudonym: str) -> None:
        self._aside(self._links.resolve(pseudonym))

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
            pull=self._links.pull_now,
            restart=self._devices.restart,
            beep=self._devices.beep,
            train=self._train,
            desk=lambda text: asyncio.to_thread(self._desk.look_up, Scan(read_point=kiosk.read_point, text=text)),
            age=self._links.age,
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
        drivers = [(device.health.state, device.health.reason) for device in self._devices.all]
        return self.trouble(), self._intake.trouble, self._intake.clock.ok(), self._links.states(), drivers

    async def _conditions(self) -> dict[str, Any]:
        return self._condition.of(await self.status(), self._intake.clock.now().time)

    async def _health(self) -> dict[str, Any]:
        """What a heartbeat tells everybody."""
        now = self._intake.clock.now().time
        return {"time": timestamp(now), **in_short(await self._conditions())}

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


async def _watch(task: asyncio.Task[None]) -> None:
    """A fault of the intake ends everything: the process is to be started again."""
    await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()):
        raise error
