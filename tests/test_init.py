"""A gateway's first and last hour: a configuration and its key out of answers or flags; keys and data wiped."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from bands import BAND
from peers.process import until
from peers.store import KEY, Store, command, pseudonym, secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Mosquitto


def call(verb: str, config: Path, *flags: str | Path) -> tuple[int, str, str]:
    """Exit code, output and errors, with nobody at a terminal."""
    done = subprocess.run(
        [*command(verb, config), *flags],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    return done.returncode, done.stdout, done.stderr


def typed(verb: str, config: Path, answers: list[str], language: str, *flags: str | Path) -> tuple[int, str]:
    """Exit code and all that stands on the terminal on which somebody types the answers."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*command(verb, config), *flags],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "LC_ALL": language},
    ) as process:
        os.close(theirs)
        os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
        said = b""
        try:
            while piece := os.read(ours, 65536):
                said += piece
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
    return process.wait(60), said.decode()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_gateway_out_of_flags(platform: Platform, broker: Mosquitto, tmp_path: Path) -> None:
    """The chain's key and the token are imported, all is checked; a second call touches nothing."""
    secret(tmp_path / "key", KEY)
    config = tmp_path / "etc" / "edge.toml"
    flags = ("--store", "gangnam", "--language", "ko", "--timezone", "Asia/Seoul", "--data", tmp_path / "data")
    links = ("--platform", platform.table["url"], "--token-file", platform.token_file, "--broker", broker.url)
    code, said, errors = call("init", config, *flags, *links, "--key-file", tmp_path / "key")
    assert errors == ""
    assert f"The pseudonym key of the chain is in {config.parent}/credentials/pseudonym.key." in said
    assert re.search(r"^ok +platform ", said, re.MULTILINE)
    assert re.search(r"^ok +broker ", said, re.MULTILINE)
    assert code == (0 if "BAD" not in said else 1)  # the clock of this machine is as it is
    written = tomllib.loads(config.read_text())
    assert written["store"] == {
        "id": "gangnam",
        "gateway": "gw-1",
        "timezone": "Asia/Seoul",
        "language": "ko",
        "data": str(tmp_path / "data"),
        "pseudonym_key_file": "credentials/pseudonym.key",
    }
    credentials = config.parent / "credentials"
    assert (credentials / "pseudonym.key").read_bytes() == KEY
    assert {path.name: mode(path) for path in credentials.iterdir()} == {
        "pseudonym.key": 0o600,
        "platform.token": 0o600,
    }
    assert mode(credentials) == 0o700
    assert sorted(path.name for path in config.parent.iterdir()) == ["credentials", "edge.toml"]

    before = config.read_bytes()
    code, _, errors = call("init", config, "--store", "other")
    assert (code, errors) == (2, f"cartwire: init: {config} is there already; edit it, or move it away first\n")
    assert config.read_bytes() == before


