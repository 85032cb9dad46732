"""The figures of a fault bench, added up over its tests and printed at the end as one table."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.day import Verdict


class Tally:
    """What was done, what came of it, and how long it took to come back."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, **counts: int) -> None:
        """Count what was done."""
        self.counts.update(counts)

    def judged(self, verdict: Verdict, **counts: int) -> None:
        """Count a day, and what was done to it."""
        self.add(
            **counts,
            accepted=len(verdict.accepted),
            lost=len(verdict.lost),
            doubled=len(verdict.doubled),
            wrong_cart=len(verdict.wrong),
        )

    def took(self, what: str, seconds: float) -> None:
        """Note a recovery: from the moment the fault is gone to the first event."""
        self.seconds[what].append(seconds)

    def lines(self) -> Iterator[str]:
        """Yield the table."""
        for name, count in self.counts.items():
            yield f"{name.replace('_', ' '):<40}{count:>10}"
        for what, times in self.seconds.items():
            middle, longest = median(times), max(times)
            yield f"first event after {what:<22}{middle:>10.2f} s median, {longest:.2f} s longest of {len(times)}"


tally = Tally()
