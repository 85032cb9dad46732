"""What has to be looked after now and then: the clock becoming right, what is too old or to be erased, free space."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from edge import directory, erasure, journal
from edge.batch import Batch
from edge.database import Database, Full, shrink
from edge.intake import Intake
from edge.journal import STEP, Boot
from edge.journald import about
from edge.space import ERASED, Space

log = logging.getLogger(__name__)

_CLOCK = ("no longer synchronised", "right now")

EVERY = 10.0
"""Seconds between two looks."""
SOON = 1.0
"""The same while something waits to be erased."""


@dataclass(slots=True)
class Upkeep:
    """`adjusted` runs in the batch in which the clock became right. Seconds."""

    database: Database
    intake: Intake
    space: Space
    max_age: float
    retention: float
    adjusted: Callable[[Batch], None]
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is something to erase."""

    async def run(self) -> None:
        """Looks for ever."""
        was_ok = self.intake.clock.ok()
        while True:
            self.stirred.clear()
            ok = self.intake.clock.ok()
            if ok != was_ok:
                state = "ok" if ok else "unsynchronised"
                log.warning("the clock is %s", _CLOCK[ok], extra=about(clock="system", state=state))
            was_ok = ok
            waits = False
            with suppress(Full):
                await self._set_right(ok=ok)
                await asyncio.to_thread(self.space.look)
                while await (await self.intake.submit(self._clear)):
                    pass
                waits = await self._erase()
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON if waits else EVERY):
                    await self.stirred.wait()

    async def _set_right(self, *, ok: bool) -> None:
        def work(batch: Batch) -> Boot | None:
            batch.journal.note_wall(batch.connection, batch.now)
            wall = self.intake.clock.wall()
            mended = journal.set_right(batch.connection, batch.journal.boot, batch.now, wall) if ok else None
            if mended is None:
                return None
            batch.write([mended[1]])
            self.adjusted(batch)
            return mended[0]

        boot = await (await self.intake.submit(work))
        self.intake.journal.boot = boot or self.intake.journal.boot

    def _clear(self, batch: Batch) -> bool:
        """A step; whether there are more."""
        elapsed = batch.journal.elapsed(batch.now.instant)
        more = batch.journal.drop_old(batch.connection, elapsed, self.max_age, self.retention)
        more |= directory.sweep(batch.connection, STEP)
        return shrink(batch.connection) or more

    def _told(self) -> bool:
        """Copies of the database are to be made anew; whether that could be said."""
        with suppress(OSError):
            (self.space.data / ERASED).touch(mode=0o600)
            descriptor = os.open(self.space.data, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(descriptor)
            os.close(descriptor)
            return True
        return False

    async def _erase(self) -> bool:
        """Blanks what is accepted by now; whether something is left to do."""
        while await (await self.intake.submit(lambda batch: erasure.step(batch.connection, batch.journal.sinks))):
            pass
        mark = await (await self.intake.submit(lambda batch: erasure.unscrubbed(batch.connection)))
        if mark and await self.database.scrub() and await asyncio.to_thread(self._told):
            await (await self.intake.submit(lambda batch: erasure.scrubbed(batch.connection, mark)))
            mark = 0
        left = await (await self.intake.submit(lambda batch: erasure.pending(batch.connection)))
        return left or mark > 0
