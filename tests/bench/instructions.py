"""Instructions of one tap and of one scan, by callgrind: on a busy machine seconds differ by the day, these hardly.

What is counted is the whole daemon, from the FIFO to the app's confirmation that is committed; the broker, the kernel
and the start are not in it. It is dumped after each reading; what a dump without one has is taken off.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bands import BAND, OTHER
from bench.figures import Figure, Result
from bench.marks import Marks
from bench.runs import python as command
from bench.runs import say, single, workplace
from bench.sides import Ours
from edge.database import FILE, reader
from peers.process import Child, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.scale import Scale

LIBRARY = """
#include <valgrind/callgrind.h>
static int counts;
void mark(void) {
    if (counts) { CALLGRIND_DUMP_STATS; }
    else { counts = 1; CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
}
"""
TOTAL = re.compile(r"^totals: (\d+)", re.MULTILINE)


class Counted:
    """A gateway under callgrind, without a platform: it knows its shoppers already."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        """Let it learn what it has to know, and start it again; that takes a while."""
        self.ours = Ours(stack, folder / "ours")
        self.ours.settle()
        self._store = self.ours.store
        self._store.stop()
        self.ours.platform.kill()
        self._store._platform = None
        self._store.configure()
        self._taps = 0
        self._counts = folder / "counts"
        self._dumped = Marks(self._store.folder / "counted")
        library = folder / "counted.so"
        build = ["gcc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(build, input=LIBRARY, text=True, check=True, timeout=60)
        callgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self._counts}"]
        *environment, python, module, launcher = command("bench.launcher")
        environment += [f"COUNTED={library}", "PYTHONHASHSEED=0"]
        daemon = [*environment, *callgrind, python, module, launcher, "run", "--config", str(self._store.config)]
        self._store._child = Child(daemon, self._store.log, cwd=self._store.folder)
        self._store.ready(300)
        self._reader = reader(self._store.data / FILE)
        stack.callback(self._reader.close)
        self.ours.hold()
        self._confirmed()
        self._mark()

    def nothing(self) -> None:
        """Do no work at all."""

    def scan(self) -> None:
        """Scan, until the app's confirmation is committed."""
        single(self.ours, 1)
        self._confirmed()

    def tap(self) -> None:
        """Let the other shopper tap, until that is committed."""
        before = self._ask("max(seq)")
        self._store.tap((OTHER, BAND)[self._taps % 2])  # never the holder's own
        self._taps += 1
        until(lambda: self._ask("max(seq)") > before, "the tap", 60)

    def each(self, work: Callable[[], None], count: int) -> float:
        """Return the instructions of one: the median, as timers of the daemon fall into some."""
        return statistics.median(self._counted(work) for _ in range(count))

    def _counted(self, work: Callable[[], None]) -> int:
        work()
        self._mark()
        (total,) = TOTAL.findall(self._counts.with_name(f"counts.{len(self._dumped) - 1}").read_text())
        return int(total)

    def _mark(self) -> None:
        marks = len(self._dumped)
        os.kill(self._store.pid, signal.SIGUSR1)
        self._dumped.wait(marks + 1)

    def _confirmed(self) -> None:
        wanted, kind = len(self.ours.arrived), "cart.item_confirmed"
        until(lambda: self._ask("count(*)", f"WHERE kind = '{kind}'") == wanted, "the confirmation", 60)

    def _ask(self, what: str, where: str = "") -> int:
        return int(self._reader.execute(f"SELECT {what} FROM row {where}").fetchone()[0])


def counted(count: int) -> dict[str, float]:
    """Return the instructions of a scan and of a tap."""
    with ExitStack() as stack:
        gateway = Counted(stack, workplace(stack))
        for warm in (gateway.tap, gateway.scan) * 2:
            warm()  # each shopper once, so that what is loaded late is loaded
        nothing = gateway.each(gateway.nothing, count)
        return {work.__name__: gateway.each(work, count) - nothing for work in (gateway.scan, gateway.tap)}


def measure(scale: Scale) -> Result:
    """Once: it is the same each time."""
    say(f"instructions: {scale.counted} of each under callgrind")
    found = counted(scale.counted)
    return Result("Instructions", [Figure(f"one {what}", "million", [n / 1e6]) for what, n in found.items()])
