"""What a technician sends: made from whatever still works, with nothing in it that is a secret or about a person."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from bands import BAND
from edge.bundle import cut
from peers.process import until
from peers.store import Store, command, pseudonym, secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

PARTS = {
    *("README.txt", "system.json", "configuration.json", "status.txt", "status.json", "healthz.txt", "metrics.txt"),
    *("check.txt", "devices.txt", "database.json", "files.txt", "log.txt", "systemd.txt"),
}
TOKEN = "tok9f8e7d6c5b4a39281706"


def bundled(config: Path, to: Path, **environment: str) -> tuple[dict[str, str], str]:
    """By name: the parts of a new bundle; and what was printed."""
    done = subprocess.run(
        [*command("support-bundle", config), str(to)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stderr) == (0, "")
    with tarfile.open(to) as archive:
        files = {name.removeprefix("cartwire-support/"): archive.extractfile(name) for name in archive.getnames()}
        found = {name: file.read().decode() for name, file in files.items() if file}
        assert {entry.mode for entry in archive} == {0o600}
        assert abs(archive.getmembers()[0].mtime - time.time()) < 120
    assert found.keys() == PARTS
    assert to.stat().st_mode & 0o777 == 0o600
    for name in PARTS - {"README.txt"}:
        assert re.search(rf"^{re.escape(name)} ", done.stdout, re.MULTILINE), "what is in it is said"
        assert re.search(rf"^{re.escape(name)} ", found["README.txt"], re.MULTILINE), "and stands in it"
    return found, done.stdout


def missing(parts: dict[str, str]) -> set[str]:
    return {name for name, text in parts.items() if text.startswith("not there: ")}


def test_of_a_store_that_runs(opened: Callable[..., Store], app: App, tmp_path: Path) -> None:
    """All is there, but what only a machine with systemd has."""
    store = opened()
    store.tap(BAND)
    store.scan(1)
    until(store.settled, store.tail, 20)
    parts, _ = bundled(store.config, tmp_path / "bundle.tar.gz", PATH=str(tmp_path))
    assert missing(parts) == {"log.txt", "systemd.txt"}
    assert "there is no journalctl" in parts["log.txt"]
    system, status = json.loads(parts["system.json"]), json.loads(parts["status.json"])
    assert (system["store"], system["gateway"], system["cartwire"]) == ("gangnam", "gw-1", status["version"])
    assert "takes taps and scans" in parts["status.txt"]
    assert parts["healthz.txt"].startswith("200\n")
    assert "cartwire_up 1.0" in parts["metrics.txt"]
    assert "ok   replay@till-1" in parts["check.txt"]
    database = json.loads(parts["database.json"])
    assert (database["rows"]["cart.item_added"], database["rows"]["cart.item_confirmed"]) == (1, 1)
    assert (database["schema"], database["customer"], database["quick_check"]) == (
        database["schema_of_this_version"],
        2,
        "ok",
    )
    assert " cartwire.db\n" in parts["files.txt"]
    shown = json.loads(parts["configuration.json"])
    assert shown["store"]["pseudonym_key_file"] == "pseudonym.key"
    assert shown["driver"][0]["path"] == "till-1.fifo"


def test_where_nothing_works_any_more_it_says_so(store: Store, tmp_path: Path) -> None:
    """No daemon, a database that is none, a configuration that is no TOML."""
    (store.data / "cartwire.db").write_bytes(b"no database")
    parts, printed = bundled(store.config, tmp_path / "one.tar.gz")
    gone = {"status.txt", "status.json", "healthz.txt", "metrics.txt", "database.json"}
    assert gone <= missing(parts)
    assert "cannot be read" in parts["database.json"]
    assert "no daemon answers" in parts["status.txt"]
    assert re.search(r"^database\.json .*: NOT THERE: \S+: cannot be read", printed, re.MULTILINE)

    store.config.write_text("[store\n")
    parts, printed = bundled(store.config, tmp_path / "two.tar.gz")
    assert gone | {"configuration.json"} <= missing(parts)
    assert "is not TOML" in parts["check.txt"], "check itself says what is wrong"
    assert json.loads(parts["system.json"])["store"] is None

    store.config.unlink()
    os.mkfifo(store.config)  # nobody will ever write into it
    parts, _ = bundled(store.config, tmp_path / "three.tar.gz")
    assert "is no file" in parts["configuration.json"]
    assert "cannot be read (is no file); name the file with --config" in parts["check.txt"]


def test_a_database_with_a_hole_is_counted_as_far_as_it_goes(opened: Callable[..., Store], tmp_path: Path) -> None:
    """A page of the journal's tree is overwritten; the other tables are counted all the same."""
    store = opened()
    for number in range(40):
        store.scan(number)
    until(lambda: len(store.of("scan.unclaimed")) == 40, store.tail, 40)
    store.stop()
    path = store.data / "cartwire.db"
    content = bytearray(path.read_bytes())
    holes = [at for at in range(512, len(content), 512) if b"scan.unclaimed" in content[at : at + 512]]
    for at in holes:
        content[at : at + 512] = b"\xff" * 512
    path.write_bytes(content)
    parts, _ = bundled(store.config, tmp_path / "bundle.tar.gz")
    database = json.loads(parts["database.json"])
    assert database["customer"] == 2
    assert database["quick_check"] != "ok"


