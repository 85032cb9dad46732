"""Journal -> one sink, for ever: fetch what comes after the cursor, deliver it, then move the cursor.

A crash between the two repeats a delivery and never loses one; receivers drop what they have.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from edge import aside
from edge.batch import Batch
from edge.database import Database, Full
from edge.health import SinkHealth, SinkState
from edge.intake import Intake
from edge.journal import Stored, cursor_of
from edge.journald import about
from edge.ports import Unavailable
from sync.backoff import Backoff

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a delivery, by `seq`.

    All up to `seq` is settled. `aside` were refused, with the reason; `back` are those aside that are to be tried
    again before anything else; `taken` were aside before.
    """

    seq: int
    aside: tuple[tuple[int, str], ...] = ()
    back: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()


class Sink(Protocol):
    """Where events go. Both methods raise Unavailable."""

    name: str

    def connected(self, wake: asyncio.Event) -> AbstractAsyncContextManager[object]:
        """Entered before anything is fetched; left at any trouble, which it may tell by setting `wake`."""

    def fetch(self, connection: sqlite3.Connection, cursor: int) -> list[Stored]:
        """What is to be delivered next, in order: what was put aside and is to be tried again, or what is new."""

    async def deliver(self, events: list[Stored]) -> Delivery:
        """Delivers them, or some of them from the first on."""

    async def rest(self, wake: asyncio.Event) -> None:
        """Returns when there may be something to do again."""


class Forwarder:
    """Runs one sink. `wake` tells it that there is something new.

    `refused` runs in the batch in which rows are put aside, given their seqs.
    """

    def __init__(
        self,
        sink: Sink,
        database: Database,
        intake: Intake,
        backoff: Backoff,
        refused: Callable[[Batch, list[int]], None] = lambda *_: None,
    ) -> None:
        self.health = SinkHealth(intake.clock.now().time)
        self.sink = sink
        self.cursor = 0
        self.backoff = backoff
        self._database = database
        self._intake = intake
        self._refused = refused
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        reader = self._database.reader()
        self.cursor = cursor_of(reader, self.sink.name)
        try:
            while True:
                try:
                    async with self.sink.connected(self._wake):
                        await self._drain(reader)
                except Unavailable as error:
                    self._say(error.state, str(error))
                    await self.backoff.wait(error)
        finally:
            reader.close()

    async def _drain(self, reader: sqlite3.Connection) -> None:
        while True:
            self._wake.clear()
            newest = self._intake.newest
            events = self.sink.fetch(reader, self.cursor)
            if not events:
                if newest > self.cursor:
                    self.cursor = newest
                    self._intake.advance(self.sink.name, newest)
                self._say("ok")
                await self.sink.rest(self._wake)
                continue
            delivery = await self.sink.deliver(events)
            self._say("ok")
            if delivery.aside or delivery.back or delivery.taken:
                await self._put_aside(delivery)
            if delivery.seq > self.cursor:
                self.cursor = delivery.seq
                self._intake.advance(self.sink.name, self.cursor)

    async def _put_aside(self, delivery: Delivery) -> None:
        """Kept before the cursor passes them. A full disk waits: nothing accepted is dropped."""
        name = self.sink.name
        for seq, _ in delivery.aside:  # the reason is the other side's words, which may name a customer
            log.error("%s: event %d is put aside; `cartwire rejected list` says why", name, seq, extra=about(sink=name))

        try:
            seq = max(self.cursor, delivery.seq)
            await (await self._intake.submit(partial(self._keep, seq=seq, delivery=delivery)))
        except Full as error:
            raise Unavailable(f"the disk is full: {error}", retry_after=10, state="full") from None

    def _keep(self, batch: Batch, seq: int, delivery: Delivery) -> None:
        """With the cursor, so that nothing is both aside and sent again."""
        sink = self.sink.name
        batch.connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (sink, seq))
        aside.put(batch.connection, sink, delivery.aside)
        aside.again(batch.connection, sink, delivery.back, aside.TAKEN_BACK)
        aside.drop(batch.connection, sink, delivery.taken, delivered=True)
        self._refused(batch, [seq for seq, _ in delivery.aside])

    def _say(self, state: SinkState, reason: str = "") -> None:
        """Logs transitions only."""
        if state == "ok":
            self.backoff.succeeded()
        if state != self.health.state:
            name, level = self.sink.name, logging.INFO if state == "ok" else logging.WARNING
            log.log(level, "%s: %s %s", name, state, reason, extra=about(sink=name, state=state))
            self.health.since = self._intake.clock.now().time
        self.health.state, self.health.reason = state, reason
