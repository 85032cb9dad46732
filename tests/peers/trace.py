"""What a process asks of the kernel, as strace sees it: what it writes, syncs, sends and hears, in order."""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peers.process import Child, until
from peers.store import Store, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRACE = ("strace", "-D", "-f", "--seccomp-bpf", "-ttt", "-T", "-y", "-xx", "-s", "10000000")
WATCHED = "pwrite64,write,ftruncate,rename,unlink,fdatasync,fsync,sendto,sendmsg,recvfrom"
SENDS = frozenset({"write", "sendto", "sendmsg"})
"""Calls whose bytes may be seen by others as soon as they are made."""

QUOTED = re.compile(r'"([^"]*)"')
ON_FILE = re.compile(r"\d+<([^>]*)>")
NUMBER = re.compile(r"(\d+)\)$")


@dataclass(frozen=True)
class Call:
    """A system call that succeeded, or a send that was tried."""

    name: str
    path: str
    """Of the file it is about, or `socket:[…]`."""
    data: bytes
    number: int
    """The last argument, if it is a number: of pwrite64 the offset, of ftruncate the size."""
    at: float
    """Seconds since 1970: of a send when it began, of any other when it was over."""


class Traced(Store):
    """A store whose daemon and followers run under strace, beside them: signals still reach them themselves."""

    def start(self) -> None:
        """Start the daemon; a trace goes on with the next start."""
        assert not self.running
        self._child = Child(self._under("run"), self.log, cwd=self.folder)

    def follow(self, output: Path, since: str | None = None) -> Child:
        """Start `cartwire events --follow --json`."""
        more = ["--since", since] if since else []
        return Child([*self._under("events"), "--follow", "--json", *more], output, output.with_suffix(".err"))

    def stop(self) -> None:
        """End the daemon by SIGTERM, and wait until its trace is whole."""
        pid = self.pid
        super().stop()
        ends = re.compile(rf"^{pid} .*\+\+\+ exited with 0 \+\+\+$", re.MULTILINE)
        until(lambda: ends.search(self._trace("run").read_text()), "the end of the trace")

    def calls(self) -> Iterator[Call]:
        """Everything the daemon and its followers have done until now, in the order of time."""
        traces = [calls(path) for path in (self._trace("run"), self._trace("events")) if path.exists()]
        return heapq.merge(*traces, key=lambda call: call.at)

    def _trace(self, verb: str) -> Path:
        return self.folder / f"{verb}.strace"

    def _under(self, verb: str) -> list[str]:
        return [*STRACE, "-e", f"trace={WATCHED}", "-A", "-o", str(self._trace(verb)), *command(verb, self.config)]


def calls(trace: Path) -> Iterator[Call]:
    """Read a trace; a line that another thread interrupts is put together again."""
    begun: dict[str, str] = {}
    with trace.open() as lines:
        for line in lines:
            pid, at, text = line.rstrip("\n").split(None, 2)
            if text.startswith("<... "):
                whole = begun.pop(pid) + text.partition("resumed>")[2]
                if whole.partition("(")[0] not in SENDS:
                    yield from _call(whole, float(at), interrupted=True)
            elif text.endswith(" <unfinished ...>"):
                begun[pid] = text.removesuffix(" <unfinished ...>")
                if text.partition("(")[0] in SENDS:
                    yield from _call(f"{begun[pid]}) = 0", float(at), interrupted=True)
            else:
                yield from _call(text, float(at), interrupted=False)


def _call(text: str, at: float, *, interrupted: bool) -> Iterator[Call]:
    """Take a whole line apart; it ends with ` = RESULT <SECONDS>`. Signals and exits are no calls."""
    head, equals, result = text.rpartition(" = ")
    name, bracket, arguments = head.partition("(")
    if not equals or not bracket or (name not in SENDS and not result[0].isdecimal()):
        return
    if name not in SENDS and not interrupted:
        at += float(result.partition("<")[2].rstrip(">"))
    file = ON_FILE.match(arguments)
    data = b"".join(_unescaped(quoted) for quoted in QUOTED.findall(arguments))
    path = _unescaped(file[1]).decode() if file else data.decode()
    last = NUMBER.search(arguments.rstrip())
    yield Call(name, path, data, int(last[1]) if last else 0, at)


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()
