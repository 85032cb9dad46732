"""The package on a Debian of its own: from `apt install` to the first tap, to a newer one, and until nothing is left.

`make test-deb` calls this, as root. Here no systemd runs, as in an image that is being made: that units start and stop
is for a whole machine to show.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bands import BAND
from peers.debian import Debian, bootstrap
from peers.process import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "var" / "deb"
RELEASE = platform.freedesktop_os_release()["VERSION_CODENAME"]
INIT = ["cartwire", "init", "--store", "gangnam", "--language", "ko", "--timezone", "Asia/Seoul"]
REPLAY = '\n[[driver]]\nkind = "replay"\nread_point = "till-1"\npath = "/run/taps"\n'
UNITS = ("cartwire.service", "cartwire-backup.timer", "cartwire-backup.path")
DATA, COPY, CONFIG = Path("/var/lib/cartwire"), Path("/var/backups/cartwire"), Path("/etc/cartwire")
DOC = Path("/usr/share/doc/cartwire")
MODULES = (
    *("aiohttp", "argon2", "biip", "bleak", "cv2", "evdev", "msgspec", "ndef", "paho.mqtt", "pyzbar.pyzbar", "serial"),
    *("smartcard.scard", "sqlite_utils", "zxingcpp"),
)
"""Each library that a driver or the core loads."""

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deb")


@pytest.fixture(scope="module")
def tree(folder: Path) -> Path:
    """What is tracked or new here, as it is now; tests are no part of the package."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", ":!tests"]
    for name in filter(None, subprocess.check_output(words, cwd=ROOT, text=True).split("\0")):
        if (ROOT / name).exists():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / "tree" / name, follow_symlinks=False)
    return folder / "tree"


