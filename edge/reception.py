"""Where readings arrive: stamped, stripped of raw identifiers, put in line, and answered with a cue."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from re import Pattern

from edge import identity
from edge.attribution import Answer, Attribution, Observation
from edge.batch import Batch
from edge.database import Full
from edge.intake import Intake
from edge.model import Lapse, Outcome, Reading, Ready, Scan, Sighting, Tap
from edge.training import Training
from edge.unwritten import Unwritten
from edge.zones import Zones

log = logging.getLogger(__name__)


class Reception:
    """Takes readings from all drivers. `cue` shows an outcome at a read point, `asked` hears of unknown taps.

    `answered` are told of each reading and what became of it. What is read at the read point `aside` goes to `desk`,
    what is read where there is training to the rehearsal: neither is counted or kept.
    """

    def __init__(
        self,
        intake: Intake,
        attribution: Attribution,
        forms: Mapping[str, Pattern[str]],
        cue: Callable[[str, Outcome], None],
        asked: Callable[[str], None],
        unwritten: Unwritten,
        zones: Zones,
        reader: sqlite3.Connection,
        aside: str | None = None,
        desk: Callable[[Tap | Scan], None] = lambda _: None,
        training: Training | None = None,
    ) -> None:
        self.answered: list[Callable[[Observation, Answer], None]] = []
        self.counts: dict[str, int] = {"scans": 0, "taps": 0, "unknown": 0, "cannot": 0}
        self._intake = intake
        self._attribution = attribution
        self._forms = forms
        self._cue = cue
        self._asked = asked
        self._aside = aside
        self._desk = desk
        self._training = training
        self._unwritten = unwritten
        self._zones = zones
        self._reader = reader

    async def emit(self, reading: Reading) -> None:
        """Takes a reading; returns when it is in line, or done. No sighting is counted."""
        at = reading.read_point
        if isinstance(reading, Ready):
            return
        if isinstance(reading, Sighting):
            if at != self._aside and not self._trains(at):
                seen_at = self._intake.clock.now(reading.instant)
                await self._zones.see(self._attribution.veiled(self._reader, reading), seen_at)
            return
        if isinstance(reading, Tap):
            reading = self._attribution.veil(reading, self._forms)
        elif isinstance(reading, Lapse):
            self._intake.own_time.add(at)
        seen = Observation(identity.uuid7(), self._intake.clock.now(reading.instant), reading)
        if at == self._aside or self._trains(at):
            self._set_aside(seen, reading)
            return
        if not isinstance(reading, Lapse):
            self.counts["taps" if isinstance(reading, Tap) else "scans"] += 1
        if at in self._intake.own_time:
            await self._zones.lapse(at, seen.moment)
        kept = await self._intake.submit(partial(self._observe, seen=seen), small=True)
        kept.add_done_callback(partial(self._answer, seen))

    def _trains(self, read_point: str) -> bool:
        return self._training is not None and read_point in self._training

    def _set_aside(self, seen: Observation, reading: Tap | Scan | Lapse) -> None:
        at = reading.read_point
        if at == self._aside:
            if not isinstance(reading, Lapse):
                self._desk(reading)
        elif self._training:
            self._training.observe(seen)
            if not isinstance(reading, Lapse):
                self._cue(at, "unknown")  # a shopper is not to believe that anything was kept

    def _observe(self, batch: Batch, *, seen: Observation) -> Answer:
        """Taps that could not be written still end another's session before anything more is accepted there."""
        at = seen.reading.read_point
        unwritten = self._unwritten.at(at)
        if unwritten and at not in batch.made_up:
            batch.made_up.add(at)
            room, batch.room = batch.room, False
            for tap in unwritten:
                self._attribution.observe(batch, tap)
            batch.room = room
        answer = self._attribution.observe(batch, seen)
        return replace(answer, made_up=unwritten) if unwritten else answer

    def _refused(self, seen: Observation) -> None:
        """Nothing of it was written. What may be a tap is remembered."""
        if self._attribution.may_be_tap(self._reader, seen.reading):
            self._unwritten.add(seen)
            for tell in self.answered:
                tell(seen, Answer("cannot", kept=Tap(read_point=seen.reading.read_point)))
        self.counts["cannot"] += 1
        self._cue(seen.reading.read_point, "cannot")

    def _answer(self, seen: Observation, kept: asyncio.Future[Answer]) -> None:
        """After the commit: what the shopper is told."""
        at = seen.reading.read_point
        if kept.cancelled():
            return
        if isinstance(kept.exception(), Full):
            self._refused(seen)
            return
        answer = kept.result()
        for tell in self.answered:
            tell(seen, answer)
        self._unwritten.made_up(answer.made_up)
        if answer.outcome in ("unknown", "cannot"):
            self.counts[answer.outcome] += 1
        if answer.unknown_tap:
            self._asked(answer.unknown_tap)
        if answer.outcome:
            self._cue(at, answer.outcome)
