"""Scanners that are keyboards, on USB or Bluetooth: read from evdev, and grabbed so that they type nowhere else.

A scanner is looked for at each start, whatever number its event device has got: one that was unplugged or has slept
is another device when it comes back.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from evdev import InputDevice
from evdev import ecodes as e
from msgspec import Meta

from drivers.hid.keyboard import Keyboard
from drivers.hid.layouts import Name
from edge import beside
from edge.model import Reading, Ready, Scan
from edge.ports import DeviceLost, Emit

log = logging.getLogger(__name__)

FOLDER = Path("/dev/input")
_SET_CLOCK = 0x400445A0
"""EVIOCSCLOCKID of linux/input.h, for which evdev has no name. Event times are the wall clock's without it."""
_TYPING = frozenset({*range(e.KEY_1, e.KEY_0 + 1), e.KEY_ENTER})
_DENIED = "may not be read; put the daemon's user into the group input: usermod --append --groups input USER"
_REASONS = {
    errno.ENOENT: "is not there; plug it in, or wake it up",
    errno.ENODEV: "is gone; plug it in again, or wake it up",
    errno.EBUSY: "is held by another program; end that one, or set grab = false",
    errno.ENOTTY: "is no input device; `cartwire devices` prints those there are",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
}

_Device = InputDevice[str]
_Text = Annotated[str, Meta(min_length=1)]
_Usb = Annotated[
    str, Meta(pattern=r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{4}\Z", description="vendor:product in hex, such as 0c2e:0b61")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The scanner: one of `path`, `name` (a part of the device's name), `usb` ("vendor:product", hex; Bluetooth too).

    `grab`: what it types reaches nobody else. `layout`: the country that the scanner itself is set to. `prefix`,
    `suffix`: what it was set to add to each code; they are taken off, and a line without them is not a whole code.
    """

    read_point: str
    path: Path | None = None
    name: _Text | None = None
    usb: _Usb | None = None
    grab: bool = True
    layout: Name = "us"
    prefix: str = ""
    suffix: str = ""

    def __post_init__(self) -> None:
        if sum(key is not None for key in (self.path, self.name, self.usb)) != 1:
            raise ValueError("needs one of path, name and usb; `cartwire devices` prints what is attached")

    async def run(self, emit: Emit) -> None:
        path = self.path or Path(await asyncio.to_thread(self._found))  # it opens each, which takes its time
        try:
            with closing(InputDevice(path)) as device:
                await beside.follow(partial(self._read, device), emit, f"scanner {path}")
        except OSError as error:
            raise DeviceLost(f"{path} {_REASONS.get(error.errno or 0) or os.strerror(error.errno or 0)}") from None

    def _read(self, device: _Device, wait: beside.Wait) -> Iterator[Reading]:
        if not _types(device):
            raise DeviceLost(f"{device.path} has no digits and no Enter; name another event device of the scanner")
        fcntl.ioctl(device.fd, _SET_CLOCK, struct.pack("i", time.CLOCK_MONOTONIC))
        if self.grab:
            device.grab()
        log.info("%s: scanner %s, %s", self.read_point, device.path, device.name)
        yield Ready(read_point=self.read_point)
        keyboard = Keyboard(self.layout, time.monotonic(), self.prefix, self.suffix)
        while True:
            wait(device.fd, None)
            before = keyboard.trouble
            with suppress(BlockingIOError):
                for event in device.read():
                    if line := keyboard.take(event):
                        yield Scan(read_point=self.read_point, text=line)
            if keyboard.trouble and keyboard.trouble != before:
                log.warning("%s: a line is thrown away: %s", self.read_point, keyboard.trouble)

    def _found(self) -> str:
        """The path of the scanner's event device. Raises DeviceLost, also if nobody can say which scanner is meant."""
        there, key = _keyboards(), f"usb {self.usb}" if self.usb else f"{self.name!r} in its name"
        fit = [one for one in there if one.usb == self.usb.lower()] if self.usb else []
        fit = [one for one in there if self.name in one.name] if self.name else fit
        if not fit:
            others = f", only {', '.join(f'{one.name} ({one.usb})' for one in there)}" if there else ""
            raise DeviceLost(f"no scanner with {key}{others}; plug it in, or wake it up")
        if len({one.body for one in fit}) > 1:
            paths = ", ".join(map(_lasting, fit))
            raise DeviceLost(f"more than one scanner with {key}; tell them apart by path: {paths}")
        return fit[0].path


@dataclass(frozen=True, slots=True)
class _Keyboard:
    """An event device that types. `body`: what it is a part of; a scanner may be several of them."""

    path: str
    name: str
    usb: str
    body: str


def attached() -> list[tuple[str, dict[str, str]]]:
    """The keyboards there are, scanners among them, and the key that names each. Raises DeviceLost: may not be read."""
    there: dict[str, _Keyboard] = {}
    for one in _keyboards():
        there.setdefault(one.body, one)
    return [(f"keyboard or scanner {one.name}, usb {one.usb}", _key(one, there.values())) for one in there.values()]


def _key(one: _Keyboard, there: Iterable[_Keyboard]) -> dict[str, str]:
    alike = [other for other in there if one.name and one.name in other.name]
    return {"name": one.name} if alike == [one] else {"path": _lasting(one)}


def _lasting(one: _Keyboard) -> str:
    """Its path by the socket that it is plugged into, which stays as it is; else the one that it has now."""
    links = [link for link in sorted((FOLDER / "by-path").glob("*")) if link.exists() and link.samefile(one.path)]
    return str(links[0]) if links else one.path


def _keyboards() -> list[_Keyboard]:
    """In the order of their numbers. Raises DeviceLost if there are none but such that may not be read."""
    found, denied = [], False
    for path in sorted(FOLDER.glob("event*"), key=lambda path: (len(path.name), path.name)):
        try:
            with closing(InputDevice(str(path))) as device:
                if _types(device):
                    usb = f"{device.info.vendor:04x}:{device.info.product:04x}"
                    body = f"{re.sub('/input[0-9]+$', '', device.phys)} {device.uniq}".strip() or device.path
                    found.append(_Keyboard(device.path, device.name, usb, body))
        except PermissionError:
            denied = True
        except OSError:  # it goes just now
            continue
    if denied and not found:
        raise DeviceLost(f"{FOLDER} {_DENIED}")
    return found


def _types(device: _Device) -> bool:
    return set(device.capabilities().get(e.EV_KEY, [])) >= _TYPING
