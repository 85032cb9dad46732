"""What systemd is given: it understands it, little harm can be done, and a start needs nothing that may come later."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent / "systemd"
DEBIAN = Path("/usr/lib/systemd/system")
AS_ROOT = () if os.getuid() == 0 else ("sudo",)
ALWAYS = {"char-input", "char-ttyAMA", "char-ttyS"}
"""Devices that are built into the kernel."""
MODULES = {"char-ttyACM": "cdc_acm", "char-ttyUSB": "usbserial", "char-video4linux": "videodev", "char-alsa": "snd"}


def ask(*words: str | Path, **environment: str) -> str:
    """Return what a command says that succeeds."""
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def exposure(unit: str | Path, **environment: str) -> float:
    """Return what `systemd-analyze security` makes of a unit."""
    said = ask("systemd-analyze", "security", "--offline=true", "--no-pager", unit, **environment)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    assert "Unknown key" not in said
    return float(found[1])


def settings(unit: Path) -> dict[str, list[str]]:
    """By key: what a unit file says."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def test_the_gateway_can_do_little_harm() -> None:
    assert exposure(SYSTEMD / "cartwire.service") <= 1.5


def test_a_copy_is_made_each_day_and_when_somebody_was_erased() -> None:
    """By a service that may do less still; of the daemon's file it is told as long as that is there."""
    service = SYSTEMD / "cartwire-backup.service"
    assert exposure(service) <= 1.5
    folder = settings(service)["ExecStart"][0].rpartition(" ")[2]
    assert f"d {folder} 0700 cartwire cartwire\n" in (SYSTEMD / "cartwire.tmpfiles").read_text()
    assert settings(SYSTEMD / "cartwire-backup.path")["PathExists"] == ["/var/lib/cartwire/erased"]
    assert settings(SYSTEMD / "cartwire-backup.timer")["Persistent"] == ["yes"]


@pytest.mark.parametrize("unit", ["mosquitto.service", "pcscd.service"])
def test_those_beside_it_too(unit: str, tmp_path: Path) -> None:
    """Debian's units with our drop-ins; without, they are a danger."""
    shutil.copy(DEBIAN / unit, tmp_path)
    path = {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    assert exposure(unit, **path) > 9
    shutil.copytree(SYSTEMD / f"{unit}.d", tmp_path / f"{unit}.d")
    assert exposure(unit, **path) <= 4


def test_systemd_understands_each_unit(tmp_path: Path) -> None:
    """Each on a machine on which the command is installed."""
    command = shutil.which("true")
    for unit in SYSTEMD.glob("cartwire*.*"):
        if unit.suffix in (".service", ".timer", ".path"):
            text = unit.read_text().replace("/usr/bin/cartwire", str(command))
            (tmp_path / unit.name).write_text(text)
    units = sorted(path.name for path in tmp_path.iterdir())
    assert ask("systemd-analyze", "verify", "--man=no", *(tmp_path / unit for unit in units)) == ""


def test_the_clock_can_be_read() -> None:
    """`clockok` is true only where adjtimex answers; and times are told apart by the boot id in /proc/sys."""
    unit = settings(SYSTEMD / "cartwire.service")
    assert unit["ProtectClock"] == ["no"]
    assert unit["SystemCallFilter"][-1] == "adjtimex clock_adjtime"
    assert unit["ProcSubset"] == ["all"]
    assert "CAP_SYS_TIME" not in unit["CapabilityBoundingSet"][0]


def test_it_starts_whatever_is_missing() -> None:
    unit = settings(SYSTEMD / "cartwire.service")
    assert not unit.keys() & {"Requires", "Requisite", "BindsTo", "AssertPathExists"}
    assert unit["ConditionPathExists"] == ["/etc/cartwire/edge.toml"]  # until `cartwire init` nothing is to be started
    assert (unit["Restart"], unit["StartLimitIntervalSec"]) == (["always"], ["0"])
    # The targets of a network that is up and of a clock that is right may be waited for, and for ever.
    assert not [word for word in " ".join(unit["After"] + unit["Wants"]).split() if "online" in word or "time" in word]


def test_a_device_that_is_plugged_in_later_may_be_used() -> None:
    """systemd looks up the kinds of devices when the service starts: by then the kernel has to know them."""
    unit = settings(SYSTEMD / "cartwire.service")
    allowed = {line.split()[0] for line in unit["DeviceAllow"]}
    assert allowed == ALWAYS | MODULES.keys()
    loaded = [line for line in (SYSTEMD / "cartwire.modules").read_text().splitlines() if not line.startswith("#")]
    assert sorted(loaded) == sorted(MODULES.values())
    assert unit["BindPaths"] == ["/dev"]


def test_the_user_and_the_folders(tmp_path: Path) -> None:
    """In a root of its own: the daemon's user is in the groups of its devices, and secrets are root's."""
    (tmp_path / "etc").mkdir()
    ask(*AS_ROOT, "systemd-sysusers", f"--root={tmp_path}", SYSTEMD / "cartwire.sysusers")
    user = re.search(r"^cartwire:.*?:(\d+):.*nologin$", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    assert user
    groups = dict(re.findall(r"^(\w+):[^:]*:\d+:(.*)$", (tmp_path / "etc/group").read_text(), re.MULTILINE))
    assert {name for name, members in groups.items() if members == "cartwire"} == {
        *("input", "dialout", "video", "audio", "bluetooth")
    }
    token = tmp_path / "etc/cartwire/credentials/token"
    token.parent.mkdir(parents=True)
    token.touch(0o644)
    ask(*AS_ROOT, "systemd-tmpfiles", "--create", f"--root={tmp_path}", SYSTEMD / "cartwire.tmpfiles")
    modes = {"": 0o755, "/credentials": 0o700, "/credentials/token": 0o600}
    assert {path: (tmp_path / f"etc/cartwire{path}").stat().st_mode & 0o777 for path in modes} == modes
    assert (tmp_path / "var/lib/cartwire").stat().st_uid == int(user[1])