def test_a_new_key_and_one_that_is_there(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    key = tmp_path / "credentials" / "pseudonym.key"
    _, said, errors = call("init", config, "--store", "gangnam", "--data", tmp_path / "data")
    assert errors == ""
    assert f"A new pseudonym key is in {key}." in said
    made = key.read_bytes()
    assert (len(made), mode(key)) == (32, 0o600)

    config.unlink()
    secret(tmp_path / "other", KEY)
    flags = ("--store", "gangnam", "--data", tmp_path / "data")
    code, _, errors = call("init", config, *flags, "--key-file", tmp_path / "other")
    assert (code, config.exists()) == (2, False)
    assert re.fullmatch(rf"cartwire: init: {key} is there already, and is another; .*\n", errors)
    _, said, _ = call("init", config, *flags)
    assert f"The pseudonym key that was in {key} stays." in said
    assert key.read_bytes() == made


def test_a_call_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    """The power went before the configuration, the last step: the same flags lead to the same end."""
    config, credentials = tmp_path / "edge.toml", tmp_path / "credentials"
    secret(tmp_path / "key", KEY)
    secret(tmp_path / "token", b"tok-1\n")
    flags = ("--store", "gangnam", "--data", tmp_path / "data", "--platform", "https://platform.example")
    files = ("--key-file", tmp_path / "key", "--token-file", tmp_path / "token")
    _, _, errors = call("init", config, *flags, *files)
    assert errors == ""
    written = config.read_bytes()
    for lost in (["edge.toml"], ["edge.toml", "credentials/platform.token"]):
        beside = tmp_path / ".init-x1" / "credentials"
        beside.mkdir(parents=True)
        (beside / "pseudonym.key").hardlink_to(credentials / "pseudonym.key")
        for name in lost:
            (tmp_path / name).unlink()
        _, said, errors = call("init", config, *flags, *files)
        assert (errors, config.read_bytes()) == ("", written)
        assert f"The pseudonym key that was in {credentials}/pseudonym.key stays." in said
        assert list(tmp_path.glob(".init-*")) == []
    assert (credentials / "pseudonym.key").read_bytes() == KEY
    assert (credentials / "platform.token").read_bytes() == b"tok-1\n"

    config.unlink()
    secret(tmp_path / "token", b"tok-2\n")
    code, _, errors = call("init", config, *flags, *files)
    assert (code, config.exists()) == (2, False)
    assert errors == (
        f"cartwire: init: {credentials}/platform.token is there already, and is another; move it away first\n"
    )


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), r"--store is missing, and there is no terminal to ask at"),
        (("--store", "Gang nam"), r"\[store\] id: must be 1 to 32 of a-z, 0-9 and -"),
        (("--store", "a", "--timezone", "Asia/Atlantis"), r"\[store\] timezone: there is no 'Asia/Atlantis'.*"),
        (("--store", "a", "--broker", "mqtt://10.0.0.1"), r"\[cart\] broker: mqtt:// is for this machine only.*"),
        (("--store", "a", "--key-file", "none"), r"--key-file: none cannot be read \(No such file or directory\)"),
        (("--store", "a", "--key-file", "/dev/null"), r".*pseudonym\.key holds less than 32 bytes.*"),
    ],
)
def test_what_is_wrong_leaves_nothing_behind(tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    config = tmp_path / "edge.toml"
    code, _, errors = call("init", config, *flags)
    assert code == 2
    assert re.fullmatch(rf"cartwire: init: {says}\n", errors)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_who_is_asked_reads_their_language(tmp_path: Path) -> None:
    for language, question, end in (
        ("ko_KR.UTF-8", "매장 이름", "설정을 썼습니다"),
        ("en_US.UTF-8", "Name of this store", "is written"),
    ):
        config = tmp_path / language / "edge.toml"
        answers = ["gangnam", "gw-2", "", "Asia/Seoul", "", ""]
        _, said = typed("init", config, answers, language, "--data", tmp_path / "data")
        assert question in said
        assert end in said
        written = tomllib.loads(config.read_text())
        assert (written["store"]["gateway"], written["store"]["language"]) == ("gw-2", language[:2])
        assert written.keys() == {"store", "kiosk"}


def test_who_has_the_chains_key_and_a_token_is_asked_for_them(tmp_path: Path) -> None:
    """Else the first gateway with a platform would have a key that nobody else has, and call everybody a stranger."""
    secret(tmp_path / "key", KEY)
    secret(tmp_path / "token", b"tok-1")
    answers = ["gangnam", "", "", "Asia/Seoul", "https://127.0.0.1:1", ""]
    for language, said_of_it in (
        ("ko_KR.UTF-8", "체인의 가명 키를"),
        ("en_US.UTF-8", "The pseudonym key of the chain is in"),
    ):
        config = tmp_path / language / "edge.toml"
        files = [str(tmp_path / "key"), str(tmp_path / "token")]
        _, said = typed("init", config, [*answers, *files], language, "--data", tmp_path / "data")
        assert said_of_it in said
        assert (config.parent / "credentials/pseudonym.key").read_bytes() == KEY
        assert tomllib.loads(config.read_text())["platform"]["token_file"] == "credentials/platform.token"

    config = tmp_path / "first" / "edge.toml"
    _, said = typed("init", config, [*answers, "", ""], "C.UTF-8", "--data", tmp_path / "data")
    assert "A new pseudonym key is in" in said
    config = tmp_path / "wrong" / "edge.toml"
    code, said = typed("init", config, [*answers, str(tmp_path / "no"), ""], "C.UTF-8", "--data", tmp_path / "data")
    assert (code, config.exists()) == (2, False)
    assert "--key-file: " in said


def test_the_daemon_may_read_what_a_careful_root_writes(tmp_path: Path) -> None:
    """Whose umask lets nobody else in."""
    config = tmp_path / "edge.toml"
    full = [*command("init", config), "--store", "gangnam", "--data", str(tmp_path / "data")]
    subprocess.run(full, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False, umask=0o077)
    assert (mode(config), mode(tmp_path / "credentials/pseudonym.key")) == (0o644, 0o600)


def test_who_hangs_up_is_told_so_in_one_line(store: Store, tmp_path: Path) -> None:
    """Ctrl-D, at the first question of each command that asks."""
    new = tmp_path / "edge.toml"
    for verb, config in (("init", new), ("decommission", store.config), ("reset-staff", store.config)):
        code, said = typed(verb, config, ["\x04"], "C.UTF-8")
        assert (code, "Traceback" in said) == (2, False), said
        assert re.search(rf"^cartwire: {verb}: .*there is no terminal to ask at.*$", said, re.MULTILINE), said
    assert not new.exists()
    assert store.data.exists()


def test_a_machine_that_goes_takes_nothing_along(opened: Callable[..., Store], tmp_path: Path) -> None:
    """Not while its daemon runs, not without a yes; then names and keys are in no file, nor in what was one."""
    store = opened()
    backup = tmp_path / "backup"
    backup.mkdir()
    (backup / "cartwire.db").write_bytes(b"c-1")
    store.tap(BAND)
    until(lambda: store.of("customer.identified"), "the tap")
    code, _, errors = call("decommission", store.config, "--yes", "--backup", backup)
    assert code == 2
    assert "in use by another daemon; stop that one first" in errors
    store.stop()

    code, _, errors = call("decommission", store.config, "--backup", backup)
    assert (code, errors) == (2, "cartwire: decommission: there is no terminal to ask at; say --yes\n")
    code, said = typed("decommission", store.config, ["no"], "ko_KR.UTF-8", "--backup", backup)
    assert code == 1
    assert "아무것도 지우지 않았습니다" in said
    assert store.of("customer.identified")

    database = store.data / "cartwire.db"
    before = store.folder / "pseudonym.key.old"  # a change of the key is under way
    secret(before, bytes(reversed(KEY)))
    store.config.write_text(store.config.read_text().replace("[store]\n", f'[store]\nold_key_file = "{before.name}"\n'))
    was, key, old = tmp_path / "was.db", tmp_path / "was.key", tmp_path / "was.old"
    was.hardlink_to(database)  # the same bytes under a name that stays
    old.hardlink_to(before)
    key.hardlink_to(store.folder / "pseudonym.key")
    assert pseudonym("nfc", BAND).encode() in was.read_bytes()
    left = [  # by a rotation and an `init` that were cut short, by an earlier configuration
        *(store.folder / "credentials" / name for name in ("pseudonym.key.part", "platform.token")),
        store.folder / ".init-x1" / "credentials" / "pseudonym.key",
    ]
    for number, file in enumerate(left):
        file.parent.mkdir(parents=True, exist_ok=True)
        secret(file, KEY)
        (tmp_path / f"was.{number}").hardlink_to(file)
    code, said = typed("decommission", store.config, ["gw-1"], "en_US.UTF-8", "--backup", backup)
    assert (code, "Wiped." in said) == (0, True)
    assert not any(was.read_bytes())
    assert not any(key.read_bytes())
    assert not any(old.read_bytes())
    assert not any((tmp_path / f"was.{number}").read_bytes().strip(b"\0") for number in range(len(left)))
    assert not any(file.exists() for file in (before, *left))
    assert list(store.data.iterdir()) == list(backup.iterdir()) == []
    assert not (store.folder / "pseudonym.key").exists()
    assert call("decommission", store.config, "--yes", "--backup", backup)[0] == 0


def test_a_command_of_roots_is_not_in_the_daemons_way(store: Store) -> None:
    """It may come before the daemon's first start, into a folder that is the daemon's already."""
    if os.geteuid() == 0:
        os.chown(store.data, 65534, 65534)
    code, said = typed("decommission", store.config, ["no"], "C.UTF-8")
    assert (code, "Nothing was wiped." in said) == (1, True)
    assert (store.data / "lock").stat().st_uid == store.data.stat().st_uid


def test_what_is_cut_short_has_not_succeeded(store: Store) -> None:
    """By Ctrl-C at the question: `cartwire decommission && poweroff` goes no further."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command("decommission", store.config), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        said = b""
        while b"gw-1 to go on" not in said and "gw-1를 입력".encode() not in said:
            said += os.read(ours, 65536)
        for _ in range(20):
            process.send_signal(signal.SIGINT)  # one just before the answer is waited for does not end that
            with suppress(subprocess.TimeoutExpired):
                process.wait(3)
                break
        process.kill()
    assert process.returncode == 130
    os.close(ours)
    os.close(theirs)
    assert (store.folder / "pseudonym.key").exists()
