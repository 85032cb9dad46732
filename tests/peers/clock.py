"""A kernel that says of its clock what a test wants: a small library that comes before libc, built with gcc."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from peers.store import command

SOURCE = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>
int adjtimex(struct timex *t) { t->status = access(getenv("CLOCK_RIGHT"), F_OK) ? STA_UNSYNC : 0; return 0; }
static long wrong(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_WRONG"), "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t id, struct timespec *t) {
    int result = syscall(SYS_clock_gettime, id, t);
    if (id == CLOCK_REALTIME) t->tv_sec += wrong();
    return result;
}
int gettimeofday(struct timeval *t, void *zone) {
    int result = syscall(SYS_gettimeofday, t, zone);
    t->tv_sec += wrong();
    return result;
}
time_t time(time_t *at) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return at ? (*at = t.tv_sec) : t.tv_sec;
}
"""


class Synchronisation:
    """Whether the clock is synchronised, and how wrong it is, for daemons that are started as `daemon` says.

    At first it is not synchronised, and right by chance. CLOCK_BOOTTIME goes on as it is.
    """

    def __init__(self, folder: Path) -> None:
        """Build the library."""
        folder.mkdir()
        self._right, self._wrong = folder / "right", folder / "wrong"
        library = folder / "clock.so"
        build = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(build, input=SOURCE, text=True, check=True, timeout=60)
        cartwire = command("run", Path("edge.toml"))[:-3]
        self.daemon = shlex.join(
            ["env", f"LD_PRELOAD={library}", f"CLOCK_RIGHT={self._right}", f"CLOCK_WRONG={self._wrong}", *cartwire]
        )
        """What `CARTWIRE` has to be in the environment of a `Store`."""

    def reached(self) -> None:
        """Let the clock be synchronised from now on."""
        self._right.touch()

    def is_wrong_by(self, seconds: int) -> None:
        """Let the wall clock jump there."""
        part = self._wrong.with_suffix(".part")
        part.write_text(str(seconds))
        part.replace(self._wrong)
