"""Wrong tries: five are free, then each makes one wait, twice as long as the one before. Time is handed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

FREE = 5
FIRST, LONGEST = 30.0, 900.0
"""Seconds."""
STRANGERS = 1000
"""Names of nobody that are remembered, so that a guess does not tell whether there is such a person."""


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    until: float = -inf


@dataclass(slots=True)
class Tries:
    _known: dict[str, _Count] = field(default_factory=dict)
    _strangers: dict[str, _Count] = field(default_factory=dict)

    def wait(self, name: str, now: float) -> float:
        """Seconds until the name may be tried again; 0: now."""
        count = self._known.get(name) or self._strangers.get(name)
        return max(0.0, count.until - now) if count else 0.0

    def wrong(self, name: str, now: float, *, known: bool = True) -> None:
        """One more was wrong. What was tried with names of nobody pushes no person's count out."""
        counts = self._known if known else self._strangers
        count = counts.setdefault(name, _Count())
        count.wrong += 1
        if count.wrong >= FREE:
            count.until = now + min(FIRST * 2 ** min(count.wrong - FREE, 10), LONGEST)
        if len(self._strangers) > STRANGERS:
            del self._strangers[next(iter(self._strangers))]

    def right(self, name: str) -> None:
        self._known.pop(name, None)
