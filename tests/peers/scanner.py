"""A kernel with input devices, for one without uinput: a small library that comes before libc, built with gcc.

A device is a FIFO in a folder that stands for /dev/input; what is written into it are the `struct input_event` of
linux/input.h. The library answers what evdev asks of a device; a device without a writer was unplugged.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evdev import ecodes as e

from peers.keyboard import events, stroke, typed
from peers.store import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evdev import InputEvent

    from peers.keyboard import Stroke

SOURCE = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/input.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))
static const char *there(const char *path, char *room) {
    if (strncmp(path, "/dev/input", 10)) return path;
    snprintf(room, PATH_MAX, "%s%s", getenv("INPUT_FOLDER"), path + 10);
    return room;
}
static int device(int fd, char *room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, room, PATH_MAX - 1);
    room[size > 0 ? size : 0] = 0;
    return !strncmp(room, getenv("INPUT_FOLDER"), strlen(getenv("INPUT_FOLDER"))) && strstr(room, "/event");
}
static int opened(int (*real)(const char *, int, ...), const char *path, int flags, int mode) {
    char room[PATH_MAX];
    struct stat about;
    if (there(path, room) == path) return real(path, flags, mode);
    if (!stat(room, &about) && S_ISFIFO(about.st_mode)) {
        if (!(about.st_mode & 0444)) return errno = EACCES, -1;
        flags = (flags & ~O_ACCMODE) | O_RDONLY;
    }
    return real(room, flags, mode);
}
#define MODE va_list rest; va_start(rest, flags); int mode = flags & O_CREAT ? va_arg(rest, int) : 0; va_end(rest);
int open(const char *path, int flags, ...) { MODE return opened(REAL(open), path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(REAL(open64), path, flags, mode); }
DIR *opendir(const char *path) { char room[PATH_MAX]; return REAL(opendir)(there(path, room)); }
int stat(const char *path, struct stat *to) { char room[PATH_MAX]; return REAL(stat)(there(path, room), to); }
int stat64(const char *path, struct stat64 *to) { char room[PATH_MAX]; return REAL(stat64)(there(path, room), to); }
ssize_t read(int fd, void *to, size_t size) {
    char room[PATH_MAX];
    ssize_t got = REAL(read)(fd, to, size);
    if (got == 0 && size && device(fd, room)) return errno = ENODEV, -1;
    return got;
}
int ioctl(int fd, unsigned long request, ...) {
    char room[PATH_MAX], about[PATH_MAX + 8], lines[4][256] = {{0}};
    va_list rest;
    va_start(rest, request);
    void *to = va_arg(rest, void *);
    va_end(rest);
    if (_IOC_TYPE(request) != 'E' || !device(fd, room)) return REAL(ioctl)(fd, request, to);
    snprintf(about, sizeof about, "%s", room);
    memcpy(strstr(about, "/event"), "/about", 6);
    FILE *file = fopen(about, "r");
    if (!file) return errno = ENODEV, -1;
    for (int n = 0; n < 4; n++) if (fgets(lines[n], 256, file)) lines[n][strcspn(lines[n], "\n")] = 0;
    unsigned char keys[KEY_MAX / 8 + 1] = {0};
    for (int key; fscanf(file, "%d", &key) == 1;) keys[key / 8] |= 1 << key % 8;
    fclose(file);
    size_t size = _IOC_SIZE(request);
    unsigned char types[] = {1 << EV_SYN | 1 << EV_KEY};
    struct input_id *id = to;
    switch (_IOC_NR(request)) {
        case 0x01: case 0x84: *(int *) to = _IOC_NR(request) == 1 ? EV_VERSION : 0; return 0;
        case 0x02: id->bustype = BUS_USB; sscanf(lines[0], "%hx:%hx", &id->vendor, &id->product); return 0;
        case 0x06: case 0x07: case 0x08: strncpy(to, lines[_IOC_NR(request) - 5], size); return 0;
        case 0x20: memcpy(to, types, sizeof types); return 0;
        case 0x20 + EV_KEY: memcpy(to, keys, size < sizeof keys ? size : sizeof keys); return 0;
        case 0x90: return flock(fd, (to ? LOCK_EX : LOCK_UN) | LOCK_NB) ? errno = EBUSY, -1 : 0;
        case 0xa0: return *(int *) to == CLOCK_MONOTONIC ? 0 : (errno = EINVAL, -1);
    }
    return errno = EINVAL, -1;
}
"""

