"""What the project says of itself is true, and it can be installed beside others."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
CARTWIRE = Path(sys.executable).with_name("cartwire")


def said(*words: str) -> str:
    done = subprocess.run([CARTWIRE, *words, "--help"], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def commands() -> set[str]:
    return set(re.findall(r"^    ([a-z-]+)(?:  |$)", said(), re.MULTILINE))


def test_the_readme_knows_each_command_and_option() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in commands():
        line = re.search(rf"^\| `cartwire {command}([^`]*)`", readme, re.MULTILINE)
        assert line, f"README: no row for `cartwire {command}`"
        if command != "sandbox-platform":
            options = set(re.findall(r"--[a-z]+", said(command))) - {"--help", "--config"}
            assert options == set(re.findall(r"--[a-z]+", line[1])), command


def test_the_readme_names_no_command_that_is_not_there() -> None:
    readme, install = (ROOT / "README.md").read_text(), (ROOT / "docs" / "install.md").read_text()
    assert set(re.findall(r"`?cartwire ([a-z][a-z-]+)", readme + install)) <= commands() | {"gateway"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in (readme, install, (ROOT / "CONTRIBUTING.md").read_text()):
        assert set(re.findall(r"make ([a-z-]+)`", text)) <= targets
        for path in re.findall(r"\b((?:edge|drivers|sync|tests|config)/[\w/]+\.\w+)", text):
            assert (ROOT / path).exists(), path


def test_nobody_else_claims_our_packages() -> None:
    claimed = packages_distributions()
    for name in ("edge", "drivers", "sync"):
        assert set(claimed.get(name, [])) <= {"cartwire"}


def test_the_locks_have_hashes_and_name_no_host() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text
        if not path.name.startswith("debian"):
            for requirement in re.split(r"\n(?=\S)", text):
                assert requirement.startswith("#") or "--hash=sha256:" in requirement, requirement
