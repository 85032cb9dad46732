"""What the daemon takes: memory and CPU with nobody in the shop and at 20 readings a second, the disk, the start.

Each set of drivers has its devices: pcscd with a virtual reader, a BlueZ without beacons, a pty, a camera's stream of 5
pictures a second, input devices. What is written to the disk is in whole pages of the kernel's cache, the item, its
confirmation and the cursors together.
"""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench import proc
from bench.figures import Figure, Gate, Result
from bench.growth import first_reading
from bench.marks import now
from bench.runs import say, workplace
from bench.sides import Ours
from peers.bluez import BlueZ, DBus
from peers.card import Pcscd
from peers.film import Stream
from peers.line import Line
from peers.scanner import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.scale import Scale
    from peers.store import Table

BUSY = 20.0
"""Readings a second."""
RATES = (0.2, 5.0, 50.0)
CALM = 2.0
"""Seconds until cursors and the like are written."""
IMPORTED = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \| +(\S+)$", re.MULTILINE)
TOP = 15


def measure(scale: Scale) -> Result:
    """Each set of drivers on a gateway of its own, one after the other."""
    result = Result("Footprint")
    for name, devices in SETS.items():
        say(f"footprint: {name}")
        with ExitStack() as stack, _environment():
            result.figures += _taken(stack, name, devices, scale)
    with ExitStack() as stack, _environment():
        result.figures += _started(stack, scale)
    with ExitStack() as stack:
        result.figures += _written(stack, scale)
    with ExitStack() as stack, _environment():
        say("footprint: imports")
        total, note = _imported(stack)
    result.figures.append(Figure("imports of a daemon with a page, a cart and a platform", "ms", [total]))
    result.notes.append(note)
    return result


def _nothing(stack: ExitStack) -> list[Table]:
    del stack
    return []


def _nfc(stack: ExitStack) -> list[Table]:
    reader = Pcscd(Path(stack.enter_context(TemporaryDirectory(prefix="pcscd-"))))  # short enough for a socket
    stack.callback(reader.kill)
    reader.start()
    os.environ["PCSCLITE_CSOCK_NAME"] = str(reader.socket)
    return [{"kind": "nfc", "read_point": "till-1"}]


def _radio(stack: ExitStack) -> list[Table]:
    bus = DBus(Path(stack.enter_context(TemporaryDirectory(prefix="dbus-"))))
    stack.callback(bus.kill)
    bus.start()
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
    bluez = BlueZ(bus.address)
    stack.callback(bluez.close)
    bluez.start()
    return [*_nfc(stack), {"kind": "ble", "read_point": "door"}]


def _all(stack: ExitStack) -> list[Table]:
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="input-")))
    kernel = Kernel(folder)
    stack.callback(kernel.close)
    kernel.plug(3)
    os.environ["CARTWIRE"] = kernel.daemon
    line = Line(folder / "scanner")
    stack.callback(line.cut)
    line.plug()
    camera = stack.enter_context(Stream(rate=5.0))
    return [
        *_radio(stack),
        {"kind": "serialport", "read_point": "till-2", "path": str(line.path)},
        {"kind": "hid", "read_point": "till-3", "name": "ACME"},
        {"kind": "camera", "read_point": "till-4", "source": camera.url},
    ]


SETS: dict[str, Callable[[ExitStack], list[Table]]] = {
    "replay": _nothing,
    "nfc": _nfc,
    "nfc and ble": _radio,
    "nfc, ble, serialport, hid and camera": _all,
}


class _environment:  # noqa: N801  # a context manager, named as one
    """What is set in the environment meanwhile is not there after."""

    def __enter__(self) -> None:
        self._before = dict(os.environ)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)


