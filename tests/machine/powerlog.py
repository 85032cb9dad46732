"""A disk after a power cut, out of the log of all that was written to it.

The log is dm-log-writes', which QEMU's blklogwrites keeps: a sector of its own says what it is, then entries, each a
sector that names place and length, with the data behind. Durable is what was written before the last flush; of what
came after, a disk may have kept any part.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC = 0x6A736677736872
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD = 1, 2, 4


@dataclass(frozen=True)
class Write:
    """One entry: bytes `size` to byte `place` of the disk, which lie at `at` in the log."""

    place: int
    size: int
    flags: int
    at: int


def entries(log: BinaryIO) -> Iterator[Write]:
    """Yield all whole entries. The count in the head may be behind: it is written after them."""
    magic, version, count, sector = SUPER.unpack(log.read(SUPER.size))
    assert (magic, version) == (MAGIC, 1), "no log of writes"
    at = sector
    for _ in range(count):
        log.seek(at)
        place, sectors, flags, _ = ENTRY.unpack(log.read(ENTRY.size))
        size = sectors * sector
        yield Write(place * sector, size, flags, at + sector)
        at += sector + (0 if flags & DISCARD else size)


def replay(log: Path, disk: Path, rng: random.Random) -> str:
    """Write to `disk`, which is as it was at the log's start, what is there after the cut; say what was lost."""
    with log.open("rb") as source, disk.open("r+b") as target:
        writes = [write for write in entries(source) if not write.flags & DISCARD]
        last = max((number for number, write in enumerate(writes) if write.flags & FLUSH), default=-1)
        after = writes[last + 1 :]
        share = rng.choice((0.0, rng.random()))
        kept = [write for write in after if rng.random() < share]
        for write in [*writes[: last + 1], *kept]:
            source.seek(write.at)
            target.seek(write.place)
            target.write(source.read(write.size))
    return (
        f"{disk.stem}: {len(writes)} writes, {len(after)} behind the last flush, {len(after) - len(kept)} of them lost"
    )
