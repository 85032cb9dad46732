"""What a scan, a change of hands and the start cost in a full store, against a new one; and the pieces of a reading.

The sides run at the same time, a daemon each, and are measured in turn, end to end; the pieces afterwards on the same
databases, with the daemons stopped. All are as fresh, but for what they are grown by. A read point is not in the
database, so the side of many has no pieces.
"""

from __future__ import annotations

import os
import statistics
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.figures import Figure, Gate, Result
from bench.grown import grow
from bench.marks import now
from bench.pieces import pieces
from bench.runs import in_turn, say, workplace
from bench.sides import Hands, Ours
from edge.database import FILE

if TYPE_CHECKING:
    from bench.scale import Scale

FEW = 1000
"""Identifiers in a new store."""


def measure(scale: Scale) -> Result:
    """All sides, in turn."""
    kinds = {
        "new": ("", 0, FEW, 1),
        "rows": (f"{scale.rows:,} rows", scale.rows, FEW, 1),
        "identifiers": (f"{scale.identifiers:,} identifiers", 0, scale.identifiers, 1),
        "read points": (f"{scale.read_points} read points", 0, FEW, scale.read_points),
    }
    with ExitStack() as stack:
        folder = workplace(stack)
        sides: dict[str, Ours] = {}
        for name, (_, rows, identifiers, read_points) in kinds.items():
            say(f"growth: building {name}")
            tills = [f"till-{number}" for number in range(1, read_points + 1)]
            side = sides[name] = Ours(stack, folder / name, read_points=tills)
            side.settle()
            side.store.stop()
            grow(side.store.data / FILE, rows, identifiers)
            side.store.start()
            side.store.ready(60)
            side.hold()
        samples = _end_to_end(list(sides.values()), scale)
        for side in sides.values():
            side.settle()
            side.store.stop()
        filled = [(sides[name], kinds[name][2]) for name in kinds if name != "read points"]
        samples |= _pieces(filled, scale)
    figures = [
        Figure(f"{what}, {kinds[name][0]}", "ms", taken[n], taken[0], "new store", Gate("<=", 1.2), Gate("<=", 1.05))
        for n, name in enumerate(kinds)
        for what, taken in samples.items()
        if 0 < n < len(taken)
    ]
    start = min(samples["start to the first reading"][0])
    return Result("Growth", figures, notes=[f"A new store starts within {start:.0f} ms at best."])


def _end_to_end(sides: list[Ours], scale: Scale) -> dict[str, list[list[float]]]:
    """Milliseconds by what was done, side and repeat."""
    hands = [Hands(side) for side in sides]
    in_turn(hands, 3)
    scans, changes, starts = ([[] for _ in sides] for _ in range(3))
    fewer = max(5, scale.pairs // 4)
    for repeat in range(scale.repeats):
        say(f"growth: scans and changes of hands in turn, {repeat + 1}/{scale.repeats}")
        for taken, runs in ((scans, in_turn(sides, fewer)), (changes, in_turn(hands, fewer))):
            for n, times in enumerate(runs):
                taken[n].append(statistics.median(times) * 1e3)
    for start in range(scale.starts):
        say(f"growth: starts in turn, {start + 1}/{scale.starts}")
        for n, side in enumerate(sides):
            side.settle()
            side.store.stop()
            starts[n].append(first_reading(side) * 1e3)
            side.store.ready()
    return {"scan": scans, "change of hands": changes, "start to the first reading": starts}


def first_reading(side: Ours) -> float:
    """Start the daemon while a scan waits in the FIFO; the seconds until a driver has emitted it."""
    before, arrived = len(side.emitted), len(side.arrived)
    fifo = os.open(side.store.folder / "till-1.fifo", os.O_RDWR)
    try:
        began = now()
        side.store.start()
        side.store.scan(0)
        side.emitted.wait(before + 1)
        side.arrived.wait(arrived + 1)
    finally:
        os.close(fifo)
    return side.emitted[before] - began


def _pieces(sides: list[tuple[Ours, int]], scale: Scale) -> dict[str, list[list[float]]]:
    """Milliseconds by piece, side and repeat."""
    with ExitStack() as stack:
        each = [pieces(stack, side.store.data / FILE, identifiers) for side, identifiers in sides]
        taken: dict[str, list[list[float]]] = {name: [[] for _ in sides] for name in each[0]}
        for repeat in range(scale.repeats):
            say(f"growth: pieces in turn, {repeat + 1}/{scale.repeats}")
            for name, samples in taken.items():
                runs = [[side[name]() for side in each] for _ in range(max(3, scale.pairs // 5))]
                for n, times in enumerate(zip(*runs, strict=True)):
                    samples[n].append(statistics.median(times) * 1e3)
    return taken
