"""A store struck at a system call: killed there, or told that the disk failed.

Without --seccomp-bpf, under which strace 6.1 swallows the signals it is to inject. Calls are counted in each thread
by itself; the daemon writes and syncs in two: in its loop while the disk is quick, else, and when it moves the WAL
into the file, in the database's.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from peers.process import Child, until
from peers.store import Store, command

STRACE = ("strace", "-D", "-f", "-qq", "-y", "-s", "0")
CALL = re.compile(r"(\w+)\(\d+<[^>]*?([^/>]*)>")


class Struck(Store):
    """A store whose next starts run under strace with `fault`; None: without."""

    fault: str | None = None
    about: Path | None = None
    """Only calls about this file."""

    def start(self) -> None:
        """Start the daemon; with a fault such as `fdatasync:signal=KILL:when=7` it meets it."""
        if self.fault is None:
            super().start()
            return
        assert not self.running
        self._trace.write_text("")
        inject = ["-e", f"trace={self.fault.partition(':')[0]}", "-e", f"inject={self.fault}"]
        inject += ["-P", str(self.about)] if self.about else []
        strace = [*STRACE, "-o", str(self._trace), *inject]
        self._child = Child([*strace, *command("run", self.config)], self.log, cwd=self.folder)

    def fell(self, seconds: float = 240) -> None:
        """Wait until the daemon has ended by itself."""
        until(lambda: not self.running, lambda: f"the end by {self.fault}:\n{self.tail()}", seconds)

    def fell_or_opened(self, seconds: float = 60) -> None:
        """Wait until the daemon has ended by itself or is at work."""
        until(lambda: not self.running or "cart: ok" in self.said, f"an end or a start with {self.fault}", seconds)

    @property
    def said(self) -> str:
        """What the daemon has logged since its last start."""
        assert self._child is not None
        return self._child.text()

    def mend(self) -> None:
        """End the fault; the daemon goes on."""
        status = Path(f"/proc/{self.pid}/status")
        tracer = re.search(r"TracerPid:\t(\d+)", status.read_text())
        assert tracer
        os.kill(int(tracer[1]), signal.SIGKILL)
        until(lambda: "TracerPid:\t0" in status.read_text(), "strace to let go")

    def struck(self) -> list[tuple[str, str]]:
        """Return the calls of the last run that the fault hit, and the files they were about."""
        lines = self._trace.read_text().splitlines()
        if any("+++ killed by SIGKILL" in line for line in lines):
            return [call for line in lines for call in CALL.findall(line)][-1:]
        return [call for line in lines if line.endswith("(INJECTED)") for call in CALL.findall(line) or [("call", "?")]]

    def went_on(self) -> list[tuple[str, str]]:
        """Return the same calls that were made after the first that failed."""
        return CALL.findall(self._trace.read_text().partition("(INJECTED)")[2])

    @property
    def _trace(self) -> Path:
        return self.folder / "strike.strace"
