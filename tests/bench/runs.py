"""How sides are run: one reading after the other, in turn, or many at once."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from bench.sides import Pourable, Side

ROOT = Path(__file__).parents[2]
PAUSE = 0.01
PROMPT = ("set_tcp_nodelay true",)
"""For a mosquitto, as `config/mosquitto` has it: else what follows an answer waits for a TCP acknowledgement."""


def say(text: str) -> None:
    """Tell who waits how far it is."""
    print(f"  {text}", file=sys.stderr, flush=True)


def workplace(stack: ExitStack) -> Path:
    """Return a new folder on the disk of the checkout, as the system's for such may be in memory."""
    (ROOT / "dist").mkdir(exist_ok=True)
    return Path(stack.enter_context(TemporaryDirectory(prefix="b-", dir=ROOT / "dist")))


def python(module: str, *arguments: str) -> list[str]:
    """Return the command of a module of the bench, wherever it is run."""
    return ["env", f"PYTHONPATH={ROOT / 'tests'}", sys.executable, "-m", module, *arguments]


def single(side: Side, number: int) -> float:
    """Return the seconds from a reading's `emit` to its arrival."""
    emitted, arrived = len(side.emitted), len(side.arrived)
    side.one(number)
    side.arrived.wait(arrived + 1)
    return side.arrived[arrived] - side.emitted[emitted]


def in_turn(sides: Sequence[Side], count: int) -> list[list[float]]:
    """Run so many readings of each, one of each after the other; seconds, a list for each side."""
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(count):
        for side, times in zip(sides, taken, strict=True):
            times.append(single(side, number))
            side.rest()
            time.sleep(PAUSE)  # what the one still does is not to slow the other
    return taken


def burst(side: Pourable, count: int, seconds: float = 300.0) -> float:
    """Return the readings a second from the first `emit` to the last arrival of so many."""
    emitted, arrived = len(side.emitted), len(side.arrived)
    side.many(count)
    side.arrived.wait(arrived + count, seconds)
    return count / (side.arrived[arrived + count - 1] - side.emitted[emitted])
