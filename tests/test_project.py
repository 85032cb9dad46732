"""What the project says of itself is true, and it can be installed beside others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args

import pytest

from edge.health import DriverState, SinkState, TroubleCode

ROOT = Path(__file__).parent.parent
PAGES = ("operate.md", "recover.md")
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


def test_the_man_page_has_each_command_and_option() -> None:
    """As far as that is ours: help2man sets what this prints."""
    run = [ROOT / "debian" / "help", "--help"]
    whole = subprocess.run(
        run, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, timeout=60, check=True
    )
    _, *parts = re.split(r"^cartwire ([a-z-]+):$", whole.stdout, flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert sections.keys() == commands()
    for command, text in sections.items():
        options = set(re.findall(r"^  (--[a-z-]+)", said(command), re.MULTILINE))
        assert options == set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)), command


def typed(page: Path) -> list[str]:
    """Return the command lines and phrases of a page that are set as code, each on one line."""
    text = page.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0] for block in blocks for line in block.replace("\\\n", "").splitlines()]
    phrases = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return lines + [" ".join(phrase.split()) for phrase in phrases]


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_that_a_page_names_are_there(name: str) -> None:
    """With these options; and so are the units, the files, and what it links to."""
    there = {command: said(command) for command in commands()}
    page = ROOT / "docs" / name
    found = 0
    for line in typed(page):
        for command, rest in re.findall(r"(?<![-/\w])cartwire ([a-z][a-z-]*)([^|;&]*)", line):
            if re.search(r"(-u|--unit|restart|stop|start) cartwire", line):
                continue  # the unit of this name
            assert command in there, line
            assert set(re.findall(r"--[a-z-]+", rest)) <= set(re.findall(r"--[a-z-]+", there[command])), line
            found += 1
        for unit in re.findall(r"\bcartwire[a-z-]*\.(?:service|timer|path)", line):
            assert (ROOT / "systemd" / unit).exists(), line
        for path in re.findall(r"(?<![/\w])(?:systemd|tests|config|edge|sync)/[\w./-]+\w", line):
            assert (ROOT / path).exists(), line
    assert found > 3
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / path
        assert target.exists(), link
        heads = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
        assert not anchor or anchor in slugs, link


def test_each_state_is_explained() -> None:
    """What `/healthz`, the heartbeat and `status` may say stands in the page for those who read it."""
    page = (ROOT / "docs" / "operate.md").read_text()
    for code in (*get_args(TroubleCode), *(set(get_args(SinkState)) - {"ok"}), *(set(get_args(DriverState)) - {"ok"})):
        assert re.search(rf"`[^`]*\b{code}`", page), code
    told = re.findall(r"`([a-z]+:[a-z]+)`", (ROOT / "sync" / "asyncapi.yaml").read_text())
    assert {f"`{each}`" for each in told if each != "what:state"} <= set(re.findall(r"`[^`]+`", page))


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
