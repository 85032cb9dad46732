"""Cues as sounds: files that a program such as aplay plays, one for each outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

from edge.model import Outcome


@dataclass(frozen=True, slots=True)
class Sound:
    """`player`: the program and its arguments, to which the file is added. An outcome without a file is silent."""

    player: tuple[str, ...]
    files: Mapping[Outcome, Path]

    async def cue(self, outcome: Outcome) -> None:
        """Plays to the end; cancelling stops the player. Raises OSError."""
        if outcome not in self.files:
            return
        command = *self.player, str(self.files[outcome])
        player = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        try:
            code = await player.wait()
        finally:
            if player.returncode is None:
                player.kill()
        if code:
            raise OSError(f"the player failed ({code}); see what it says: {' '.join(command)}")
