"""ThingsBoard's IoT gateway 3.8.5 on the same work, in turn with ours; `make bench-peers` makes its environment.

It may put several readings into one message, of which each counts; we send each as an event of its own.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench import proc
from bench.figures import Figure, Gate, Result, percentile
from bench.marks import now
from bench.runs import burst, in_turn, say, workplace
from bench.sides import Ours
from bench.thingsboard import HOME, STORAGES, ThingsBoard

if TYPE_CHECKING:
    from bench.scale import Scale

FEWER = 4
"""Of the pairs of other sections, as it is slow."""


def measure(scale: Scale) -> Result:
    """All of them run; readings go to each in turn, then a burst to each, and then nobody has anything to do."""
    if not HOME.exists():
        sys.exit("there is no peer to measure: `make bench-peers` makes its environment")
    with ExitStack() as stack:
        folder = workplace(stack)
        ours = Ours(stack, folder / "ours")
        body = ours.item()
        peers = []
        for storage in STORAGES:
            say(f"peer: starting with the storage {storage}")
            peers.append(ThingsBoard(stack, folder / storage, body, storage))
        sides = (ours, *peers)
        pids = [ours.store.pid, *(peer.pid for peer in peers)]
        in_turn(sides, 3)
        taken, rates, idle = [], [], []
        for repeat in range(scale.repeats):
            say(f"peer: one after the other, then {scale.burst} at once, {repeat + 1}/{scale.repeats}")
            taken.append(in_turn(sides, scale.pairs // FEWER or 3))
            rates.append([])
            for side in sides:
                rates[-1].append(burst(side, scale.burst))
                ours.settle()
        time.sleep(2)
        for repeat in range(scale.repeats):
            say(f"peer: idle, {repeat + 1}/{scale.repeats}")
            began, before = now(), [proc.cpu(pid) for pid in pids]
            time.sleep(scale.seconds / scale.repeats)
            idle.append([100 * (proc.cpu(pid) - cpu) / (now() - began) for pid, cpu in zip(pids, before, strict=True)])
        memory = [proc.resident(pid) for pid in pids]
    figures = []
    for n, peer in enumerate(peers, 1):
        gated = n == 1
        figures += [
            Figure(
                f"scan to subscriber, p{percent}",
                "ms",
                *([percentile(times[which], percent) * 1e3 for times in taken] for which in (0, n)),
                peer.name,
                Gate(">=", 100) if gated and percent == 50 else None,
                upside_down=True,
            )
            for percent in (50, 99)
        ]
        figures += [
            Figure(
                f"burst of {scale.burst}",
                "/s",
                *([pair[which] for pair in rates] for which in (0, n)),
                peer.name,
                Gate(">=", 3) if gated else None,
            ),
            Figure(
                "memory, idle after that", "MB", [memory[0]], [memory[n]], peer.name, Gate("<=", 1) if gated else None
            ),
            Figure(
                "CPU, idle",
                "% of a core",
                *([used[which] for used in idle] for which in (0, n)),
                peer.name,
                Gate("<=", 0.25) if gated else None,
            ),
        ]
    curves = {side.name: [s * 1e3 for times in taken for s in times[n]] for n, side in enumerate(sides)}
    return Result("ThingsBoard IoT Gateway 3.8.5", figures, curves)
