"""The last hour, a minute at a time: what was read, and how much waited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MINUTES = 60


@dataclass(slots=True)
class History:
    """In memory: of the time before the start nobody knows. Minutes are counted on CLOCK_BOOTTIME."""

    _queues: dict[int, int] = field(default_factory=dict)
    _counts: dict[int, dict[str, int]] = field(default_factory=dict)

    def look(self, instant: float, queued: int, counts: Mapping[str, int]) -> None:
        """At `instant` so many events wait for a sink, and so many `taps` and `scans` were read since the start."""
        minute = int(instant // 60)
        self._queues[minute] = max(queued, self._queues.get(minute, 0))
        self._counts[minute] = dict(counts)
        past = sorted(known for known in self._counts if known <= minute - MINUTES)
        for old in past[:-1]:  # the first minute that is told is counted from the last of these
            del self._counts[old], self._queues[old]

    def report(self, instant: float, now: float) -> dict[str, Any]:
        """The OpenAPI document's answer; `now`: seconds since 1970 at `instant`."""
        minutes = range(int(instant // 60) - MINUTES + 1, int(instant // 60) + 1)
        begun = now - instant % 60
        return {
            "minutes": [round(begun - 60 * (minutes[-1] - minute)) for minute in minutes],
            "taps": [self._read(minute, "taps") for minute in minutes],
            "scans": [self._read(minute, "scans") for minute in minutes],
            "queue": [self._queues.get(minute) for minute in minutes],
        }

    def _read(self, minute: int, what: str) -> int:
        """How many there were in it: those by its last look less those by the last look before."""
        before = max((known for known in self._counts if known < minute), default=None)
        if minute not in self._counts:
            return 0
        return self._counts[minute][what] - (self._counts[before][what] if before is not None else 0)
