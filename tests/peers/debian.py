"""A Debian of its own in a folder: what is done there is on a layer over it, and its processes end with it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

from peers.process import Child, until

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOUNTS = """
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
mount -t tmpfs tmpfs "$2/root/run"
cp -L /etc/resolv.conf "$2/root/etc/resolv.conf"
[ "$3" = yes ] || ip link set lo up
exec sleep infinity
"""
_CALM = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


def bootstrap(release: str, image: Path) -> None:
    """Make the folder of a bare Debian with systemd's tools, as its installer leaves them."""
    made = image.with_suffix(".new")
    subprocess.run(["rm", "-rf", made], check=True)
    packages = "--include=ca-certificates,systemd,systemd-sysv,udev"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", packages, release, made], check=True)
    made.rename(image)


class Debian:
    """Layers, the upmost first, and one more for what is done now."""

    def __init__(self, folder: Path, *layers: Path, network: bool = False) -> None:
        """Begin a layer in `folder`; without a network there is the loopback alone."""
        self.layers = (folder / "upper", *layers)
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        below = ":".join(map(str, layers))
        words = ["sh", "-c", _MOUNTS, "sh", below, str(folder), "yes" if network else "no"]
        self._output = folder / "output"
        self._folder = folder
        self._holder = Child([*apart, *words], self._output)
        self._first = until(self._started, self._output.read_text, 30)

    def _started(self) -> str:
        """Return the first process within, once all is mounted."""
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        return children[0] if children and Path("/proc", children[0], "comm").read_text() == "sleep\n" else ""

    def __enter__(self) -> Self:
        """Hand it over."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all that runs there; the layer stays."""
        self._holder.kill()

    def path(self, name: str) -> Path:
        """Return where a file there can be had from here."""
        return Path("/proc", self._first, "root", *self._folder.parts[1:], "root", *Path(name).parts[1:])

    def command(self, words: Sequence[str], user: str = "", **environment: str) -> list[str]:
        """Return the command that runs a command there."""
        inside = ["nsenter", "--target", self._first, "--mount", "--pid", "--net", "chroot", str(self._folder / "root")]
        given = [f"{key}={value}" for key, value in {**_CALM, **environment}.items()]
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return [*inside, "env", "-i", *given, *who, *words]

    def try_(self, *words: str, seconds: float = 300) -> tuple[int, str]:
        """Return exit code and all that a command says there."""
        done = subprocess.run(
            self.command(words, DEBIAN_FRONTEND="noninteractive"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout

    def run(self, *words: str, seconds: float = 300) -> str:
        """Return what a command says there that succeeds."""
        code, said = self.try_(*words, seconds=seconds)
        assert code == 0, f"{' '.join(words)}: {code}\n{said}"
        return said

    def start(self, *words: str, user: str, **environment: str) -> Child:
        """Start what goes on there."""
        return Child(self.command(words, user, **environment), self._folder / "service")
