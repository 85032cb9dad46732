"""What was committed last and is to be pushed, still in memory: it need not be read back from the disk.

It holds only what a look at the database would find as well: additions that follow from a reading, whose customer's
consent was seen in the very commit. After a commit with anything else to push, or with an erasure, it knows nothing,
and the database is asked.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from math import inf

from edge.journal import PUSHED
from edge.model import Row

MOST = 500
"""Rows that are kept."""
_CHANGES = PUSHED | {"customer.erased"}


class Fresh:
    """`committed` is told of each commit from some time on."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, Row]] = deque()
        self._since = inf
        """The seq after which nothing is missing here."""

    def committed(self, rows: list[Row], elapsed: float) -> None:
        """The rows of one commit, in order, and when it was: elapsed seconds."""
        if not rows:
            return
        self._since = min(self._since, rows[0].seq - 1)
        changes = [row for row in rows if row.kind in _CHANGES]
        self._rows.extend((elapsed, row) for row in changes)
        plain = all(row.kind == "cart.item_added" and row.live for row in changes)
        if not plain or len(self._rows) > MOST:
            self._rows.clear()
            self._since = rows[-1].seq

    def after(self, cursor: int, most: int) -> list[tuple[float, Row]]:
        """What is to be pushed after the cursor, and when it was committed; nothing: the database may know more."""
        while self._rows and self._rows[0][1].seq <= cursor:
            self._rows.popleft()
        return list(islice(self._rows, most)) if cursor >= self._since else []
