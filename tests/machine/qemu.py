"""One machine: QEMU, its disks, and what may be done to it from outside."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine.channel import Agent, Channel, Done, qmp
from machine.devices import SerialLine
from machine.image import said
from machine.powerlog import replay
from peers.process import Child, until

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from machine.image import Image

MEMORY = "1024"
DISKS = ("root", "data")
DEVICES = (
    {"driver": "usb-kbd", "id": "scanner", "bus": "usb.0"},
    {"driver": "usb-ccid", "id": "reader", "bus": "usb.0"},
    {"driver": "ccid-card-passthru", "id": "slot", "bus": "reader.0", "chardev": "card"},
)
LINE = {"driver": "usb-serial", "id": "line", "bus": "usb.0", "chardev": "serial", "serial": "1950g"}
KERNEL = "root=LABEL=root rw console=ttyS0 quiet mitigations=off nokaslr"


def accelerator(kernel: Path) -> list[str]:
    """KVM where a kernel really starts under it, else QEMU's own processor, several times slower.

    That is the oldest that NumPy's wheels run on: what newer ones have takes longest to emulate, a start twice as long.
    """
    chosen = os.environ.get("CARTWIRE_ACCEL") or ("kvm" if _kvm(kernel) else "tcg,thread=multi")
    return ["-accel", chosen, "-cpu", "host" if chosen == "kvm" else "Nehalem"]


@cache
def _kvm(kernel: Path) -> bool:
    """A /dev/kvm may be there and be of no use: a kernel under it has to come as far as to miss its disk."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    probe = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "512", "-nodefaults", "-display", "none"]
    probe += ["-no-reboot", "-serial", "stdio", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(probe, capture_output=True, timeout=15, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return False
    return b"Unable to mount root" in done.stdout


class Machine:
    """Boots from the disks in its folder; `kill` is the end of its power."""

    line: SerialLine | None = None
    """The scanner on a serial line, while it is plugged in."""

    def __init__(
        self, folder: Path, image: Image, *, bare: bool, stick: Path, forward: Iterable[tuple[int, int]]
    ) -> None:
        """Lay overlays on the image; `stick`: a third disk, only read; `forward`: ports here to ports inside."""
        self.folder = folder
        self._image, self._stick, self._forward = image, stick, list(forward)
        folder.mkdir(parents=True)
        for name, base in zip(DISKS, (image.bare if bare else image.root, image.data), strict=True):
            said("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, self.disk(name))
        self._child: Child | None = None
        self._qmp: Channel | None = None
        self._agent: Agent | None = None

    def disk(self, name: str) -> Path:
        """Return where the disk lies."""
        return self.folder / f"{name}.qcow2"

    def log(self, name: str) -> Path:
        """Return where the log of all that is written to the disk lies."""
        return self.folder / f"{name}.log"

    @property
    def qmp(self) -> Channel:
        """QEMU's own channel."""
        assert self._qmp
        return self._qmp

    @property
    def agent(self) -> Agent:
        """The one inside."""
        assert self._agent
        return self._agent

    def say(self, command: str, seconds: float = 120) -> str:
        """Return what a command inside says that succeeds."""
        return self.agent.say(command, seconds)

    def run(self, command: str, seconds: float = 120) -> Done:
        """Run a command inside."""
        return self.agent.run(command, seconds)

    def boot(
        self, *, logged: bool = False, snapshot: str = "", bare: bool = False, data: bool = True, clock: str = "utc"
    ) -> None:
        """Power on, from a snapshot or cold, and wait for the agent inside.

        `logged`: all that is written is, for `cut`; `bare`: no network, card reader or keyboard is plugged in; `data`:
        whether the disk of that name is; `clock`: what its battery has kept.
        """
        assert self._child is None or not self._child.running
        for name in ("qmp", "agent", "events", "serial", "card"):
            self.path(name).unlink(missing_ok=True)
        self._child = Child(
            self._command(logged=logged, snapshot=snapshot, bare=bare, data=data, clock=clock), self.folder / "qemu.log"
        )
        try:
            self._qmp = qmp(self.path("qmp"))
            self.cable(plugged=not bare)
            self._agent = Agent(self.path("agent"))
            self._agent.wait()
            self.plug_line()
        except (AssertionError, OSError) as error:
            message = f"{error}\n{self._child.text()[-2000:]}\n{self.console()[-3000:]}"
            raise AssertionError(message) from error

    def path(self, name: str) -> Path:
        """Return the socket of this name."""
        return self.folder / name

    def console(self) -> str:
        """Return what the machine has written to its console."""
        path = self.folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        """Take its power away."""
        for channel in (self._qmp, self._agent):
            if channel:
                channel.close()
        self._qmp = self._agent = None
        if self.line:
            self.line.close()
            self.line = None
        if self._child:
            self._child.kill()

    def plug_reader(self) -> None:
        """Plug the card reader in."""
        for device in DEVICES[1:]:
            self._plug(device)

    def plug_scanner(self) -> None:
        """Plug the scanner that is a keyboard in."""
        self._plug(DEVICES[0])

    def plug_data(self) -> None:
        """Plug the disk of that name in, on which nothing is logged."""
        self._plug({**_plug("data", logged=False), "id": "data-disk"})

    def cable(self, *, plugged: bool) -> None:
        """Pull the network's cable, or plug it in."""
        self.qmp.ask("set_link", name="network", up=plugged)

    def cut(self, rng: random.Random) -> list[str]:
        """Leave on the disks of a machine that was killed what a power cut may leave; say what that is."""
        return [replay(self.log(name), self._raw(name), rng) for name in DISKS]

    def plug_line(self) -> None:
        """Plug the scanner on a serial line in: for QEMU it is there while somebody holds the other end of it."""
        self._plug(LINE)
        self.line = SerialLine(self.path("serial"))

    def unplug_line(self) -> None:
        """Pull it out."""
        if self.line:
            self.line.close()
            self.line = None
        self.unplug("line")

    def _plug(self, device: dict[str, str]) -> None:
        arguments: dict[str, Any] = {**device}
        self.qmp.ask("device_add", **arguments)

    def back(self, snapshot: str) -> None:
        """Let the disks of a machine that is off be as they were."""
        for name in DISKS:
            said("qemu-img", "snapshot", "-q", "-a", snapshot, self.disk(name))

    def save(self, name: str) -> None:
        """Keep all of it, memory too, under a name."""
        self.human(f"savevm {name}")

    def human(self, command: str) -> str:
        """Say something to QEMU's monitor, which has no error but a text."""
        answer: str = self.qmp.ask("human-monitor-command", 120, **{"command-line": command})
        assert "rror" not in answer, answer
        return answer

    def unplug(self, name: str) -> None:
        """Pull a device out."""
        self.qmp.ask("device_del", id=name)
        until(lambda: name not in self._plugged(), f"{name} to be gone", 30)

    def _plugged(self) -> set[str]:
        return {each["name"] for each in self.qmp.ask("qom-list", path="/machine/peripheral")}

    def _command(self, *, logged: bool, snapshot: str, bare: bool, data: bool, clock: str) -> list[str]:
        words: list[str | Path] = [
            "qemu-system-x86_64",
            "-M",
            "pc,i8042=off",
            *accelerator(self._image.kernel),
            "-m",
            MEMORY,
        ]
        words += ["-smp", os.environ.get("CARTWIRE_CPUS", "1"), "-nodefaults", "-no-user-config", "-display", "none"]
        words += ["-kernel", self._image.kernel, "-initrd", self._image.initrd, "-append", KERNEL]
        words += ["-serial", f"file:{self.folder}/console", "-qmp", f"unix:{self.path('qmp')},server=on,wait=off"]
        words += ["-rtc", f"base={clock},clock=host", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
        for name, port in (("agent", "org.qemu.guest_agent.0"), ("events", "cartwire.events")):
            words += ["-chardev", f"socket,id={name},path={self.path(name)},server=on,wait=off"]
            words += ["-device", f"virtserialport,chardev={name},name={port}"]
        for name in ("serial", "card"):
            words += ["-chardev", f"socket,id={name},path={self.path(name)},server=on,wait=off"]
        words += ["-device", "qemu-xhci,id=usb"]
        for device in [] if bare else DEVICES:
            words += ["-device", json.dumps(device)]
        forward = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in self._forward)
        words += ["-netdev", f"user,id=net{forward}", "-device", "virtio-net-pci,netdev=net,id=network"]
        for name in DISKS:
            words += self._disk(name, logged)
            words += ["-device", json.dumps(_plug(name, logged))] if data or name != "data" else []
        stick = {"driver": "file", "node-name": "stick", "filename": str(self._stick), "read-only": True}
        words += ["-blockdev", json.dumps(stick), "-device", "virtio-blk-pci,drive=stick"]
        if snapshot:
            words += ["-loadvm", snapshot]
        return [str(word) for word in words]

    def _raw(self, name: str) -> Path:
        """Return the disk as it was when a logged machine was booted."""
        return self.folder / f"{name}.raw"

    def _disk(self, name: str, logged: bool) -> list[str]:
        path = self.disk(name)
        if logged:
            if not self._raw(name).exists():
                said("qemu-img", "convert", "-O", "raw", path, self._raw(name))
            path = self.folder / f"{name}-run.qcow2"
            path.unlink(missing_ok=True)
            said("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self._raw(name), path)
        file = {"driver": "file", "filename": str(path), "cache": {"no-flush": True}}
        words = ["-blockdev", json.dumps({"driver": "qcow2", "node-name": name, "file": file})]
        if logged:
            self.log(name).unlink(missing_ok=True)
            self.log(name).touch()
            log = {"driver": "file", "filename": str(self.log(name)), "cache": {"no-flush": True}}
            node = {"driver": "blklogwrites", "node-name": f"{name}-logged", "file": name, "log": log}
            words += ["-blockdev", json.dumps({**node, "log-super-update-interval": 1})]
        return words


def _plug(disk: str, logged: bool) -> dict[str, str]:
    return {"driver": "virtio-blk-pci", "drive": f"{disk}-logged" if logged else disk, "serial": disk}
