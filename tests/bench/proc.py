"""What Linux says of a process: proc(5)."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> float:
    """Return the resident memory, MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def cpu(pid: int) -> float:
    """Return the seconds of CPU that its threads have used: as the scheduler counts, not in ticks of 10 ms."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def written(pid: int) -> int:
    """Return the bytes that it has let the disk write: whole pages of the kernel's cache."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"])
