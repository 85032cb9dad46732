"""The machine's journal: a real journald in a mount namespace of its own, so that it and the machine's never meet."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from peers.process import Child, until

if TYPE_CHECKING:
    from pathlib import Path

AS_ROOT = [] if os.getuid() == 0 else ["sudo"]
_FOLDERS = "/run/systemd/journal /run/log/journal"
_START = f"mount -t tmpfs tmpfs /run && mkdir -p {_FOLDERS} && exec /usr/lib/systemd/systemd-journald"


class Journald:
    """Runs until it is closed."""

    def __init__(self, folder: Path) -> None:
        """Return when it takes entries; its own output goes into the folder."""
        self._child = Child([*AS_ROOT, "unshare", "--mount", "sh", "-c", _START], folder / "journald.log")
        there = [*self.inside, "test", "-S", "/run/systemd/journal/socket"]
        until(lambda: subprocess.run(there, check=False, capture_output=True).returncode == 0, "journald")

    @property
    def inside(self) -> list[str]:
        """Begin a command that is run where this journal is the machine's."""
        leader = self._child.pid
        if AS_ROOT:  # sudo's child is the one that is in there
            found = subprocess.run(["pgrep", "-P", str(leader)], capture_output=True, text=True, check=False).stdout
            leader = int(found.split()[0]) if found else leader
        return [*AS_ROOT, "nsenter", f"--target={leader}", "--mount", f"--wd={os.getcwd()}"]  # noqa: PTH109

    def entries(self, *fields: str) -> list[dict[str, Any]]:
        """Return the daemon's entries so far, or those that have all these `NAME=value`."""
        ask = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet", "SYSLOG_IDENTIFIER=cartwire", *fields]
        done = subprocess.run([*self.inside, *ask], capture_output=True, text=True, timeout=30, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def close(self) -> None:
        """End it, with all that it has kept."""
        self._child.kill()
