"""`cartwire demo`, as somebody sees it who has just cloned the project."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from peers.process import Child


@pytest.mark.parametrize(
    ("language", "item", "ends"),
    [
        ("ko", "김민지: 에어 러너 270 운동화 · 139,000원", "매장을 닫았습니다."),
        ("en", "Alex Morgan: Dry tee · 39,000 KRW", "The store is closed."),
    ],
)
def test_carts_fill(language: str, item: str, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    command = [str(Path(sys.executable).with_name("cartwire")), "demo", "--language", language]
    with Child(command, tmp_path / "shown", tmp_path / "errors") as demo:
        demo.line(re.escape(item), 60)
        assert demo.terminate(how=signal.SIGINT) == 0
        assert demo.text().endswith(f"{ends}\n")
    assert (tmp_path / "errors").read_text() == ""
    assert list(folder.iterdir()) == []
