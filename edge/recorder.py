"""Recordings: what is read, as lines that the `replay` driver plays, with nobody in them who is not known.

A line names a product by its GTIN and a customer by the pseudonym. A tap of anybody else stands as a tap of `nobody`,
for it ended the session before; what was scanned in a nameless session is left out, for it went into no cart, and
without the name the next customer would claim it. So is what was scanned in a session that began before the recording.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from edge.attribution import Answer, Observation
from edge.floor import EMPTY, Floor
from edge.model import Moment, Row, Sighting, Tap

NOBODY = "nobody"
"""The value of a tap that names nobody: no UID has this form."""
WAITING = 10_000
"""Lines that may wait for who writes them down; then the recording ends."""
_SETTLING = 0.01
"""Seconds until lines are handed on, so that those of one commit stand in the order of their instants."""


@dataclass(slots=True, eq=False)
class _Recording:
    start: float
    lines: list[dict[str, Any]] = field(default_factory=list)
    sessions: dict[str, str | None] = field(default_factory=dict)
    """The session at each read point, as one who plays the lines would see it."""
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, moment: Moment, kind: str, read_point: str, **more: str | float | None) -> None:
        if len(self.lines) > WAITING:  # nobody takes them; whoever does at last is told so
            return
        said = {key: value for key, value in more.items() if value is not None}
        at = round(max(0.0, moment.instant - self.start), 3)
        self.lines.append({"at": at, "kind": kind, **said, "read_point": read_point})
        self.stirred.set()

    def tap(self, moment: Moment, tap: Tap, session: str | None) -> None:
        who = {"pseudonym": tap.pseudonym} if session else {"value": NOBODY}
        self.sessions[tap.read_point] = session
        self.write(moment, "tap", tap.read_point, type=tap.type, **who)


class Recorder:
    """The recordings under way. It is told what became of readings, and of rows."""

    def __init__(self) -> None:
        self._recordings: set[_Recording] = set()

    async def lines(self, start: float) -> AsyncIterator[dict[str, Any]]:
        """From `start` (CLOCK_BOOTTIME) on: at first an empty line, then readings; at the end perhaps an `error`."""
        recording = _Recording(start)
        self._recordings.add(recording)
        try:
            yield {}
            while len(recording.lines) <= WAITING:
                await recording.stirred.wait()
                await asyncio.sleep(_SETTLING)
                recording.stirred.clear()
                lines, recording.lines = recording.lines, []
                for line in sorted(lines, key=lambda line: float(line["at"])):
                    yield line
            yield {"error": "readings came faster than they could be written down"}
        finally:
            self._recordings.discard(recording)

    def answered(self, seen: Observation, answer: Answer) -> None:
        """After the commit of a reading."""
        for recording in self._recordings:
            at = seen.reading.read_point
            if isinstance(answer.kept, Tap):
                recording.tap(seen.moment, answer.kept, answer.session)
            elif answer.kept and answer.session in (None, recording.sessions.get(at)):
                recording.write(seen.moment, "scan", at, text=answer.kept.text, symbology=answer.kept.symbology)

    def heard(self, sighting: Sighting, moment: Moment) -> None:
        """A beacon whose owner consents to that."""
        for recording in self._recordings:
            who = {"type": sighting.type, "pseudonym": sighting.pseudonym, "rssi": sighting.rssi}
            recording.write(moment, "sighting", sighting.read_point, **who)

    def committed(self, rows: Iterable[Row], floor: Floor) -> None:
        """Sessions that ended or got their name though nobody tapped."""
        for row in rows if self._recordings else ():
            at, session = row.data.get("read_point", ""), row.data.get("session")
            spot = floor.get(at, EMPTY)
            for recording in self._recordings:
                if row.kind == "session.ended" and row.data["reason"] in ("consent", "staff"):
                    if recording.sessions.get(at) == session:
                        recording.tap(row.moment, Tap(read_point=at), None)
                elif row.kind == "customer.resolved" and spot.session and spot.session.id == session:
                    recording.tap(row.moment, Tap(read_point=at, pseudonym=row.data["pseudonym"]), session)
