"""Whose a read point is: one that keeps its own time, a recording played faster, belongs to its driver alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from edge.model import Lapse, Reading
from edge.ports import Driver, Taken


class Places:
    """Who reads where: the driver's own read point, and those that its readings name."""

    def __init__(self, drivers: Iterable[Driver]) -> None:
        self._users: dict[str, set[int]] = defaultdict(set)
        self._alone: dict[str, int] = {}
        for number, driver in enumerate(drivers):
            self._users[driver.read_point].add(number)

    def enter(self, number: int, reading: Reading) -> None:
        """The driver of that number reads there; a `Lapse` says that it keeps the time. Raises Taken."""
        at, alone = reading.read_point, isinstance(reading, Lapse)
        if self._alone.get(at, number) != number or (alone and self._users[at] - {number}):
            raise Taken(
                f"its read point {at!r} is another driver's, and a replay at another speed than 1 has one alone"
            )
        self._users[at].add(number)
        if alone:
            self._alone[at] = number