def build(tree: Path, folder: Path, version: str = "") -> Path:
    """Make the package in another folder, out of the wheels, without a network."""
    for path in tree.rglob("*"):
        if not path.is_dir():
            copy = folder / path.relative_to(tree)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy, follow_symlinks=False)
            if os.access(path, os.X_OK) and not path.is_symlink():
                copy.chmod(0o700)
    if version:
        (folder / "edge" / "version.py").write_text(f'VERSION = "{version}"\n')
    done = subprocess.run(
        ["unshare", "--net", "make", "deb", f"WHEELS={ROOT / 'dist' / 'wheels'}"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000"},
    )
    assert done.returncode == 0, done.stdout
    (package,) = (folder / "dist").glob("*.deb")
    return package


@pytest.fixture(scope="module")
def package(tree: Path, folder: Path) -> Path:
    return build(tree, folder / "build")


@pytest.fixture(scope="module")
def bare() -> Path:
    """A Debian as it is installed."""
    image = IMAGES / RELEASE
    if not image.exists():
        IMAGES.mkdir(parents=True, exist_ok=True)
        bootstrap(RELEASE, image)
    return image


@pytest.fixture(scope="module")
def installed(folder: Path, bare: Path, package: Path) -> tuple[Path, ...]:
    """The layers after one `apt install`, which took from Debian what the package depends on."""
    with Debian(folder / "installed", bare, network=True) as debian:
        shutil.copy(package, debian.path("/root"))
        debian.run("apt-get", "update")
        debian.run("apt-get", "install", "--yes", "--no-install-recommends", f"/root/{package.name}")
    return debian.layers


@pytest.fixture
def debian(installed: tuple[Path, ...], tmp_path: Path) -> Iterator[Debian]:
    """A machine on which it was just installed, and that has no network."""
    with Debian(tmp_path / "debian", *installed) as debian:
        yield debian


@contextmanager
def running(debian: Debian) -> Iterator[None]:
    """The daemon, as the unit starts it: its user, and its own copies of the secrets."""
    credentials = "/run/credentials/cartwire.service"
    debian.run("install", "--directory", "--mode=0700", "--owner=cartwire", credentials)
    for name in debian.run("ls", str(CONFIG / "credentials")).split():
        copy = f"{credentials}/credentials_{name}"
        debian.run("install", "--mode=0400", "--owner=cartwire", str(CONFIG / "credentials" / name), copy)
    service = debian.start("cartwire", "run", user="cartwire", CREDENTIALS_DIRECTORY=credentials)
    try:
        until(lambda: debian.try_("cartwire", "status")[0] == 0, service.text, 60)
        yield
        os.killpg(service.pid, signal.SIGTERM)
        until(lambda: debian.try_("cartwire", "status")[0] == 3, "its end", 60)
    finally:
        service.kill()


def tap(debian: Debian, value: str) -> None:
    """Hold a band to the reader, which is a FIFO."""
    taps = debian.path("/run/taps")
    line = json.dumps({"kind": "tap", "type": "nfc", "value": value})
    subprocess.run(["sh", "-c", 'echo "$1" > "$2"', "sh", line, taps], check=True, timeout=60)


def events(debian: Debian, kind: str) -> list[dict[str, Any]]:
    found = map(json.loads, debian.run("cartwire", "events", "--json").splitlines())
    return [event for event in found if event["type"] == f"cartwire.{kind}.v1"]


def configured(debian: Debian) -> None:
    """What a technician does next, with a reader that can be had here."""
    code, said = debian.try_(*INIT)
    assert "edge.toml is written" in said
    assert code == (1 if "BAD" in said else 0)  # the clock of this machine is as it is
    with debian.path("/etc/cartwire/edge.toml").open("a") as file:
        file.write(REPLAY)
    debian.run("mkfifo", "--mode=0644", "/run/taps")


def states(debian: Debian) -> dict[str, str]:
    """By path, all that a technician made and the daemon kept: a digest of each file."""
    found = debian.run("find", str(CONFIG), str(DATA), str(COPY), "-type", "f", "-exec", "sha256sum", "{}", "+")
    return {name: digest for digest, name in (line.split("  ") for line in found.splitlines())}


def test_the_same_tree_makes_the_same_package(tree: Path, folder: Path, package: Path) -> None:
    """In another folder, at another time, for somebody who lets nobody read what they make."""
    before = os.umask(0o077)
    try:
        again = build(tree, folder / "elsewhere" / "and-a-little-longer")
    finally:
        os.umask(before)
    assert hashlib.sha256(again.read_bytes()).hexdigest() == hashlib.sha256(package.read_bytes()).hexdigest()


def test_it_is_at_home(debian: Debian, folder: Path) -> None:
    """User, folders, units and rules are there; it knows nothing of where it was built, and needs no configuration."""
    assert set(debian.run("id", "--name", "--groups", "cartwire").split()) == {
        *("cartwire", "input", "dialout", "video", "audio", "bluetooth")
    }
    modes = {CONFIG: "755 root root", CONFIG / "credentials": "700 root root"}
    modes |= dict.fromkeys((DATA, COPY), "700 cartwire cartwire")
    assert {path: debian.run("stat", "--format=%a %U %G", str(path)).strip() for path in modes} == modes
    for unit in UNITS:
        assert debian.run("systemctl", "is-enabled", unit) == "enabled\n"
    for name in ("system/pcscd.service.d", "system/mosquitto.service.d", "journald.conf.d"):
        assert debian.path(f"/usr/lib/systemd/{name}/cartwire.conf").exists()
    assert debian.run("sh", "-c", "cd /tmp && cartwire --help").startswith("usage: cartwire ")
    assert debian.try_("grep", "-rlF", str(folder), "/opt/cartwire", "/usr/bin/cartwire", str(DOC)) == (1, "")
    for module in MODULES:
        debian.run("/opt/cartwire/bin/python3", "-I", "-c", f"import {module}")
    assert debian.run("find", "/opt/cartwire", "-newer", "/var/lib/dpkg/info/cartwire.list", "-name", "*.pyc") == ""


def test_the_first_tap(debian: Debian) -> None:
    """`init`, the lines of a reader, and the daemon as its own user; root looks at it and spoils nothing."""
    configured(debian)
    assert debian.run("stat", "--format=%a %U", "/etc/cartwire/credentials/pseudonym.key") == "600 root\n"
    with running(debian):
        tap(debian, BAND)
        until(lambda: events(debian, "tap.unknown"), "the tap", 60)
        assert re.search(r"^ok +disk", debian.try_("cartwire", "check")[1], re.MULTILINE)
    debian.run("cartwire", "events")
    with running(debian):
        assert len(events(debian, "tap.unknown")) == 1
    assert debian.run("find", str(DATA), "-not", "-user", "cartwire") == ""


def test_a_newer_one_keeps_what_is_there(debian: Debian, tree: Path, folder: Path) -> None:
    newer = build(tree, folder / "newer", "99.1")
    configured(debian)
    with running(debian):
        tap(debian, BAND)
        until(lambda: events(debian, "tap.unknown"), "the tap", 60)
    debian.run("systemctl", "disable", "cartwire-backup.timer")
    before = states(debian)
    shutil.copy(newer, debian.path("/root"))
    debian.run("apt-get", "install", "--yes", "--no-install-recommends", f"/root/{newer.name}")
    assert "99.1" in debian.run("dpkg-query", "--show", "cartwire")
    assert states(debian) == before
    assert debian.try_("systemctl", "is-enabled", "cartwire-backup.timer")[1] == "disabled\n"
    with running(debian):
        assert json.loads(debian.run("cartwire", "status", "--json"))["version"] == "99.1"
        assert len(events(debian, "tap.unknown")) == 1


def test_remove_keeps_what_is_the_stores_and_purge_nothing(debian: Debian) -> None:
    configured(debian)
    with running(debian):
        tap(debian, BAND)
        until(lambda: events(debian, "tap.unknown"), "the tap", 60)
    debian.run("setpriv", "--reuid=cartwire", "--regid=cartwire", "--init-groups", "cartwire", "backup", str(COPY))
    before = states(debian)
    assert {str(COPY / "cartwire.db"), str(DATA / "cartwire.db"), str(CONFIG / "edge.toml")} <= before.keys()
    debian.run("apt-get", "remove", "--yes", "cartwire")
    assert states(debian) == before
    assert debian.try_("ls", "/opt/cartwire")[0] != 0

    names = {"key": CONFIG / "credentials/pseudonym.key", "journal": DATA / "cartwire.db", "copy": COPY / "cartwire.db"}
    for name, path in names.items():  # the same bytes under a name that stays
        debian.run("ln", str(path), f"/root/{name}")
    debian.run("apt-get", "purge", "--yes", "cartwire")
    for name in names:
        kept = debian.path(f"/root/{name}").read_bytes()
        assert kept, name
        assert not any(kept), name
    assert debian.run("find", "/", "-xdev", "-iname", "*cartwire*", "-not", "-path", "/root/*") == ""


def test_another_takes_its_place(debian: Debian, installed: tuple[Path, ...], tmp_path: Path) -> None:
    """Under the same name, with the key and the copy of the one that died: by the commands of docs/recover.md."""
    configured(debian)
    with running(debian):
        tap(debian, BAND)
        (first,) = until(lambda: events(debian, "tap.unknown"), "the tap", 60)
    debian.run("setpriv", "--reuid=cartwire", "--regid=cartwire", "--init-groups", "cartwire", "backup", str(COPY))
    with Debian(tmp_path / "another", *installed) as another:
        for path in (COPY / "cartwire.db", CONFIG / "credentials" / "pseudonym.key"):
            shutil.copy(debian.path(str(path)), another.path("/root"))
        another.run("install", "-m", "600", "/root/pseudonym.key", "/etc/cartwire/credentials/pseudonym.key")
        configured(another)
        another.run(
            *["install", "-o", "cartwire", "-g", "cartwire", "-m", "600"],
            "/root/cartwire.db",
            str(DATA / "cartwire.db"),
        )
        with running(another):
            (_, opened) = events(another, "journal.opened")
            assert (opened["data"]["reason"], opened["data"]["previous"]) == ("restored", first["journal"])
            assert events(another, "tap.unknown") == [first]


def test_its_bill_of_materials(debian: Debian) -> None:
    """Names what was checked: each wheel is one that the lock admits, or was built here and is listed."""
    bill = debian.path(str(DOC / "sbom.cdx.json")).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    lock = (ROOT / "requirements" / "all.txt").read_text() + debian.path(str(DOC / "built.sha256")).read_text()
    wheels = [part for part in json.loads(bill)["components"] if part["purl"].startswith("pkg:pypi/")]
    assert len(wheels) > 30
    for wheel in wheels:
        assert wheel["hashes"][0]["content"] in lock, wheel["name"]
    found = {
        path.name.partition("-")[0].lower().replace("_", "-")
        for path in debian.path("/opt/cartwire").rglob("*.dist-info")
    }
    assert found == {wheel["name"] for wheel in wheels} | {"cartwire"}


def test_from_a_stick_without_internet(bare: Path, package: Path, tmp_path: Path) -> None:
    """One machine with a network gets what is needed into a folder; another takes it from there."""
    with Debian(tmp_path / "online", bare, network=True) as online:
        shutil.copy(package, online.path("/root"))
        online.run("apt-get", "update")
        online.run("mkdir", "--parents", "/root/stick/partial")
        where = "Dir::Cache::archives=/root/stick"
        online.run("apt-get", "install", "--yes", "--download-only", "-o", where, f"/root/{package.name}")
        shutil.copytree(online.path("/root/stick"), tmp_path / "stick")
        shutil.copy(package, tmp_path / "stick")
    with Debian(tmp_path / "offline", bare) as offline:
        shutil.copytree(tmp_path / "stick", offline.path("/root/stick"))
        offline.run("sh", "-c", "apt-get install --yes /root/stick/*.deb")
        assert offline.run("cartwire", "--help").startswith("usage: cartwire ")
