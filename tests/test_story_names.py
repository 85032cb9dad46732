"""The usual form of "the internet is away": a name server that says nothing, for minutes."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edge.ports import Unavailable
from peers.process import until
from peers.store import Store, command
from sync import mqtt
from sync.platform import Platform
from sync.tls import Login

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

TRIES = 12
"""More than a loop on two cores has threads."""
SILENT = """
import socket, threading
known = socket.getaddrinfo
def hang(host, *rest, **more):
    return threading.Event().wait() if "example" in str(host) else known(host, *rest, **more)
socket.getaddrinfo = hang
"""


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No name server answers before the test is over; the names that were asked for."""
    asked: list[str] = []
    over = threading.Event()
    known = socket.getaddrinfo

    def hang(host: str, *rest: Any, **more: Any) -> Any:
        if not host.endswith(".example"):
            return known(host, *rest, **more)
        asked.append(host)
        over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield asked
    over.set()


async def test_a_broker_whose_name_hangs_takes_one_thread(silence: list[str]) -> None:
    login = Login(tls=ssl.create_default_context())
    server = mqtt.Server("broker.example", 8883, "gw", v5=True, session_expiry=60, login=lambda: login)
    for _ in range(TRIES):
        with pytest.raises(Unavailable, match="no connection to the broker") as refused:
            async with mqtt.connect(server, ("will", b""), lambda _: None):
                pass
        assert not refused.value.connected
    assert silence == ["broker.example"]


async def test_a_platform_whose_name_hangs_holds_up_nothing_else(silence: list[str]) -> None:
    platform = Platform("https://platform.example", Login)
    async with platform.opened():
        for _ in range(TRIES):
            with pytest.raises(Unavailable, match="the platform does not answer: TimeoutError"):
                await platform.call("GET", "/v1/capabilities", timeout=0.1)
        with pytest.raises(
            Unavailable, match=r"no connection to the platform: .*the name lookup takes too long"
        ) as refused:
            await platform.call("GET", "/v1/capabilities")
        assert not refused.value.connected
        assert await asyncio.to_thread(lambda: threading.current_thread().name) == "asyncio_0"
    assert silence == ["platform.example"]


def test_the_shop_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: ExitStack) -> None:
    """Scans are taken, `status` and `/metrics` answer, and the stop waits for no name."""
    (tmp_path / "silent").mkdir()
    (tmp_path / "silent" / "sitecustomize.py").write_text(SILENT)
    path = os.pathsep.join([str(tmp_path / "silent"), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("CARTWIRE", shlex.join(["env", f"PYTHONPATH={path}", command("run", tmp_path)[0]]))
    store = Store(
        tmp_path / "store",
        cart={"broker": "mqtts://broker.example"},
        platform={"url": "https://platform.example"},
    )
    ended.callback(store.close)
    store.start()
    store.ready()
    until(lambda: "still hangs" in store.status()["sinks"]["cart"]["reason"], "a second dial", 20)
    store.scan(1)
    until(lambda: store.status()["held"] == 1, "the scan to be held")
    assert store.page("/metrics")[0] == 200
    assert json.loads(store.page("/healthz")[2])["ok"]
    store.stop()