def _taken(stack: ExitStack, name: str, devices: Callable[[ExitStack], list[Table]], scale: Scale) -> list[Figure]:
    ours = Ours(stack, workplace(stack) / "ours", drivers=devices(stack), timed=False)
    ours.settle()
    time.sleep(CALM)
    pid, idle, memory = ours.store.pid, [], []
    for _ in range(scale.repeats):
        memory.append(proc.resident(pid))
        idle.append(_used(pid, lambda: time.sleep(scale.seconds / scale.repeats)))
    busy = _used(pid, lambda: _scan(ours, BUSY, scale.seconds))
    gated = name == "nfc and ble"
    return [
        Figure(
            f"{name}: memory, idle",
            "MB",
            memory,
            gate=Gate("<=", 55) if gated else None,
            goal=Gate("<=", 48) if gated else None,
        ),
        Figure(f"{name}: CPU, idle", "% of a core", idle, gate=Gate("<=", 0.3) if gated else None),
        Figure(f"{name}: memory, after {BUSY:g} scans/s", "MB", [proc.resident(pid)]),
        Figure(f"{name}: CPU, at {BUSY:g} scans/s", "% of a core", [busy]),
    ]


def _used(pid: int, work: Callable[[], object]) -> float:
    """Percent of a core that the daemon uses meanwhile."""
    began, before = now(), proc.cpu(pid)
    work()
    return 100 * (proc.cpu(pid) - before) / (now() - began)


def _scan(ours: Ours, rate: float, seconds: float) -> int:
    """Scan at this rate; return how often."""
    count, arrived = max(1, round(rate * seconds)), len(ours.arrived)
    for number in _paced(rate, count):
        ours.one(number)
    ours.arrived.wait(arrived + count)
    return count


def _paced(rate: float, count: int) -> Iterator[int]:
    began = now()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - now()))
        yield number


def _started(stack: ExitStack, scale: Scale) -> list[Figure]:
    """With nfc and ble, from the start of the process."""
    ours = Ours(stack, workplace(stack) / "ours", drivers=_radio(stack))
    readings, items = [], []
    for start in range(scale.starts):
        say(f"footprint: start {start + 1}/{scale.starts}")
        ours.settle()
        ours.store.stop()
        arrived = len(ours.arrived)
        began = now()
        readings.append(first_reading(ours))
        items.append(ours.arrived[arrived] - began)
        ours.store.ready()
    return [
        Figure("start to the first reading, nfc and ble", "s", readings, gate=Gate("<=", 0.7), goal=Gate("<=", 0.4)),
        Figure("start to the first item in the app", "s", items),
    ]


def _written(stack: ExitStack, scale: Scale) -> list[Figure]:
    ours = Ours(stack, workplace(stack) / "ours", timed=False)
    figures = []
    for rate in RATES:
        count = scale.slow if rate < 1 else max(10, round(rate * scale.seconds))
        say(f"footprint: {count} scans at {rate:g}/s")
        ours.settle()
        time.sleep(CALM)
        before = proc.written(ours.store.pid)
        _scan(ours, rate, count / rate)
        ours.settle()
        time.sleep(CALM)
        each = (proc.written(ours.store.pid) - before) / count / 1000
        gates = (Gate("<=", 10), Gate("<=", 4)) if rate == RATES[1] else (None, None)
        figures.append(
            Figure(f"written to the disk per scan, at {rate:g}/s", "kB", [each], gate=gates[0], goal=gates[1])
        )
    return figures


def _imported(stack: ExitStack) -> tuple[float, str]:
    """Milliseconds of all imports, and the modules that take most, without what they import."""
    os.environ["CARTWIRE"] = f"{sys.executable} -X importtime -m edge.cli"
    ours = Ours(stack, workplace(stack) / "ours", timed=False)
    own: dict[str, float] = {}
    for alone, _, module in IMPORTED.findall(ours.store.log.read_text()):
        own[module] = own.get(module, 0.0) + int(alone) / 1000
    most = sorted(own.items(), key=lambda each: -each[1])[:TOP]
    return sum(own.values()), "Slowest imports, ms: " + ", ".join(f"{name} {ms:.1f}" for name, ms in most) + "."
