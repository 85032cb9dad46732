"""The driver that the README shows is taken from there and run in a store."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers.gtin import gtin13, padded
from peers.process import free_port, until
from peers.store import command, pseudonym

if TYPE_CHECKING:
    from contextlib import ExitStack

    from conftest import Platform
    from peers.app import App
    from peers.store import Store

ROOT = Path(__file__).parent.parent
BAND = "04A1B2C3D4E5F6"
HALF = "96385074"  # of a longer code, and a product by itself


@pytest.fixture
def readme() -> dict[str, str]:
    """Read the section about drivers: its blocks of code, by their language."""
    section = (ROOT / "README.md").read_text().partition("## Add a driver\n")[2]
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


def scanner(port: int, ended: ExitStack) -> socket.socket:
    """Power a scanner on: let it listen."""
    return ended.enter_context(socket.create_server(("127.0.0.1", port)))


def test_the_driver_of_the_readme_fills_the_cart(
    readme: dict[str, str],
    store: Store,
    platform: Platform,
    app: App,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: ExitStack,
) -> None:
    shutil.copytree(ROOT / "drivers", tmp_path / "own" / "drivers")
    (tmp_path / "own" / "drivers" / "tcp.py").write_text(readme["python"])
    path = os.pathsep.join([str(tmp_path / "own"), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("CARTWIRE", shlex.join(["env", f"PYTHONPATH={path}", command("run", store.config)[0]]))
    port = free_port()
    listening = scanner(port, ended)
    table = tomllib.loads(readme["toml"])["driver"][0]
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.configure([{**table, "host": "127.0.0.1", "port": port}])
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)
    wire, _ = listening.accept()
    wire.sendall(f"{gtin13(1)}\r\n{HALF}".encode())
    until(lambda: app.cart == [padded(gtin13(1))], "the first item")
    listening.close()
    wire.close()
    until(lambda: store.of("device.lost"), "the loss")
    assert store.of("device.lost")[0]["data"]["driver"] == "tcp@till-1"
    wire, _ = scanner(port, ended).accept()
    until(lambda: store.of("device.recovered"), "the recovery")
    wire.sendall(f"{gtin13(3)}\n".encode())
    until(lambda: app.cart == [padded(gtin13(1)), padded(gtin13(3))], "the next item, and no half of one")
    until(store.settled, "nothing waits")
    wire.close()
    store.stop()
    assert platform.problems() == []
