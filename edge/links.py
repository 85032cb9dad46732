"""The links to broker and platform: what goes out, what the feed brings in, and who hears that one is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from edge import directory
from edge.attribution import Attribution
from edge.batch import Batch
from edge.database import Database, Full
from edge.directory import Page
from edge.envelope import timestamp
from edge.intake import Intake
from edge.plan import Plan
from edge.ports import Unavailable
from edge.remote import Remote
from sync.backoff import Backoff
from sync.cart import Cart
from sync.configuration import Configuration
from sync.discovery import discovery
from sync.downlink import Downlink
from sync.forwarder import Forwarder, Sink
from sync.heartbeat import Pulse
from sync.line import Line
from sync.mqtt import Server
from sync.platform import Platform
from sync.uplink import Uplink

_NO_ROOM = 60.0
"""Seconds until a cache that did not fit is pulled again: each time it is written to the disk in vain."""
NUDGES = 1.0
"""Seconds between two nudges that are passed on."""


class Links:
    """Of one gateway; a part whose table is not in the configuration is not there.

    `server`: the broker; `stirred` is called when there is something to clear away; `pulse`: what its heartbeat tells.
    """

    def __init__(
        self,
        plan: Plan,
        version: str,
        server: Server | None,
        database: Database,
        intake: Intake,
        attribution: Attribution,
        stirred: Callable[[], None],
        pulse: Pulse,
        remote: Remote | None = None,
    ) -> None:
        config, store = plan.config, plan.config.store
        self._intake = intake
        self._attribution = attribution
        self._stirred = stirred
        self._reader = database.reader()
        self._platform: Platform | None = None
        self._downlink: Downlink | None = None
        self._configuration: Configuration | None = None
        self._line: Line | None = None
        self._cart: Cart | None = None
        self._nudging: asyncio.TimerHandle | None = None
        sinks: list[Sink] = []
        if limits := config.platform:
            self._platform = Platform(limits.url, plan.logins["platform"])
            since = partial(directory.position, self._reader)
            feed = since, self._apply, self._restart_feed, Backoff()
            self._downlink = Downlink(self._platform, store.id, limits.poll, *feed)
            self._line = Line(limits.url, plan.logins["platform"], lambda: intake.clock.now().time, self.pull_now)
            if remote:
                afar = limits.poll, remote.told, remote.offered, Backoff()
                self._configuration = Configuration(self._platform, store.id, store.gateway, *afar)
            sinks.append(Uplink(self._platform, limits.batch, limits.drain_per_second, limits.jitter))
        if server and config.cart:
            ours, prefix = (store.id, store.gateway, version), config.cart.discovery_prefix
            told = pulse, discovery(prefix, *ours) if prefix else None
            self._cart = Cart(server, *ours, config.cart.max_age, intake, self._nudge, *told)
            sinks.append(self._cart)
        refused = {"platform": attribution.refused}
        self.forwarders = [
            Forwarder(sink, database, intake, Backoff(), refused.get(sink.name, lambda *_: None)) for sink in sinks
        ]

        self._logins = plan.logins
        for name, login in self._logins.items():
            login.changed.append(partial(self._renew, name))

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Around all that runs."""
        return self._platform.opened() if self._platform else nullcontext()

    def start(self, group: asyncio.TaskGroup) -> None:
        for part in (self._line, self._downlink, self._configuration, *self.forwarders, *self._logins.values()):
            if part:
                group.create_task(part.run())

    def close(self) -> None:
        self._reader.close()

    def wake(self) -> None:
        """There is something to send."""
        for forwarder in self.forwarders:
            forwarder.wake()

    def pull_now(self) -> None:
        """The platform is there: nobody waits for it any longer. That the broker is there is not in question."""
        for pulled in (self._downlink, self._configuration):
            if pulled:
                pulled.nudge()
        for forwarder in self.forwarders:
            if not isinstance(forwarder.sink, Cart):
                forwarder.backoff.nudge()

    def push_again(self, seq: int) -> None:
        """The item is pushed next, if a broker is configured."""
        if self._cart:
            self._cart.push_again(seq)
            self.wake()

    async def resolve(self, pseudonym: str) -> None:
        """Asks the platform, once, who an unknown band is."""
        if self._downlink:
            await self._downlink.resolve(pseudonym)

    def states(self) -> object:
        """What a person is to see at once when it changes."""
        sinks = [(forwarder.health.state, forwarder.health.reason) for forwarder in self.forwarders]
        return self._line.up if self._line else None, sinks

    def age(self) -> float | None:
        """Seconds since the feed was seen to be up to date; None: never."""
        return directory.age(self._reader, self._intake.journal.elapsed(self._intake.clock.instant()))

    def report(self, parts: dict[str, Any]) -> dict[str, Any]:
        """`parts` of a status, with what is known of the links besides."""
        if self._cart:
            parts["sinks"]["cart"]["unknown_acks"] = self._cart.unknown_acks
        if self._downlink and self._line:
            line = self._line
            parts["feed"] = {"reachable": self._downlink.reachable, "age_seconds": self.age()}
            parts["line"] = {"up": line.up, "since": timestamp(line.since), "reason": line.reason}
        return parts

    def _renew(self, name: str) -> None:
        """What we show that side is new: if it refuses us, it is asked again now."""
        for pulled in (self._downlink, self._configuration):
            if pulled and name == "platform":
                pulled.renew()
        for forwarder in self.forwarders:
            if forwarder.sink.name == name:
                forwarder.backoff.renew()

    def _nudge(self) -> None:
        """Of many nudges one a second is passed on, the last of them always."""
        loop = asyncio.get_running_loop()
        if not self._nudging or self._nudging.when() <= loop.time():
            after = self._nudging.when() + NUDGES if self._nudging else 0.0
            self._nudging = loop.call_at(max(after, loop.time()), self.pull_now)

    async def _apply(self, page: Page, since: str | None) -> None:
        try:
            await self._kept(partial(self._learn, page=page, since=since))
        except Unavailable as error:
            if not directory.filling(self._reader, since):
                raise
            await self._restart_feed()  # what there is of it takes the room of taps and scans
            self._stirred()
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
