"""Children of a test: their output goes to files, and none of them outlives the test."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from contextlib import ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")


BUSY = 12.0
"""Seconds that a machine which runs five tests at once may take on top of what is promised."""
STOP = 9.0
"""Seconds that the daemon may take to stop: before systemd would kill it. Five are aimed at."""
_BEAT, _SLEPT = 0.05, 0.2
_stood: list[float] = [0.0]
"""Seconds for which nobody here got anything done since the start, as when the whole machine stands still."""


def _watch() -> None:
    while True:
        before = time.monotonic()
        time.sleep(_BEAT)
        if (slept := time.monotonic() - before) > _SLEPT:
            _stood[0] += slept


threading.Thread(target=_watch, name="stalls", daemon=True).start()


def until(condition: Callable[[], T], what: str | Callable[[], str], seconds: float = 20.0) -> T:
    """Return the first true answer of `condition`; fail, and say `what`, after `seconds`.

    While the whole machine stood still nobody could be in time: that does not count.
    """
    end = time.monotonic() + seconds - _stood[0]
    while not (answer := condition()):
        time.sleep(0.01)
        if time.monotonic() > end + _stood[0]:
            time.sleep(2 * _BEAT)  # it may have been now that all stood still
            if time.monotonic() < end + _stood[0]:
                continue
            message = f"not within {seconds:g} s: {what if isinstance(what, str) else what()}"
            raise AssertionError(message)
    return answer


def free_port(count: int = 1) -> int:
    """Return a loopback port that stays ours while the server behind it is down; of `count` in a row, the first.

    Below 32768: a client that keeps dialling a dead port of the ephemeral range can end up
    connected to itself, and then nobody can listen there any more.
    """
    own = _slice()
    for port in random.SystemRandom().sample(range(own, own + _SLICE - count), _SLICE // 2):
        with ExitStack() as probes, suppress(OSError):
            if port in _given:
                continue
            for number in range(port, port + count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", number))
            _given.append(port)
            return port
    message = "no free loopback port"
    raise OSError(message)


_SLICE = 1000
_given: deque[int] = deque(maxlen=_SLICE // 4)
"""Those behind which a server may be down just now."""


@cache
def _slice() -> int:
    """Where a thousand ports begin that no other process of the tests is given, as long as a dozen run at most."""
    for start in range(20_000, 32_000, _SLICE):
        mark = socket.socket(socket.AF_UNIX)
        with suppress(OSError):
            mark.bind(f"\0cartwire-tests-{start}")
            _marks.append(mark)  # until the process ends
            return start
        mark.close()
    return random.SystemRandom().randrange(20_000, 32_000, _SLICE)


_marks: list[socket.socket] = []


class Child:
    """One process, the leader of its own group; `kill` is SIGKILL to the group, as a power cut."""

    def __init__(
        self,
        command: Sequence[str],
        output: Path,
        errors: Path | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start it; without `errors` both streams go to `output`, behind what is there."""
        self.output = output
        self._start = output.stat().st_size if output.exists() else 0
        with output.open("ab") as out, (errors or output).open("ab") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """Hand over the running child."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever the test did."""
        self.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def text(self) -> str:
        """Return what this child has written so far."""
        return self.output.read_bytes()[self._start :].decode(errors="replace")

    def line(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """Wait for the first line in which `pattern` is found."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.text(), re.MULTILINE)
            if match is None and not self.running:
                message = f"ended without {pattern!r}:\n{self.text()[-2000:]}"
                raise AssertionError(message)
            return match

        match = until(found, f"{pattern!r} in {self.output.name}", seconds)
        assert match is not None
        return match

    def terminate(self, seconds: float = 15.0, how: signal.Signals = signal.SIGTERM) -> int:
        """SIGTERM, or Ctrl-C; return its exit code, or fail (and kill it) when it does not end."""
        if self.running:
            self._process.send_signal(how)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"does not end on {how.name}:\n{self.text()[-2000:]}"
            raise AssertionError(message) from None

    def kill(self) -> None:
        """SIGKILL to it and its children, and reap it."""
        if self._process.returncode is None:  # not reaped yet, so the group id is still its own
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
