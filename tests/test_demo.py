"""`cartwire demo`, as somebody sees it who has just cloned the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("language", "item", "ends"),
    [
        ("ko", "김민지: 에어 러너 270 운동화 · 139,000원", "매장을 닫았습니다."),
        ("en", "Alex Morgan: Dry tee · 39,000 KRW", "The store is closed."),
    ],
)
def test_carts_fill(language: str, item: str, ends: str, tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("cartwire")
    done = subprocess.run(
        [beside, "demo", "--language", language, "--seconds", "10"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert item in done.stdout
    assert done.stdout.endswith(f"{ends}\n")
    assert list(tmp_path.iterdir()) == []
