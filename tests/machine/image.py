"""The disk of a bare Debian machine, made without mounting anything and kept for the next time.

Bare: a kernel, systemd, the network and a way in. What `apt install` takes beside the package under test is downloaded
into apt's own cache, where it waits: in the machine there is no registry.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine.progress import step

RELEASE = "bookworm"
BARE = (
    *("systemd-sysv", "udev", "dbus", "kmod", "linux-image-amd64", "initramfs-tools"),
    *("qemu-guest-agent", "ca-certificates", "iproute2"),
    *("python3", "bluez"),  # as on Raspberry Pi OS
    "chrony",  # the network's time, from whatever port it is asked at
)
BESIDE = ("mosquitto",)
"""What docs/install.md says to install beside the package, and what the package does not ask for."""

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "var/machine"
ROOT_SIZE, DATA_SIZE = "4G", "512M"
IDLE = ("e2scrub_reap.service", "apt-daily.timer", "apt-daily-upgrade.timer", "systemd-networkd-wait-online.service")
"""What takes an emulated processor a quarter of its start, and has no part in any story."""
MODULES = ("virtio_pci", "virtio_blk", "ext4")
"""What the kernel finds its disk by; with all that Debian gives it a start takes 12 s longer."""
NETWORK = "[Match]\nName=en*\n[Network]\nDHCP=yes\n"
PACKAGE = "tmp/cartwire.deb"
INSTALL = f"apt-get install -q -y --no-install-recommends /{PACKAGE} {' '.join(BESIDE)}"
AS_ROOT = () if os.getuid() == 0 else ("sudo",)


@dataclass(frozen=True)
class Image:
    """What a machine boots from: never written to, but through an overlay."""

    kernel: Path
    initrd: Path
    bare: Path
    """Debian alone."""
    root: Path
    """The same with the package and a broker, as `apt install` leaves them."""
    data: Path


def package() -> Path:
    """Return the package of `make deb`, or the one that CARTWIRE_DEB names."""
    named = os.environ.get("CARTWIRE_DEB")
    found = [Path(named)] if named else sorted((ROOT / "dist").glob("cartwire_*.deb"), key=os.path.getmtime)
    assert found, "no package in dist/: make deb"
    return found[-1].absolute()


def image(deb: Path) -> Image:
    """Return the disks for this package, made anew if anything that they are made of is another."""
    key = hashlib.sha256(deb.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    folder = CACHE / key
    if not folder.exists():
        with step("a Debian disk, about three minutes, once"):
            _make(folder, deb)
    return Image(*(folder / name for name in ("vmlinuz", "initrd.img", "bare.img", "root.img", "data.img")))


def disk(path: Path, size: str, content: Path | None = None, label: str = "") -> None:
    """Make a disk with a file system on it, and in that what is in a folder."""
    options: list[str | Path] = ["-q", "-F", "-t", "ext4", "-L", label, *(("-d", content) if content else ())]
    said(*(AS_ROOT if content else ()), "mke2fs", *options, path, size)


def said(*words: str | Path, seconds: float = 900) -> str:
    """Return what a command says that succeeds."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{words[0]}: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


def _make(folder: Path, deb: Path) -> None:
    """In a folder beside, which gets its name at the end."""
    beside = folder.with_suffix(".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    tree = beside / "root"
    inside = (
        f"cp {deb} $1/{PACKAGE}",
        f"chroot $1 {INSTALL} --download-only -o APT::Keep-Downloaded-Packages=true",
        f"rm $1/{PACKAGE}",
        "echo store > $1/etc/hostname && echo 127.0.1.1 store >> $1/etc/hosts",
        "echo 'LABEL=data /var/lib/cartwire ext4 noatime,nofail,x-systemd.device-timeout=30s 0 2' > $1/etc/fstab",
        f"printf '{NETWORK}' > $1/etc/systemd/network/wired.network",
        "chroot $1 systemctl enable systemd-networkd",
        f"chroot $1 systemctl mask {' '.join(IDLE)}",
        f"printf '%s\\n' {' '.join(MODULES)} > $1/etc/initramfs-tools/modules",
        "sed -i s/^MODULES=.*/MODULES=list/ $1/etc/initramfs-tools/initramfs.conf",
        "chroot $1 update-initramfs -u",
        "cp -L $1/vmlinuz $1/initrd.img $1/..",
    )
    hooks = [f"--customize-hook={line}" for line in inside]
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(BARE)}", *hooks]
    said(*AS_ROOT, *command, "--skip=cleanup/apt,cleanup/tmp", RELEASE, tree, seconds=1800)
    disk(beside / "bare.img", ROOT_SIZE, tree, "root")
    # In there nothing is started: Debian asks this file, and systemd is not running.
    nothing = "printf '#!/bin/sh\\nexit 101\\n' > $1/usr/sbin/policy-rc.d && chmod +x $1/usr/sbin/policy-rc.d"
    after = f"rm $1/usr/sbin/policy-rc.d $1/{PACKAGE} && chroot $1 apt-get clean"
    script = f"set -e; {nothing}; cp {deb} $1/{PACKAGE}; chroot $1 {INSTALL}; {after}"
    said(*AS_ROOT, "sh", "-c", script, "sh", tree)
    disk(beside / "root.img", ROOT_SIZE, tree, "root")
    disk(beside / "data.img", DATA_SIZE, label="data")
    said(*AS_ROOT, "rm", "-rf", tree)
    said(*AS_ROOT, "chown", "--recursive", str(os.getuid()), beside)
    for old in folder.parent.iterdir():
        if old not in (beside, folder):
            shutil.rmtree(old)
    beside.rename(folder)


if __name__ == "__main__":
    image(package())
