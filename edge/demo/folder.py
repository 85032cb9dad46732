"""The demo's folder. A demo that was killed cannot take its own away: the next one does."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "cartwire-demo-"
_LOCK = "lock"


@contextmanager
def folder() -> Iterator[Path]:
    """A new one, there for as long as the context is open; before that those of the dead go."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (made / _LOCK).touch()
    with _locked(made):
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock goes with the process that has it. Raises OSError if somebody has it, or nobody made it."""
    descriptor = os.open(path / _LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
