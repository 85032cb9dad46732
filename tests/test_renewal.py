"""Certificates, keys and tokens are renewed while the daemon runs: no restart, nothing lost, nothing doubled."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bands import BAND
from edge import plan
from kiosk import kiosk
from peers.app import App
from peers.brokers import Mosquitto
from peers.gtin import gtin13, padded
from peers.process import free_port, until
from peers.store import Store, pseudonym, secret
from peers.tls import Authority, Front, issued

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform

SOON = 25.0
"""Seconds in which a new file has to have its effect: one who refuses us is else asked again after a minute."""


def copy(files: tuple[Path, Path], certificate: Path, key: Path) -> None:
    """As those who renew do it: the old ones stay until the new ones are whole."""
    for source, target in zip(files, (certificate, key), strict=True):
        part = target.with_suffix(".part")
        secret(part, source.read_bytes())
        part.replace(target)


def greeted(store: Store, platform: Platform) -> None:
    """A store that runs, with a shopper who holds its till."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.floor["session"] = "10m"
    store.configure()
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)


def all_once(store: Store, platform: Platform, app: App, scans: int) -> None:
    until(store.settled, lambda: f"everything: {store.status()['sinks']}\n{store.tail()}", SOON)
    assert app.cart == [padded(gtin13(n)) for n in range(scans)]
    assert [event["id"] for event in platform.events()] == [event["id"] for event in store.events()]
    assert app.problems == platform.problems() == []


def test_the_token_changes_while_a_backlog_waits(store: Store, platform: Platform, app: App) -> None:
    """A new one that is none, or that others may read, is reported, and the old one goes on."""
    token = store.folder / "token"
    secret(token, platform.token_file.read_bytes())
    assert store._platform is not None
    store._platform["token_file"] = str(token)
    greeted(store, platform)
    store.scan(0)
    until(store.settled, "the first item everywhere", 20)

    platform.kill()
    platform.token_file.write_text("another token\n")
    platform.start()
    for n in range(1, 6):
        store.scan(n)
    until(lambda: store.status()["sinks"]["platform"]["state"] == "refused", "the old token to be refused")
    token.write_text("")
    said = f"{token} is empty or no text; a token or password is one line of UTF-8; what was read before is used on"
    until(lambda: said in store.log.read_text(), store.tail)
    token.chmod(0o640)
    token.write_text("another token")
    said = f"{token} is open to other users; chmod 600 {token}; what was read before is used on"
    until(lambda: said in store.log.read_text(), store.tail)
    assert "[platform]: read anew" not in store.log.read_text()
    token.chmod(0o600)
    all_once(store, platform, app, 6)
    assert "another token" not in store.log.read_text()


def test_certificates_and_authorities_change_while_the_shop_is_open(
    tmp_path: Path, platform: Platform, ended: ExitStack
) -> None:
    """Ours expires and is renewed; then broker and platform move to another authority, and `ca_file` follows."""
    first, second = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    secure = free_port()
    shown = first.certificate, first.key
    lines = [f"cafile {first.ca}", f"certfile {shown[0]}", f"keyfile {shown[1]}", "require_certificate true"]
    broker = Mosquitto(tmp_path / "mosquitto", keeps=True, more=[f"listener {secure} 127.0.0.1", *lines])
    ended.callback(broker.kill)
    broker.start()
    asking = first.server(asking=True)
    front = Front(platform.port, asking)
    ended.callback(front.close)
    app = App(broker.port, "k-1", tmp_path / "apps")
    ended.callback(app.close)
    app.online()
    ours, key, ca = tmp_path / "gw.pem", tmp_path / "gw.key", tmp_path / "ca.pem"
    ca.write_bytes(first.ca.read_bytes())
    lives = 30.0
    copy(first.issue("gw-1", seconds=lives), ours, key)
    end = time.time() + lives
    files = {"ca_file": str(ca), "cert_file": str(ours), "key_file": str(key)}
    store = Store(
        tmp_path / "store",
        cart={"broker": f"mqtts://127.0.0.1:{secure}", **files},
        platform={**platform.table, "url": f"https://127.0.0.1:{front.port}", **files},
    )
    ended.callback(store.close)
    greeted(store, platform)
    store.scan(0)
    until(store.settled, store.tail, 20)

    until(lambda: time.time() > end, "the certificate to expire", 60)
    broker.restart()
    front.drop()
    for sink in ("cart", "platform"):
        until(lambda sink=sink: "certificate" in store.status()["sinks"][sink]["reason"], f"{sink} to say it", 20)
        store.scan({"cart": 1, "platform": 2}[sink])
    key.write_text("half a k")
    until(lambda: "[cart] ca_file, cert_file, key_file: cannot be used" in store.log.read_text(), store.tail)
    copy(first.issue("gw-1"), ours, key)
    all_once(store, platform, app, 3)

    copy((second.certificate, second.key), *shown)
    asking.load_cert_chain(*shown)
    broker.restart()
    front.drop()
    for sink in ("cart", "platform"):
        until(lambda sink=sink: store.status()["sinks"][sink]["state"] == "refused", f"{sink} to say it", 20)
        store.scan({"cart": 3, "platform": 4}[sink])
    copy((second.ca, key), ca, tmp_path / "same")
    all_once(store, platform, app, 5)
    assert store.log.read_text().count("[cart]: read anew") == 2


def test_the_page_shows_its_new_certificate(tmp_path: Path) -> None:
    """To who comes next; a new one that is none, or whose key others may read, is not, and the old one goes on."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old, new = issued(tmp_path / "old"), issued(tmp_path / "new")
    shown = tmp_path / "page.pem", tmp_path / "page.key"
    copy(old, *shown)
    secret(tmp_path / "key", bytes(32))
    (tmp_path / "edge.toml").write_text(
        '[store]\nid = "gangnam"\ngateway = "gw-1"\npseudonym_key_file = "key"\n'
        f'[kiosk]\nlisten = "127.0.0.1:{free_port()}"\ncert_file = "page.pem"\nkey_file = "page.key"\n'
    )
    made = plan.make(tmp_path / "edge.toml")
    assert made.config.kiosk
    place = {name: getattr(made.config.kiosk, name) for name in ("listen", "cert_file", "key_file")}
    with kiosk(tmp_path, tls=made.page_tls, trusted=ssl.create_default_context(cafile=old[0]), **place) as page:
        at = "127.0.0.1", page.port

        def is_shown(certificate: Path) -> bool:
            return ssl.get_server_certificate(at).split() == certificate.read_text().split()

        stays = page.stranger()
        assert stays.ask("getSession").status == 200
        assert is_shown(old[0])
        shown[1].write_text("half a k")
        assert is_shown(old[0])
        copy(new, *shown)
        shown[1].chmod(0o640)
        assert is_shown(old[0])
        shown[1].chmod(0o600)
        assert is_shown(new[0])
        with suppress(ssl.SSLError):
            page.stranger().ask("getSession")
            raise AssertionError("was believed")
