"""Mutants: copies of the daemon with one protection taken out, to see that the tests miss it.

A mutant is a table of lines, told by how they begin: each must be there exactly once, and is replaced.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("edge", "sync", "drivers")
SAME = "the line itself"


class DoesNotApplyError(AssertionError):
    """The line is not there, or more than once: the mutant has to follow the code."""


@dataclass(frozen=True)
class Edit:
    """In `file`, the line that begins with `line` becomes the lines `by`, indented as it was; SAME is itself."""

    file: str
    line: str
    by: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Carry it out below `root`."""
        path = root / self.file
        before = path.read_text().splitlines()
        places = [n for n, line in enumerate(before) if line.lstrip().startswith(self.line)]
        if len(places) != 1:
            message = f"{self.file} has {len(places)} lines {self.line!r}, not one: bring tests/mutants up to date"
            raise DoesNotApplyError(message)
        (place,) = places
        same = before[place].lstrip()
        indent = before[place].removesuffix(same)
        after = [indent + (same if line is SAME else line) for line in self.by]
        path.write_text("\n".join([*before[:place], *after, *before[place + 1 :]]) + "\n")


@dataclass(frozen=True)
class Mutant:
    """A protection that is missing."""

    name: str
    edits: tuple[Edit, ...]

    def plant(self, root: Path) -> None:
        """Copy the daemon to `root` without the protection."""
        for package in PACKAGES:
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        for edit in self.edits:
            edit.apply(root)

    def ran(self, root: Path) -> bool:
        """Whether Python has loaded every changed file of the copy: it leaves the compiled one beside it."""
        changed = [root / edit.file for edit in self.edits]
        return all(list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")) for path in changed)
