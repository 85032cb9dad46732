"""Room on the disk for what a transaction writes; where there is little, delivered rows go before their time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from math import inf

from edge.clock import Clock
from edge.database import RETRY, Full
from edge.journal import Journal
from edge.space import Space

MARGIN = 1_000_000
"""Bytes above the reserve at which delivered rows begin to go before their time."""
ROOMY = 16_000_000
"""Bytes above the reserve, more than MANY readings take; then the disk is looked at after so many only, or RETRY."""
MANY = 200


class TooBig(Full):
    """There was room, but not for all of this."""


class Room:
    """`needed`: the instant since which rows are needed for what is open."""

    def __init__(self, space: Space, clock: Clock, journal: Journal, needed: Callable[[], float]) -> None:
        self._space = space
        self._clock = clock
        self._journal = journal
        self._needed = needed
        self._nothing_until = self._plenty_until = -inf
        self._plenty_for = 0.0
        """Readings for which there is known to be plenty."""

    def make(self, connection: sqlite3.Connection, readings: float) -> float:
        """The bytes left, inf for plenty; where these are few, delivered rows have gone that nothing open rests on.

        `readings`: how many are to be written; what is none may be worth any number of them, inf.
        """
        now = self._clock.instant()
        self._plenty_for -= readings
        if now < self._plenty_until and self._plenty_for >= 0:
            return inf
        left = self._space.left(connection)
        if left > self._space.reserve + ROOMY and readings < inf:
            self._plenty_until, self._plenty_for = now + RETRY, MANY - readings
            return inf
        if left > self._space.reserve + MARGIN or now < self._nothing_until:
            return left
        self._journal.drop_delivered(connection, before=self._needed())
        room = self._space.left(connection)
        self._nothing_until = now + RETRY if room <= left else -inf
        return room

    def for_readings(self, left: float) -> bool:
        """Whether taps and scans may be kept: the reserve is for what follows from those that are."""
        return left > self._space.reserve

    def must_fit(self, connection: sqlite3.Connection, left: float) -> None:
        """What is written takes its room twice: in the WAL, when it is committed, and in the file. Raises Full."""
        if left < inf and (after := self._space.left(connection)) < left and 2 * after < left:
            raise (TooBig if self.for_readings(left) else Full)("the capacity is used up, and the reserve too")