def test_it_is_no_file_that_is_there(store: Store, tmp_path: Path) -> None:
    there = tmp_path / "bundle.tar.gz"
    there.write_text("somebody's")
    for to, said in ((there, "is there already; name a new file"), (tmp_path / "no" / "folder", "No such file")):
        done = subprocess.run(
            [*command("support-bundle", store.config), str(to)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert there.read_text() == "somebody's"


def test_without_a_name_it_is_named_after_the_store_and_the_time(store: Store) -> None:
    done = subprocess.run(
        command("support-bundle", store.config),
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
        cwd=store.folder,
    )
    (made,) = store.folder.glob("cartwire-gangnam-gw-1-20*Z.tar.gz")
    assert made.name in done.stdout


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("rtsp://admin:hunter2@cam.example/live", "rtsp://(cut)@cam.example/live"),
        ("https://x.example/feed?token=abc def", "https://x.example/feed?(cut) def"),
        (f"of {pseudonym('nfc', BAND)} it", "of (64 hex digits) it"),
        ("the setup code is 1234 5678", "the setup code is (cut)"),
        ("mqtts://broker.example:8883", "mqtts://broker.example:8883"),
    ],
)
def test_what_is_cut(text: str, left: str) -> None:
    assert cut(text) == left


def test_what_is_cut_is_not_cut_again() -> None:
    """Single letters are no secrets; and one of what is hidden may stand in another, or in what is put in its place."""
    hidden = [*"notshw() e", "shown", "hunter2", "hunter2-and-more"]
    assert cut("host: hunter2-and-more, hunter2", hidden) == "host: (not shown), (not shown)"
    assert len(cut("shown " * 10, hidden)) < 200


def test_secrets_that_stand_in_the_wrong_place_are_in_no_part(
    store: Store, platform: Platform, broker: Mosquitto, tmp_path: Path
) -> None:
    """A token as a value of a key that there is none of, and where its file belongs; a password in an address."""
    secret(store.folder / "token", b"x\n")
    for wrong in (f'token = "{TOKEN}"', f'token_file = "{TOKEN}"', f'[platfrom]\ntoken = {{ is = ["{TOKEN}"] }}'):
        store.configure([{"kind": "camera", "read_point": "till-1", "source": f"rtsp://me:{TOKEN}@127.0.0.1:1/x"}])
        text = re.sub(r"^token_file.*$", "", store.config.read_text(), flags=re.MULTILINE)
        store.config.write_text(
            text.replace("[platform]", f"[platform]\n{wrong}", 1) if "[pl" not in wrong else f"{wrong}\n{text}"
        )
        to = tmp_path / f"{len(wrong)}.tar.gz"
        parts, printed = bundled(store.config, to)
        assert [name for name, part in parts.items() if TOKEN in part] == [], wrong
        assert TOKEN not in printed
        assert "(not shown)" in parts["configuration.json"]
        assert "rtsp://me:(not shown)@127.0.0.1:1/x" in parts["configuration.json"]