TYPING = tuple(range(e.KEY_ESC, e.KEY_KPDOT + 1))
WHOLE = 4096 // struct.calcsize("llHHi")  # what a pipe takes in one piece
VOLUME = (e.KEY_MUTE, e.KEY_VOLUMEDOWN, e.KEY_VOLUMEUP)


class Kernel:
    """What has input devices, for commands that are started as `daemon` says; at first it has none."""

    def __init__(self, folder: Path) -> None:
        """Build the library."""
        self.folder = folder / "input"
        self.folder.mkdir(parents=True)
        library = folder / "input.so"
        build = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
        subprocess.run(build, input=SOURCE, text=True, check=True, timeout=60)
        self.environment = {"LD_PRELOAD": str(library), "INPUT_FOLDER": str(self.folder)}
        cartwire = command("run", Path("edge.toml"))[:-3]
        self.daemon = shlex.join(["env", *(f"{key}={value}" for key, value in self.environment.items()), *cartwire])
        """What `CARTWIRE` has to be in the environment of a `Store`."""
        self.devices: list[Device] = []

    def plug(
        self,
        number: int,
        name: str = "ACME Scan 9",
        usb: str = "ffff:0035",
        phys: str = "usb-1/input0",
        keys: Iterable[int] = TYPING,
    ) -> Device:
        """Plug in what has one event device, of this number."""
        device = Device(self.folder, number, f"{usb}\n{name}\n{phys}\n\n{' '.join(map(str, keys))}\n")
        self.devices.append(device)
        return device

    def link(self, name: str, number: int) -> None:
        """Name an event device by its socket."""
        (self.folder / "by-path").mkdir(exist_ok=True)
        (self.folder / "by-path" / name).symlink_to(f"../event{number}")

    def close(self) -> None:
        """Unplug all."""
        for device in self.devices:
            device.unplug()


class Device:
    """One event device, and whoever presses its keys, at most one line in 0.2 s."""

    def __init__(self, folder: Path, number: int, about: str) -> None:
        """Plug it in."""
        self._about, self.path = folder / f"about{number}", folder / f"event{number}"
        self._about.write_text(about)
        os.mkfifo(self.path)
        self._end: int | None = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.at = 0.0

    def unplug(self) -> None:
        """Pull it out; whoever reads it is told."""
        if self._end is not None:
            self._about.unlink()
            self.path.unlink()
            os.close(self._end)
            self._end = None

    def forbid(self) -> None:
        """Let nobody read it; not even root."""
        self.path.chmod(0)

    @property
    def grabbed(self) -> bool:
        """Whether what it types reaches one program alone."""
        other = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(other)
        return False

    def grab(self) -> None:
        """Grab it as another program."""
        assert self._end is not None
        fcntl.flock(self._end, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def scan(self, text: str, layout: str = "us", end: int = e.KEY_ENTER) -> None:
        """Read a code."""
        self.press([*typed(text, layout), *stroke(end)])

    def press(self, strokes: Iterable[Stroke]) -> None:
        """Press keys, after a pause."""
        self.at = max(self.at, time.monotonic()) + 0.2
        self.write(events(strokes, self.at))

    def write(self, made: list[InputEvent]) -> None:
        """Let the kernel tell of these."""
        assert self._end is not None
        self.at = made[-1].timestamp()
        for start in range(0, len(made), WHOLE):
            packed = [struct.pack("llHHi", x.sec, x.usec, x.type, x.code, x.value) for x in made[start : start + WHOLE]]
            os.write(self._end, b"".join(packed))
