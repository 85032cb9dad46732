"""How much is measured: at length for the figures, in short while the bench itself is worked on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Counts and seconds."""

    repeats: int = 5
    pairs: int = 100
    """Readings of each side in a repeat, in turn."""
    burst: int = 10_000
    events: int = 100_000
    """Of the backlog that drains."""
    drains: int = 2
    rows: int = 2_000_000
    identifiers: int = 1_000_000
    read_points: int = 50
    starts: int = 3
    seconds: float = 10.0
    """For which CPU time is counted."""
    slow: int = 6
    """Scans at one in five seconds."""
    counted: int = 9
    """Readings whose instructions are counted."""
    away: float = 2.0
    """Seconds that a link is gone."""


QUICK = Scale(
    repeats=2,
    pairs=10,
    burst=1000,
    events=3000,
    drains=1,
    rows=20_000,
    identifiers=10_000,
    read_points=5,
    starts=2,
    seconds=2.0,
    slow=2,
    counted=3,
    away=1.0,
)
