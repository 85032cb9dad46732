"""What the page and its tests take from others is what was published, with its licence; nothing else is fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

VENDOR = Path(__file__).parent.parent / "edge" / "kiosk" / "static" / "vendor"
OURS = {"README.md", "SHA256SUMS"}


@pytest.mark.parametrize("folder", [VENDOR, Path(__file__).parent / "vendor"], ids=["page", "tests"])
def test_each_vendored_file_has_the_hash_it_was_taken_with(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text("ascii").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert files.keys() - OURS == sums.keys()
    for name, digest in sums.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, name


def test_each_has_its_licence_and_stands_in_the_readme() -> None:
    readme = (VENDOR / "README.md").read_text("utf-8").lower()
    for folder in (path for path in VENDOR.iterdir() if path.is_dir()):
        assert list(folder.glob("LICENSE*")), folder.name
        assert folder.name in readme


def test_the_page_names_all_its_scripts_at_once_so_that_none_waits_for_another() -> None:
    page = (VENDOR.parent / "index.html").read_text("utf-8")
    for script in VENDOR.parent.rglob("*.js"):
        if script.name != "uPlot.esm.js":
            assert f'"/static/{script.relative_to(VENDOR.parent).as_posix()}"' in page, script.name


def test_no_address_of_another_host_is_fetched() -> None:
    for page in VENDOR.parent.rglob("*"):
        if page.suffix in {".js", ".css", ".html"} and VENDOR not in page.parents:
            assert "//" not in page.read_text("utf-8").replace("http://www.w3.org/", "").replace("// ", ""), page.name
