"""What a power cut may leave of a folder: all that was synced, and any part of what was not."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    from peers.trace import Call

SECTOR = 512
"""Bytes that a disk writes as a whole; a longer write may be torn."""

Image = dict[str, bytes]
"""The files of a folder by name."""


class File(NamedTuple):
    """A file, not its name: once removed, the next of this name is another."""

    name: str
    number: int


class Change(NamedTuple):
    """A write, or without data the cut (or growth) to `offset`."""

    file: File
    offset: int
    data: bytes | None

    def sectors(self) -> list[Change]:
        """Return the parts that a power cut keeps or loses as a whole."""
        if self.data is None:
            return [self]
        end = self.offset + len(self.data)
        cuts = [self.offset, *range(self.offset - self.offset % SECTOR + SECTOR, end, SECTOR), end]
        return [
            Change(self.file, cut, self.data[cut - self.offset : after - self.offset]) for cut, after in pairwise(cuts)
        ]

    def apply(self, content: bytearray) -> None:
        """Carry it out."""
        content.extend(bytes(max(0, self.offset - len(content))))
        if self.data is None:
            del content[self.offset :]
        else:
            content[self.offset : self.offset + len(self.data)] = self.data


class Disk:
    """The files of a folder that was empty when the calls began.

    A sync keeps what was written to its file, and all names removed until then, as journalling file systems do.
    SQLite's -shm is left out: it holds nothing that is not in the WAL.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is written yet."""
        self._folder = folder
        self._synced: dict[File, bytearray] = {}
        self._pending: list[Change] = []
        self._removed: list[str] = []
        self._numbers: dict[str, int] = {}

    def concerns(self, call: Call) -> bool:
        """Whether the call is about a file of the folder, or the folder itself."""
        path = Path(call.path)
        return (path == self._folder or path.parent == self._folder) and path.suffix != ".db-shm"

    def take(self, call: Call) -> None:
        """Let one call that `concerns` it happen."""
        name = Path(call.path).name
        file = File(name, self._numbers.get(name, 0))
        match call.name:
            case "pwrite64":
                self._pending.append(Change(file, call.number, call.data))
            case "ftruncate":
                self._pending.append(Change(file, call.number, None))
            case "unlink":
                self._removed.append(name)
                self._numbers[name] = file.number + 1
            case "fdatasync" | "fsync":
                self._sync(file)
            case other:
                message = f"what {other} of {call.path} means for the disk is not known here"
                raise NotImplementedError(message)

    def synced(self) -> Image:
        """Return what is there for certain."""
        return self._image(len(self._removed), ())

    def images(self, dice: random.Random, most: int) -> Iterator[Image]:
        """Yield what may be there: all subsets of whole writes if they are not more than `most`; and some torn.

        If they are more: all, none, and a sample of beginnings and of subsets.
        """
        pending, removed = self._pending, len(self._removed)
        if (removed + 1) << min(len(pending), 30) <= most:
            for names, *kept in product(range(removed + 1), *[(False, True)] * len(pending)):
                yield self._image(names, [change for change, keep in zip(pending, kept, strict=True) if keep])
        else:
            yield self._image(removed, pending)
            yield self._image(0, ())
            for _ in range(most // 3):
                yield self._image(removed, pending[: dice.randint(0, len(pending))])
            for _ in range(most // 3):
                yield self._image(dice.randint(0, removed), _some(dice, pending))
        for _ in range(most // 3 if pending else 0):
            sectors = [part for change in pending for part in change.sectors()]
            yield self._image(dice.randint(0, removed), _some(dice, sectors))

    def _sync(self, synced: File) -> None:
        waiting, self._pending = self._pending, []
        for change in waiting:
            if change.file == synced:
                change.apply(self._synced.setdefault(synced, bytearray()))
            elif change.file.number == self._numbers.get(change.file.name, 0):
                self._pending.append(change)
        self._removed.clear()
        for file in [file for file in self._synced if file.number < self._numbers.get(file.name, 0)]:
            del self._synced[file]

    def _image(self, removed: int, kept: Sequence[Change]) -> Image:
        """Return the files after the first `removed` removals that wait, with these changes."""
        changed = {change.file for change in kept}
        files = {file: bytearray(data) if file in changed else data for file, data in self._synced.items()}
        for change in kept:
            change.apply(files.setdefault(change.file, bytearray()))
        undone = self._removed[removed:]
        return {
            file.name: bytes(data)
            for file, data in files.items()
            if file.number == self._numbers.get(file.name, 0) - undone.count(file.name)
        }


def _some(dice: random.Random, changes: Sequence[Change]) -> list[Change]:
    keep = dice.random()
    return [change for change in changes if dice.random() < keep]


def lay(image: Image, folder: Path) -> None:
    """Make the folder hold the image and nothing else."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in image.items():
        (folder / name).write_bytes(data)


@contextmanager
def memory() -> Iterator[Path]:
    """Make a folder, in memory if there is such a place."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as folder:
        yield Path(folder)
