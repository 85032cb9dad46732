"""What one transaction does: the floor as it is known so far, and the rows that it has written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import TypeVar

from edge import journal as journals
from edge import presence
from edge.floor import EMPTY, Floor, Happening, Lapsed, Rules, decide, due, evolve
from edge.journal import Journal
from edge.model import Moment, Row
from edge.presence import Stays

_T = TypeVar("_T")


@dataclass(slots=True)
class Batch:
    """A transaction under way: what is known so far, and what it has written."""

    connection: sqlite3.Connection
    journal: Journal
    rules: Rules
    floor: Floor
    now: Moment
    newest: int
    """The seq of the newest row there is."""
    room: bool = True
    """Whether taps and scans may be kept; what follows from what is accepted has the reserve."""
    stays: Stays = field(default_factory=dict)
    written: list[Row] = field(default_factory=list)
    oldest_held: float | None = None
    """When what waits the longest for a name was committed, on the elapsed clock; None: nothing does."""
    made_up: set[str] = field(default_factory=set)
    """Read points whose tap could not be written when it was made, and was made up for in this batch."""

    def write(self, rows: Iterable[Row]) -> list[Row]:
        """Appends the rows and moves the floor on; returns them with their ids."""
        rows = self.journal.append(self.connection, rows, self.now, self.newest)
        self.newest += len(rows)
        for row in rows:
            self.floor = evolve(self.floor, row)
            self.stays = presence.evolve(self.stays, row)
        self.written += rows
        return rows

    def happen(self, happening: Happening) -> list[Row]:
        return self.write(decide(self.floor, happening, self.rules))

    def forget(self, customer: str) -> None:
        """The customer's stay is over without an event."""
        self.stays = presence.without(self.stays, customer)
        journals.forget(self.connection, customer)

    def open_sessions(self) -> frozenset[str]:
        """Their ids, which are those of the taps that opened them."""
        return frozenset(spot.session.id for spot in self.floor.values() if spot.session)

    def lapse(self, read_point: str, moment: Moment) -> None:
        """What is due at the read point by `moment.instant` falls, one instant after the other."""
        while (at := due(self.floor.get(read_point, EMPTY), self.rules)) <= moment.instant and at < inf:
            self.happen(Lapsed(replace(moment, instant=at), read_point))


Work = Callable[[Batch], _T]
"""Changes what is known; returns what whoever gave it wants to know."""
