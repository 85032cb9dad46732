"""Files that are to be gone: overwritten, not only removed. On flash old blocks may live on until they are reused."""

from __future__ import annotations

import os
from pathlib import Path

_PIECE = 1 << 20


def wipe(path: Path) -> None:
    """Overwrites the file and removes it; of what is no file with bytes of its own (a link, a socket) only the name."""
    if path.is_file() and not path.is_symlink():
        with path.open("r+b") as file:
            size = path.stat().st_size
            for done in range(0, size, _PIECE):
                file.write(bytes(min(_PIECE, size - done)))  # and no more: the disk may be full
            file.flush()
            os.fsync(file.fileno())
    path.unlink()


def empty(folder: Path) -> None:
    """Wipes all that is in the folder and below."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            wipe(Path(parent, name))
        for name in folders:
            below = Path(parent, name)
            below.unlink() if below.is_symlink() else below.rmdir()
