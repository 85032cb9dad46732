"""A gateway is configured from afar: signed, as a whole, and taken back by itself if it cannot live with it."""

from __future__ import annotations

import random
import re
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from bands import BAND, gtins
from peers.day import SEED
from peers.process import until
from peers.signer import Signer
from peers.store import command, pseudonym
from peers.strike import Struck
from peers.systemd import Systemd

if TYPE_CHECKING:
    from contextlib import ExitStack

    from conftest import Platform
    from peers.app import App
    from peers.store import Store

SOON = "[floor]\nclaim = '1s'\n"
"""What nobody claims is unclaimed at once; the machine's own file says in ten minutes."""
LATE = "[floor]\nclaim = '9m'\n"
GONE = "[[driver]]\nkind = 'serialport'\nread_point = 'till-1'\npath = '/dev/ttyS999'\n"
"""A scanner that is not there, in the place of all that is."""


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def shop(store: Store, platform: Platform, signer: Signer) -> Store:
    """A store that believes the signer, open, with a shopper."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.remote = {"key_file": str(signer.believed_in(store.folder / "remote.pub")), "trial": "1s"}
    store.floor = {"claim": "10m", "session": "10m"}
    store.configure()
    store.start()
    store.ready()
    platform.wait_pulled()
    return store


def in_force(store: Store, platform: Platform, version: int, seconds: float = 60) -> None:
    """Wait until a version is kept, and the platform knows."""
    until(lambda: platform.told() == f"applied={version}", lambda: f"{platform.told()}\n{store.tail()}", seconds)
    store.ready(60)
    assert store.status()["remote"] == {"version": version, "trial": None, "refused": None}


def unclaimed(store: Store) -> list[str]:
    return [event["data"]["gtin"] for event in store.of("scan.unclaimed")]


def check(store: Store) -> str:
    """What `cartwire check` says of it."""
    done = subprocess.run(command("check", store.config), capture_output=True, text=True, timeout=60, check=False)
    (line,) = re.findall(r"^(?:ok |BAD)  remote .*$", done.stdout, re.MULTILINE) or [done.stdout + done.stderr]
    return " ".join(line.split())


def test_a_version_comes_into_force_and_is_withdrawn(shop: Store, platform: Platform, signer: Signer, app: App) -> None:
    """The session goes on over the new start, and so does the process, which systemd has to know."""
    shop.tap(BAND)
    shop.scan(1)
    until(lambda: app.cart == gtins(1), shop.tail)
    pid = shop.pid
    assert platform.told() == "applied=0"
    platform.configure(signer.document(7, SOON))
    in_force(shop, platform, 7)
    assert (shop.pid, shop.running) == (pid, True)
    shop.ready()
    shop.scan(2)
    until(lambda: app.cart == gtins(1, 2), shop.tail)
    assert len(shop.of("customer.identified")) == 1
    assert check(shop) == "ok remote version 7 is in force"
    assert "cryptography" not in Path(f"/proc/{pid}/maps").read_text(), "it costs memory"
    assert "cartwire_remote_configuration_version 7.0\n" in shop.page("/metrics")[2]
    assert "version 7" in shop.command("status").stdout

    shop.tap("04C1B2C3D4E5F6")  # somebody else ends that session, and has no other
    shop.stop()
    platform.kill()
    shop.start()
    shop.ready()
    assert shop.status()["remote"]["version"] == 7, "it is there without a platform"
    platform.start()
    platform.configure(signer.document(8, ""))
    in_force(shop, platform, 8)
    assert platform.problems() == []


def test_its_effect_is_seen(shop: Store, platform: Platform, signer: Signer) -> None:
    shop.scan(1)
    until(lambda: shop.status()["held"] == 1, shop.tail)
    platform.configure(signer.document(1, SOON))
    until(lambda: unclaimed(shop) == gtins(1), shop.tail, 60)
    in_force(shop, platform, 1)
    platform.configure(signer.document(2, LATE))
    in_force(shop, platform, 2)
    shop.scan(2)
    until(lambda: shop.status()["held"] == 1, shop.tail)


def test_no_scan_is_lost_while_it_starts_anew(shop: Store, platform: Platform, signer: Signer, app: App) -> None:
    shop.tap(BAND)
    written: list[int] = []
    enough = threading.Event()

    def scans() -> None:
        while not enough.is_set() and len(written) < 3000:
            for _ in range(20):
                written.append(len(written) + 1)
                shop.scan(written[-1])
            enough.wait(0.1)

    shopper = threading.Thread(target=scans)
    shopper.start()
    try:
        for version in (1, 2):
            platform.configure(signer.document(version, f"[store]\nretention = '{version}d'\n"))
            in_force(shop, platform, version)
    finally:
        enough.set()
        shopper.join()
    until(lambda: len(app.cart) == len(written), lambda: f"{len(app.cart)} of {len(written)}", 120)
    assert sorted(app.cart) == sorted(gtins(*written))
    assert shop.log.read_text().count("INFO stopped\n") == 2, (
        "each start follows a clean end, which commits what was read"
    )


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ('[store]\n"zéitzone\\\\" = 1\n', "[store] zéitzone\\: is not for a remote configuration"),
        ("[store]\nreserve = '9000TB'\ncapacity = '9900TB'\n", "less than the reserve"),
    ],
)
def test_what_fails_the_check_is_never_tried(
    toml: str, why: str, shop: Store, platform: Platform, signer: Signer
) -> None:
    platform.configure(signer.document(3, toml))
    until(lambda: "refused;version=3" in platform.told(), lambda: f"{platform.told()}\n{shop.tail()}", 60)
    assert platform.told().startswith("applied=0, refused;version=3;reason=")
    told = shop.status()["remote"]["refused"]
    assert (told["version"], why in told["reason"]) == (3, True), told
    assert check(shop).startswith("BAD remote version 3 is refused: ")
    assert "on trial" not in shop.tail()
    assert platform.problems() == []
    platform.configure(signer.document(3, SOON))  # the number is used up, whatever comes under it
    asked = platform.answered("/configuration", 304)
    until(lambda: platform.answered("/configuration", 304) > asked + 1, "it to have been seen", 60)
    assert "on trial" not in shop.log.read_text()
    platform.configure(signer.document(4, SOON))
    in_force(shop, platform, 4)


def test_what_nobody_signed_or_signed_for_others_changes_nothing(
    shop: Store, platform: Platform, signer: Signer
) -> None:
    platform.configure(signer.document(5, SOON))
    in_force(shop, platform, 5)
    for jws, why in (
        (Signer().document(6, LATE), "no key of key_file has signed it"),
        (signer.document(6, LATE)[:-8] + "AAAAAAAA", "no key of key_file has signed it"),
        (signer.document(6, LATE, store="busan"), "is for busan/gw-1, and this is gangnam/gw-1"),
        (signer.document(6, LATE, gateway="gw-2"), "is for gangnam/gw-2"),
        (signer.document(4, LATE), "version 4 is not above 5"),
        (LATE, "it is no JWS"),
    ):
        platform.configure(jws)
        until(lambda why=why: why in platform.told(), lambda: f"{platform.told()}\n{shop.tail()}", 60)  # type: ignore[misc]
        assert platform.told().startswith("applied=5, refused;reason=")
    assert shop.log.read_text().count("on trial") == 2, "once for 5: that it comes, and that it is"
    platform.configure(signer.document(5, SOON))  # what was wrong on the way is right again
    in_force(shop, platform, 5)
    platform.configure(signer.document(6, LATE))  # what others claimed under this number does not count
    in_force(shop, platform, 6)


def test_what_it_cannot_live_with_is_put_back(shop: Store, platform: Platform, signer: Signer, app: App) -> None:
    platform.configure(signer.document(1, LATE))
    in_force(shop, platform, 1)
    platform.configure(signer.document(2, GONE))
    until(lambda: "refused;version=2" in platform.told(), lambda: f"{platform.told()}\n{shop.tail()}", 60)
    assert platform.told().startswith('applied=1, refused;version=2;reason="serialport@till-1: ')
    shop.ready()
    shop.tap(BAND)
    shop.scan(1)
    until(lambda: app.cart == gtins(1), shop.tail)
    assert [driver["driver"] for driver in shop.status()["drivers"]] == ["replay@till-1"]
    tries = shop.log.read_text().count("configuration 2 is on trial")
    platform.wait_pulled()
    assert shop.log.read_text().count("configuration 2 is on trial") == tries == 1
    platform.configure(signer.document(3, ""))
    in_force(shop, platform, 3)


def test_what_kills_it_is_put_back(shop: Store, platform: Platform, signer: Signer) -> None:
    """Three starts that did not last are enough; the fourth is without it."""
    shop.stop()
    assert shop.remote
    shop.remote["trial"] = "10m"
    shop.configure()
    shop.start()
    platform.configure(signer.document(1, SOON))
    for start in range(1, 4):
        until(lambda start=start: shop.log.read_text().count("1 is on trial") == start, shop.tail, 60)  # type: ignore[misc]
        shop.ready(60)
        assert shop.status()["remote"]["trial"] == 1
        shop.kill()
        shop.start()
    until(lambda: "refused;version=1" in platform.told(), shop.tail, 60)
    assert "ended 3 times while it was on trial" in platform.told()
    shop.ready()
    assert shop.status()["remote"]["trial"] is None


def test_killed_as_it_is_written(
    store: Store, platform: Platform, signer: Signer, tmp_path: Path, ended: ExitStack
) -> None:
    """At the call that changes what is in force: as it comes on trial, and as its start is counted."""
    key = str(signer.believed_in(store.folder / "remote.pub"))
    struck = Struck(tmp_path / "struck", platform=platform.table)
    ended.callback(struck.close)
    struck.about = struck.data / "remote.json.part"
    struck.fault = "rename:signal=KILL:when=1"
    struck.remote = {"key_file": key, "trial": "10m"}
    struck.configure()
    platform.configure(signer.document(1, SOON))
    struck.start()
    struck.fell()
    assert not (struck.data / "remote.json").exists()
    struck.fault = None
    struck.start()
    until(lambda: "1 is on trial" in struck.log.read_text(), struck.tail, 60)
    struck.ready(60)
    struck.kill()
    was = (struck.data / "remote.json").read_bytes()
    struck.fault = "rename:signal=KILL:when=1"
    struck.start()
    struck.fell()
    assert (struck.data / "remote.json").read_bytes() == was
    struck.fault = None
    struck.remote = {"key_file": key, "trial": "1s"}
    struck.configure()
    struck.start()
    in_force(struck, platform, 1)


def test_killed_at_any_moment(shop: Store, platform: Platform, signer: Signer) -> None:
    """Whenever the power fails, in the end the version is in force."""
    dice = random.Random(SEED)
    for version in range(1, 5):
        platform.configure(signer.document(version, f"[floor]\nclaim = '{version}m'\n"))
        threading.Event().wait(dice.uniform(0.5, 5))
        shop.kill()
        shop.start()
        shop.ready(60)
        in_force(shop, platform, version)


def test_systemd_sees_no_end(shop: Store, platform: Platform, signer: Signer) -> None:
    """It is told what goes on, and that it is ready again; STOPPING would have it kill what starts anew."""
    shop.stop()
    with TemporaryDirectory(prefix="systemd-") as folder:
        systemd = Systemd(Path(folder), 30)
        systemd.start(shop)
        until(lambda: systemd.count("READY=1") == 1, shop.tail, 30)
        platform.configure(signer.document(1, SOON))
        until(lambda: systemd.count("READY=1") == 2, shop.tail, 60)
        in_force(shop, platform, 1)
        assert (systemd.count("STATUS=starts anew"), systemd.count("STOPPING=1"), systemd.acts) == (1, 0, False)
        shop.stop()
        assert systemd.count("STOPPING=1") == 1
        systemd.close()


def test_it_is_gone_with_the_table_and_with_the_machine(shop: Store, platform: Platform, signer: Signer) -> None:
    """A technician takes `[remote]` out: the machine's own file counts alone. What decommission wipes has it in it."""
    platform.configure(signer.document(1, SOON))
    in_force(shop, platform, 1)
    shop.stop()
    asked = platform.answered("/configuration", 304)
    shop.remote, believed = None, shop.remote
    shop.configure()
    shop.start()
    shop.ready()
    platform.wait_pulled()
    shop.scan(1)
    until(lambda: shop.status()["held"] == 1, shop.tail)
    assert "remote" not in shop.status()
    assert platform.answered("/configuration", 304) == asked
    shop.stop()
    shop.remote = believed
    shop.configure()
    shop.start()
    in_force(shop, platform, 1)
    shop.stop()
    assert (shop.data / "remote.json").exists()
    shop.command("decommission", "--yes", "--backup", str(shop.folder / "none"))
    assert not (shop.data / "remote.json").exists()


def test_whatever_that_call_answers_nothing_else_is_troubled(shop: Store, platform: Platform, signer: Signer) -> None:
    for fault in ({"do": "status", "status": 405}, {"do": "garbage"}, {"do": "reset"}, {"do": "status", "status": 503}):
        platform.fault("/v1/stores/gangnam/gateways", times=2, **fault)
    platform.wait_pulled()
    shop.tap(BAND)
    until(lambda: shop.of("customer.identified"), shop.tail)
    platform.configure(signer.document(1, SOON))
    in_force(shop, platform, 1)
    assert platform.mend() == 0, "all were met"


def test_a_stop_while_it_starts_anew_is_a_stop(shop: Store, platform: Platform, signer: Signer) -> None:
    platform.configure(signer.document(1, SOON))
    until(lambda: "comes on trial" in shop.log.read_text(), shop.tail, 60)
    shop.stop()
    assert not shop.running
    shop.start()
    in_force(shop, platform, 1)
