"""The embedded broker: for the apps it was told of, on the ports it was given, and no store of old carts."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
from contextlib import closing, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import pytest

from edge import broker, jetstream
from peers.app import App
from peers.day import SEED
from peers.gtin import gtin13, padded
from peers.needles import found_in
from peers.process import free_port, until
from peers.store import Store, command, pseudonym, secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Mosquitto
    from peers.store import Table

BANDS = {"k-1": "04A1B2C3D4E5F6", "k-2": "04B1B2C3D4E5F6"}
APPS = "".join(f"[[app]]\nuser = 'app-{cart}'\npassword = 'pw-{cart}'\ncart = '{cart}'\n" for cart in BANDS)
EAVESDROP = (
    b'CONNECT {"user":"app-k-1","pass":"pw-k-1","verbose":false,"pedantic":false,"lang":"-","version":"-"}\r\n'
    b"SUB $MQTT.sub.> 1\r\nPING\r\n"
)


@pytest.fixture
def furnish(platform: Platform, tmp_path: Path, ended: ExitStack) -> Callable[..., Store]:
    """A store with a broker of its own for the apps of two carts, not started."""

    def furnished(**more: str | float) -> Store:
        cart: Table = {"broker": "embedded", "protocol": "3.1.1", "apps_file": "apps.toml", **more}
        store = Store(tmp_path / "store", cart=cart, platform=platform.table)
        ended.callback(store.close)
        secret(store.folder / "apps.toml", APPS.encode())
        for cart_of, band in BANDS.items():
            platform.customer(f"c-{cart_of}", cart_of, "cart")
            platform.band(pseudonym("nfc", band), f"c-{cart_of}")
        return store

    return furnished


def opened(store: Store, platform: Platform) -> None:
    store.start()
    store.ready()
    platform.wait_pulled()


def phone(port: int, cart: str, folder: Path, ended: ExitStack, max_age: int = 86_400) -> App:
    app = App(port, cart, folder, "3.1.1", max_age, (f"app-{cart}", f"pw-{cart}"))
    ended.callback(app.close)
    app.online()
    return app


def reached(port: int) -> bool:
    """Whether somebody listens there."""
    with closing(socket.socket()) as wire:
        return wire.connect_ex(("127.0.0.1", port)) == 0


def nats_port(store: Store) -> int:
    """Where it speaks its own protocol."""
    (ports,) = (store.data / "broker").glob("*.ports")
    return urlsplit(json.loads(ports.read_text())["nats"][0]).port or 0


async def overheard(port: int) -> bytes:
    """What the websocket listener says to somebody who speaks NATS there."""
    heard = b""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/") as wire:
        await wire.send_bytes(EAVESDROP)
        async for message in wire:
            heard += message.data if isinstance(message.data, bytes) else message.data.encode()
            if b"PONG" in heard or b"-ERR" in heard:
                break
    return heard


def test_an_app_reads_its_own_cart_and_no_other(
    furnish: Callable[..., Store], platform: Platform, tmp_path: Path, ended: ExitStack
) -> None:
    """Also not where the broker speaks its own protocol, in which all deliveries can be asked for."""
    port, web = free_port(), free_port()
    store = furnish(listen=f"127.0.0.1:{port}", websocket=f"127.0.0.1:{web}")
    opened(store, platform)
    first, second = (phone(port, cart, tmp_path / "apps", ended) for cart in BANDS)
    with closing(socket.create_connection(("127.0.0.1", nats_port(store)))) as wire:
        wire.settimeout(10)
        wire.sendall(EAVESDROP)
        heard = b""
        while part := wire.recv(4096):  # until it hangs up
            heard += part
    assert b"Authorization Violation" in heard
    assert b"Authorization Violation" in asyncio.run(overheard(web))
    store.tap(BANDS["k-2"])
    store.scan(2)
    until(lambda: second.cart == [padded(gtin13(2))], "the item")
    store.tap(BANDS["k-1"])
    store.scan(1)
    until(lambda: first.cart == [padded(gtin13(1))], "the other's item")
    until(store.settled, "all to be confirmed")
    assert first.problems == second.problems == []


def test_what_no_app_takes_does_not_stay(
    furnish: Callable[..., Store], platform: Platform, tmp_path: Path, ended: ExitStack
) -> None:
    """Nor what is pushed again: it goes with the maximum age, and is on no disk any more."""
    port = free_port()
    store = furnish(listen=f"127.0.0.1:{port}", max_age="10s")
    opened(store, platform)
    app = phone(port, "k-1", tmp_path / "apps", ended, max_age=10)
    app.offline()
    store.tap(BANDS["k-1"])
    scanned = store.scan(1)
    kept = store.data / "broker" / "jetstream"

    def names() -> bool:
        return bool(found_in(kept, padded(scanned)))

    until(names, "the broker to keep it for the app")
    until(lambda: not names(), "its time to be over", 60)
    store.kill()  # and it stays so when the broker finds its stream there
    opened(store, platform)
    app.online()
    store.tap(BANDS["k-1"])
    store.scan(2)
    until(lambda: app.cart == [padded(gtin13(2))], "what was scanned after")


def test_the_broker_of_a_killed_daemon_is_waited_for(furnish: Callable[..., Store], platform: Platform) -> None:
    store = furnish(listen=f"127.0.0.1:{free_port()}")
    opened(store, platform)
    (ports,) = (store.data / "broker").glob("*.ports")
    server = int(re.sub(r"\D", "", ports.stem))
    os.kill(server, signal.SIGSTOP)  # it has much to put away
    os.kill(store.pid, signal.SIGKILL)
    until(lambda: not store.running, "the daemon to be gone")
    try:
        store.start()
        until(lambda: reached(store.port), "the page of the next", 20)
    finally:
        os.kill(server, signal.SIGCONT)
    store.ready()


@pytest.mark.parametrize("key", ["listen", "websocket"])
def test_a_port_that_is_somebody_elses(furnish: Callable[..., Store], request: pytest.FixtureRequest, key: str) -> None:
    other: Mosquitto = request.getfixturevalue("broker")
    store = furnish(**{key: f"127.0.0.1:{other.port}"})
    done = subprocess.run(command("run", store.config), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    told = (
        rf"cartwire: .*edge\.toml: \[cart\] {key}: 127\.0\.0\.1:{other.port} cannot be had \(Address already in use\)"
    )
    assert re.match(told, done.stderr.splitlines()[-1])
    assert not (store.data / "cartwire.db").exists()
    checked = subprocess.run(command("check", store.config), capture_output=True, text=True, timeout=60, check=False)
    assert re.search(rf"^BAD  broker +\[cart\] {key}: .* cannot be had", checked.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("apps", "says"),
    [
        (APPS.replace("k-1", "*"), r"must be 1 to 64 of A-Z, a-z, 0-9, _ and -"),
        (APPS.replace("pw-k-1", ""), r"password: "),
        (APPS.replace("app-k-1", "app-k-2"), r"the user 'app-k-2' is there twice"),
        (APPS.replace("app-k-1", "gateway"), r"the user 'gateway' is there twice or is our own"),
        ("[[apps]]\n", r"unknown key"),
        ("[[app]\n", r"line 1"),
    ],
)
def test_what_is_wrong_with_the_apps(apps: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "apps.toml").write_text(apps)
    with pytest.raises(broker.BrokerError, match=says) as error:
        broker.read_apps(tmp_path / "apps.toml")
    assert error.value.key == "apps_file"


@pytest.mark.parametrize("verb", ["run", "check"])
def test_the_apps_file_is_looked_at_first(furnish: Callable[..., Store], verb: str) -> None:
    store = furnish(apps_file="key")
    secret(store.folder / "key", b"no TOML")
    done = subprocess.run(command(verb, store.config), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.match(r"cartwire: \S+edge\.toml: \[cart\] apps_file: \S+/key: ", done.stderr), done.stderr


async def told(said: bytes) -> str | None:
    """What is understood of a server that says this and hangs up."""
    reader = asyncio.StreamReader()
    reader.feed_data(said)
    reader.feed_eof()
    return await jetstream.refused(reader)


async def fuzz(times: int) -> None:
    dice = random.Random(SEED)
    words = [
        b"MSG _INBOX.cartwire 1 ",
        b"-ERR ",
        b"INFO {}",
        b"\r\n",
        b'{"error":',
        b'{"description":"no"}',
        b"}",
        b"[" * 2000,
    ]
    words += [b"2", b"-1", b"40", b"\xff", b"null", b"PING", b'""', b"9" * 30]
    for _ in range(times):
        with suppress(OSError):
            assert isinstance(await told(b"".join(dice.choices(words, k=dice.randint(0, 12)))), str | None)


async def test_what_the_server_says_of_its_stream() -> None:
    no = b'{"type":"x","error":{"code":404,"description":"not found"}}'
    assert await told(b"INFO {}\r\nPING\r\nMSG _INBOX.cartwire 1 %d\r\n%s\r\n" % (len(no), no)) == "not found"
    assert await told(b'MSG _INBOX.cartwire 1 13\r\n{"config":{}}\r\n') is None
    for nothing in (
        b"",
        b"-ERR 'Authorization Violation'\r\n",
        b"MSG x 1 5\r\n{}",
        b"MSG x 1 many\r\n",
        b"MSG x 1 2\r\n[]",
    ):
        with pytest.raises(OSError, match=r"."):
            await told(nothing)
    await fuzz(10_000)


@pytest.mark.long
async def test_what_the_server_says_at_length() -> None:
    await fuzz(1_000_000)
