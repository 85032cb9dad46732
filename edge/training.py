"""Training: at some read points readings go to a rehearsal in memory, and nothing of it is kept or sent.

The rules are the shop's own: a rehearsal is a `Batch` whose rows move its own floor, and go to the pages alone. It ends
when staff say so, after half an hour, and with the process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from math import inf

from edge.attribution import Attribution, Observation
from edge.batch import Batch
from edge.floor import Closed, Floor, Rules, Tapped, due, evolve
from edge.identity import uuid7
from edge.intake import Intake
from edge.model import Row

LONGEST = 1800.0
"""Seconds that training lasts at most."""


class Rehearsal(Batch):
    """A batch that appends nothing. Its connection is a reader's, so that nothing could."""

    def write(self, rows: Iterable[Row]) -> list[Row]:
        named = [row if row.id else replace(row, id=uuid7()) for row in rows]
        for row in named:
            self.floor = evolve(self.floor, row)
        self.written += named
        return named


class Training:
    """`told` hears of the rows of the rehearsal, `changed` of its beginnings and ends and of its floor."""

    def __init__(
        self,
        intake: Intake,
        attribution: Attribution,
        rules: Rules,
        reader: sqlite3.Connection,
        told: Callable[[list[Row]], None],
        changed: Callable[[], None],
    ) -> None:
        self.floor: Floor = {}
        self._intake = intake
        self._attribution = attribution
        self._rules = rules
        self._reader = reader
        self._told = told
        self._changed = changed
        self._ends: dict[str, float] = {}
        self._stirred = asyncio.Event()

    def __contains__(self, read_point: object) -> bool:
        return read_point in self._ends

    def left(self, read_point: str) -> float | None:
        """Seconds until training ends there; None if there is none."""
        ends = self._ends.get(read_point)
        return None if ends is None else max(0.0, ends - self._intake.clock.instant())

    def begin(self, read_point: str) -> None:
        """What is read there from now on is not kept; `clear` has to follow. Begun again it lasts as long again."""
        self._ends[read_point] = self._intake.clock.instant() + LONGEST
        self._turned()

    def end(self, read_point: str) -> None:
        if self._ends.pop(read_point, None) is not None:
            self.floor = {at: spot for at, spot in self.floor.items() if at != read_point}
            self._turned()

    def observe(self, seen: Observation) -> None:
        """A reading at a read point in training."""
        rehearsal = self._rehearsal()
        self._attribution.observe(rehearsal, seen)
        self._adopt(rehearsal)
        self._stirred.set()

    async def run(self) -> None:
        """Timeouts fall when they are due, and training ends, until cancelled."""
        while True:
            self._stirred.clear()
            wait = self._next() - self._intake.clock.instant()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait == inf else max(wait, 0.0)):
                    await self._stirred.wait()
            now = self._intake.clock.instant()
            for read_point in [at for at, ends in self._ends.items() if ends <= now]:
                self.end(read_point)
            rehearsal = self._rehearsal()
            for read_point in self.floor.keys() - self._intake.own_time:
                rehearsal.lapse(read_point, rehearsal.now)
            self._adopt(rehearsal)

    def _next(self) -> float:
        own = self._intake.own_time
        return min(
            [*self._ends.values(), *(due(s, self._rules) for at, s in self.floor.items() if at not in own)] or [inf]
        )

    def _rehearsal(self) -> Rehearsal:
        intake = self._intake
        return Rehearsal(self._reader, intake.journal, self._rules, self.floor, intake.clock.now(), intake.newest)

    def _adopt(self, rehearsal: Rehearsal) -> None:
        if rehearsal.floor is not self.floor:
            self.floor = rehearsal.floor
            self._changed()
        if rehearsal.written:
            self._told(rehearsal.written)

    def _turned(self) -> None:
        self._stirred.set()
        self._changed()


def clear(batch: Batch, read_point: str) -> None:
    """The read point as training finds it: the session ends, and what waits there for a tap is nobody's."""
    batch.happen(Closed(batch.now, read_point))
    batch.happen(Tapped(uuid7(), batch.now, read_point, "nfc"))
