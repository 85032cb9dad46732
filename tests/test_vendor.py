"""What the pages and their tests take from others is what was published, with its licence; nothing else is fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from locales import PAGES, Page

VENDORS = {page.domain: page.folder / "static" / "vendor" for page in PAGES}
OURS = {"README.md", "SHA256SUMS"}
ALONE = {"uPlot.esm.js", "enter.js"}
"""Scripts that are loaded later, or by a page of their own."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.domain)


@pytest.mark.parametrize("folder", [*VENDORS.values(), Path(__file__).parent / "vendor"], ids=[*VENDORS, "tests"])
def test_each_vendored_file_has_the_hash_it_was_taken_with(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text("ascii").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert files.keys() - OURS == sums.keys()
    for name, digest in sums.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("folder", VENDORS.values(), ids=VENDORS)
def test_each_has_its_licence_and_stands_in_the_readme(folder: Path) -> None:
    readme = (folder / "README.md").read_text("utf-8").lower()
    for part in (path for path in folder.iterdir() if path.is_dir()):
        assert list(part.glob("LICENSE*")), part.name
        assert part.name in readme


@every_page
def test_the_page_names_all_its_scripts_at_once_so_that_none_waits_for_another(page: Page) -> None:
    static = page.folder / "static"
    index = (static / "index.html").read_text("utf-8")
    for script in static.rglob("*.js"):
        if script.name not in ALONE:
            assert f'"/static/{script.relative_to(static).as_posix()}"' in index, script.name


@every_page
def test_no_address_of_another_host_is_fetched(page: Page) -> None:
    for file in (page.folder / "static").rglob("*"):
        if file.suffix in {".js", ".css", ".html"} and "vendor" not in file.parts:
            assert "//" not in file.read_text("utf-8").replace("http://www.w3.org/", "").replace("// ", ""), file.name
