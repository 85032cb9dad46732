"""From a driver's `emit` to the subscriber, against the floor: one after the other, and 10,000 at once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.figures import Figure, Gate, Result, percentile
from bench.runs import burst, in_turn, say, workplace
from bench.sides import Floor, Ours

if TYPE_CHECKING:
    from bench.scale import Scale


def measure(scale: Scale) -> Result:
    """In each repeat the readings in turn, then the floor's burst and ours."""
    with ExitStack() as stack:
        folder = workplace(stack)
        ours = Ours(stack, folder / "ours")
        floor = Floor(stack, folder / "floor", ours.broker, ours.item())
        threaded = Floor(stack, folder / "threaded", ours.broker, ours.item(), threaded=True)
        sides = (floor, ours, threaded)
        in_turn(sides, scale.pairs // 5)  # caches fill
        taken, rates = [], []
        for repeat in range(scale.repeats):
            say(f"latency {repeat + 1}/{scale.repeats}: one after the other, then {scale.burst} at once")
            ours.settle()
            taken.append(in_turn(sides, scale.pairs))
            rates.append([burst(side, scale.burst) for side in sides[:2]])
            ours.settle()
    figures = [
        Figure(
            f"scan to subscriber, p{percent}",
            "ms",
            *([percentile(times[which], percent) * 1e3 for times in taken] for which in (1, n)),
            sides[n].name,
            Gate("<=", 1.4) if gated and percent == 50 else None,
            Gate("<=", 1.2) if gated and percent == 50 else None,
        )
        for n, gated in ((0, True), (2, False))
        for percent in (50, 95, 99)
    ]
    rate = Figure(
        f"burst of {scale.burst} to the subscriber",
        "/s",
        *([pair[which] for pair in rates] for which in (1, 0)),
        "floor, commits of 100",
        Gate(">=", 0.8),
        Gate(">=", 1.5),
    )
    curves = {side.name: [seconds * 1e3 for times in taken for seconds in times[n]] for n, side in enumerate(sides)}
    return Result("Floor against ours", [*figures, rate], curves)
