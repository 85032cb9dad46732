"""Whether a bar code is sure: the two engines look at several pictures of it and vote.

Engines err: one takes the half of an EAN-13 for an UPC-E, the other the parity of its digits, and one check digit in
ten is right by chance. They seldom err alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from drivers.camera.engines import Code

TOGETHER, ALONE = 2, 3
"""Votes that a code needs if both engines read it, and if only one does; that one must have no rival."""
CERTAIN = 3
"""Votes of both that are enough before all pictures are looked at, if nothing else was read."""
AGAINST = 3
"""How many times the votes of any other it needs."""
HALVES = frozenset({"UPCE", "EAN8"})
"""Codes that are easily found in the half of another: they need all of it."""

Engine = Literal["zxing", "zbar"]


class Votes:
    """Those for each code at one place. One engine has one vote for each picture."""

    def __init__(self) -> None:
        self._cast: defaultdict[Code, set[tuple[Engine, str]]] = defaultdict(set)

    def cast(self, engine: Engine, picture: str, codes: Iterable[Code]) -> None:
        for code in codes:
            self._cast[code].add((engine, picture))

    def settled(self) -> bool:
        """Whether more pictures would change nothing: both engines read the same, and nothing else."""
        return [len(votes) >= CERTAIN and _both(votes) for votes in self._cast.values()] == [True]

    def alone(self, code: Code) -> bool:
        """Whether only one engine has read it."""
        return not _both(self._cast[code])

    def elected(self) -> Code | None:
        """The code that is sure."""
        ranked = sorted(self._cast.items(), key=lambda item: len(item[1]), reverse=True)
        if not ranked:
            return None
        (code, votes), rivals = ranked[0], ranked[1:]
        if _both(votes):
            enough = len(votes) >= (CERTAIN if code[1] in HALVES else TOGETHER)
            enough &= all(len(votes) >= AGAINST * len(others) for _, others in rivals)
        else:
            enough = len(votes) >= ALONE and code[1] not in HALVES and not rivals
        return code if enough else None


def _both(votes: set[tuple[Engine, str]]) -> bool:
    return len({engine for engine, _ in votes}) > 1
