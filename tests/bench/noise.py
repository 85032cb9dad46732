"""How steady the machine is on which the rest is measured: its disk, its timers, its processor."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, Result, percentile
from bench.marks import now
from bench.runs import workplace

if TYPE_CHECKING:
    from bench.scale import Scale

BLOCK = bytes(4096)


def syncs(count: int) -> list[float]:
    """Return the milliseconds that a bare 4 kB write with its fsync takes, each behind the one before."""
    taken = []
    with ExitStack() as stack, (workplace(stack) / "synced").open("wb", buffering=0) as file:
        for _ in range(count):
            began = now()
            file.write(BLOCK)
            os.fsync(file.fileno())
            taken.append((now() - began) * 1e3)
    return taken


def oversleeps(count: int) -> list[float]:
    """Return the milliseconds that a sleep of one millisecond takes too long."""
    taken = []
    for _ in range(count):
        began = now()
        time.sleep(0.001)
        taken.append((now() - began) * 1e3 - 1)
    return taken


def loops(count: int) -> list[float]:
    """Return the milliseconds that the same computation takes each time."""
    taken = []
    for _ in range(count):
        began = now()
        sum(number * number for number in range(200_000))
        taken.append((now() - began) * 1e3)
    return taken


def machine() -> dict[str, object]:
    """Return what it is."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":?")
    return {
        "processor": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": os.getloadavg()[0],
    }


def measure(scale: Scale) -> Result:
    """Look at each as often as there are repeats."""
    disk, timer, processor = (
        [work(count) for _ in range(scale.repeats)] for work, count in ((syncs, 200), (oversleeps, 200), (loops, 20))
    )
    each = [
        Figure(f"{name}, p{percent}", "ms", [percentile(samples, percent) for samples in taken])
        for name, taken in (("fsync of a bare 4 kB write", disk), ("a timer's lateness", timer))
        for percent in (50, 99)
    ]
    spread = [100 * (max(samples) / min(samples) - 1) for samples in processor]
    said = machine()
    return Result(
        "The machine and its noise",
        [*each, Figure("a fixed computation, longest over shortest", "% more", spread)],
        notes=[", ".join(f"{name} {value}" for name, value in said.items())],
    )
