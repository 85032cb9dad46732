"""Whom we do not believe, and who does not believe us: each is refused, and one line says what is to be done.

The broker is mosquitto. It cannot be made to speak TLS 1.1 and nothing newer; there a server of our own stands for it.
"""

from __future__ import annotations

import re
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from peers.brokers import Mosquitto
from peers.clock import Synchronisation
from peers.https import https
from peers.store import Store, command
from peers.tls import Authority
from sync.tls import nobody_trusted

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path


@dataclass
class Servers:
    """A broker and a platform that believe `authority` and show its certificate; a store that is to use them."""

    folder: Path
    ended: ExitStack
    authority: Authority
    other: Authority

    def check(self, show: ssl.SSLContext, ca: Path, ours: tuple[Path, Path] | None, *, old: bool = False) -> str:
        """Return what `cartwire check` says of both, with these files."""
        port = self.ended.enter_context(https(show))
        broker = port if old else self._broker()
        files = {"ca_file": str(ca)}
        if ours:
            files |= {"cert_file": str(ours[0]), "key_file": str(ours[1])}
        store = Store(
            self.folder / "store",
            cart={"broker": f"mqtts://127.0.0.1:{broker}", **files},
            platform={"url": f"https://127.0.0.1:{port}", **files},
        )
        self.ended.callback(store.close)
        for _ in range(3):
            done = subprocess.run(
                command("check", store.config), capture_output=True, text=True, timeout=60, check=False
            )
            assert done.stderr == ""
            if "takes too long" not in done.stdout:  # as a busy machine may
                break
        return "\n".join(re.findall(r"^(?:ok|BAD) +(?:broker|platform) .*$", done.stdout, re.MULTILINE))

    def _broker(self) -> int:
        files = (f"cafile {self.authority.ca}", f"certfile {self.authority.certificate}")
        more = (*files, f"keyfile {self.authority.key}", "require_certificate true")
        broker = Mosquitto(self.folder / "mosquitto", more=more)
        self.ended.callback(broker.kill)
        broker.start()
        return broker.port


@pytest.fixture
def servers(tmp_path: Path, ended: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """With a clock that is right: else no date proves anything."""
    clock = Synchronisation(tmp_path / "clock")
    clock.reached()
    monkeypatch.setenv("CARTWIRE", clock.daemon)
    return Servers(tmp_path, ended, Authority(tmp_path / "authority"), Authority(tmp_path / "other"))


def test_each_believes_the_other(servers: Servers) -> None:
    ours = servers.authority.issue("gw-1")
    said = servers.check(servers.authority.server(asking=True), servers.authority.ca, ours)
    assert re.fullmatch(r"ok +broker .* takes us\nok +platform .* answers", said), said


def test_an_authority_that_is_not_ours(servers: Servers) -> None:
    said = servers.check(servers.authority.server(), servers.other.ca, None)
    for whose in ("broker", "platform"):
        why = "(self-signed certificate in certificate chain|unable to get local issuer certificate)"
        wanted = rf"^BAD +{whose} +the certificate of the {whose}: {why}; is ca_file right\?$"
        assert re.search(wanted, said, re.MULTILINE), said


@pytest.mark.parametrize(
    ("name", "alternative", "seconds", "says"),
    [
        ("elsewhere", "DNS:elsewhere.example", 60, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("127.0.0.1", "IP:127.0.0.1", -60, "certificate has expired"),
    ],
    ids=["wrong-host", "expired"],
)
def test_a_certificate_that_is_not_the_servers(
    servers: Servers, name: str, alternative: str, seconds: int, says: str
) -> None:
    servers.authority.certificate, servers.authority.key = servers.authority.issue(name, alternative, seconds)
    said = servers.check(servers.authority.server(), servers.authority.ca, None)
    for whose in ("broker", "platform"):
        wanted = rf"^BAD +{whose} +the certificate of the {whose}: {says}; it needs another$"
        assert re.search(wanted, said, re.MULTILINE), said


@pytest.mark.parametrize(
    ("whose", "says"),
    [
        (None, "asks for a certificate of ours; set cert_file and key_file"),
        ("other", r"does not accept our certificate; is cert_file right\?"),
        ("expired", "says that our certificate has expired; renew cert_file"),
    ],
)
def test_a_certificate_of_ours_that_is_none(servers: Servers, whose: str | None, says: str) -> None:
    """The reason is lost if mosquitto resets the connection over what it had not read yet; then we say both."""
    issuer, seconds = (servers.authority, -60) if whose == "expired" else (servers.other, 60)
    ours = issuer.issue("gw-1", seconds=seconds) if whose else None
    said = servers.check(servers.authority.server(asking=True), servers.authority.ca, ours)
    lost = r"hung up .*: does it ask for a certificate \(cert_file, key_file\), or not accept ours\?"
    for peer in ("broker", "platform"):
        assert re.search(rf"^BAD +{peer} +the {peer} ({says}|{lost})$", said, re.MULTILINE), said


def test_what_is_older_than_tls_1_2(servers: Servers) -> None:
    old = servers.authority.server()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    said = servers.check(old, servers.authority.ca, None, old=True)
    for whose in ("broker", "platform"):
        assert re.search(rf"^BAD +{whose} +the {whose} speaks no TLS 1\.2 or newer, ", said, re.MULTILINE), said


def test_what_knows_no_authorities_refuses_everybody() -> None:
    """As aiohttp's own contexts in the daemon: who forgot to say which is ours would reach nothing."""
    with nobody_trusted():
        strict = ssl.create_default_context()
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert strict.get_ca_certs() == []
    assert strict.cert_store_stats()["x509_ca"] == 0
    assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 0
