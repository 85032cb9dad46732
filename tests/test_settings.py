"""A wrong configuration: one clear line that says where and what, exit 2, and nothing half-started."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory

import pytest

from edge import plan, settings
from peers.store import command, secret
from peers.tls import issued

ROOT = Path(__file__).parent.parent
STORE = '[store]\nid = "gangnam"\ngateway = "gw-1"\ndata = "data"\npseudonym_key_file = "key"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    secret(tmp_path / "key", bytes(range(32)))
    secret(tmp_path / "short", b"short")
    return tmp_path


def run(folder: Path, text: str, verb: str = "run") -> tuple[int, str]:
    """Exit code and standard error of a command with this configuration."""
    config = folder / "edge.toml"
    config.write_text(text)
    done = subprocess.run(command(verb, config), capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[store]\nid = = 1\n", r"edge\.toml: is not TOML: .*line 2"),
        (STORE + "[kart]\n", r"\bkart: unknown key"),
        (STORE + "[floor]\nsesion = '5s'\n", r"\[floor\] sesion: unknown key"),
        (STORE + "[floor]\nsession = 5\n", r"\[floor\] session: .*duration.*5"),
        (STORE + "[floor]\nsession = '-5s'\n", r"\[floor\] session: .*duration"),
        (STORE + "[floor]\nbands = '['\n", r"\[floor\] bands: is no regular expression"),
        (STORE + "[floor]\nloyalty = '^(?=KR)'\n", r"\[floor\] loyalty: is no regular expression of RE2: invalid perl"),
        (STORE + "[floor]\nbands = '((x{100}){100}){100}'\n", r"\[floor\] bands: is no regular expression of RE2: .*"),
        (STORE + "[floor]\nin_store = [{prefix='28', item=5, value=4, kind='price'}]\n", r"in_store.*12 digits"),
        (STORE.replace('"gangnam"', '"Gang nam"'), r"\[store\] id: "),
        (STORE.replace('gateway = "gw-1"\n', ""), r"\[store\] gateway: is missing"),
        (STORE.replace('"key"', '"nokey"'), r"pseudonym_key_file: .*nokey cannot be read \(No such file"),
        (STORE.replace('"key"', '"short"'), r"pseudonym_key_file: .*less than 32 bytes"),
        (STORE + 'capacity = "70MB"\n', r"\[store\] capacity: .*reserve \+ 16MB"),
        (STORE + 'timezone = "Asia/Atlantis"\n', r"\[store\] timezone: .*Atlantis"),
        (STORE + "[cart]\nbroker = 'mqtt://10.0.0.1'\n", r"\[cart\] broker: mqtt:// is for this machine only"),
        (STORE + "[cart]\nbroker = 'embedded'\n", r"\[cart\] protocol: .*3\.1\.1"),
        (STORE + "[cart]\nbroker = 'mqtts://b'\nlisten = '127.0.0.1:1'\n", r"\[cart\] listen: .*embedded"),
        (
            STORE + "[cart]\nbroker = 'mqtts://b'\npassword_file = 'no'\nusername = 'u'\n",
            r"password_file: .* cannot be read",
        ),
        (STORE + "[cart]\nbroker = 'mqtts://b'\nca_file = 'short'\n", r"\[cart\] ca_file.*cannot be used"),
        (STORE + "[platform]\nurl = 'http://10.0.0.1'\n", r"\[platform\] url: http:// is for this machine only"),
        (STORE + "[platform]\nurl = 'https://p'\nbatch = 0\n", r"\[platform\] batch: "),
        (STORE + "[presence]\nleave = -60\n", r"\[presence\] leave: must not be above enter"),
        (STORE + "[presence]\nsilent = '0s'\n", r"\[presence\] silent: must be longer than nothing"),
        (STORE + "[presence]\nmargin = nan\n", r"\[presence\] margin: must not be below 0"),
        (STORE + "[[driver]]\nkind = 'ble'\nread_point = 'a'\nscan = 'loud'\n", r"\[\[driver\]\] 1 scan: "),
        (STORE + "[[driver]]\nkind = 'ble'\nread_point = 'a'\nsilence = '0s'\n", r"\[\[driver\]\] 1 silence: "),
        (STORE + "[cue]\nsaved = 'no.wav'\n", r"\[cue\] saved: .*no\.wav cannot be read"),
        (STORE + "[cue]\nsaved = 'key'\nplayer = 'no-player -q'\n", r"\[cue\] player: .* no program 'no-player'"),
        (STORE + "[kiosk]\nlisten = 'somewhere'\n", r"\[kiosk\] listen: "),
        (STORE + "[kiosk]\nlisten = '0.0.0.0:80'\n", r"\[kiosk\] listen: .*lan = true, cert_file and key_file"),
        (
            STORE + "[kiosk]\nlisten = '[::]:80'\nlan = true\n",
            r"\[kiosk\] listen: .*lan = true, cert_file and key_file",
        ),
        (
            STORE + "[kiosk]\nlisten = '10.0.0.1:80'\ncert_file = 'key'\nkey_file = 'key'\n",
            r"\[kiosk\] listen: .*lan = true, cert_file and key_file",
        ),
        (STORE + "[kiosk]\ncert_file = 'key'\n", r"\[kiosk\] cert_file: cert_file and key_file go together"),
        (STORE + "[kiosk]\ncert_file = 'key'\nkey_file = 'no'\n", r"\[kiosk\] key_file: .*no cannot be read"),
        (STORE + "[kiosk]\ncert_file = 'key'\nkey_file = 'key'\n", r"\[kiosk\] cert_file, key_file: cannot be used"),
        (STORE + "[kiosk]\nnames = ['https://till']\n", r"\[kiosk\] names.*: must be a host name"),
        (STORE + "[kiosk]\nframe_ancestors = ['*']\n", r"\[kiosk\] frame_ancestors.*: must be a page's origin"),
        (STORE + "[kiosk]\nframe_ancestors = ['https://a; b']\n", r"\[kiosk\] frame_ancestors.*: must be a page's"),
        (STORE + "[kiosk]\nframe_ancestors = ['https://a:70000']\n", r"\[kiosk\] frame_ancestors: is no https://"),
        (STORE + "[kiosk]\nframe_ancestors = ['http://till']\n", r"\[kiosk\] frame_ancestors: http:// is for this"),
        (STORE + "[[driver]]\nread_point = 'a'\n", r"\[\[driver\]\] 1 kind: is missing"),
        (STORE + "[[driver]]\nkind = 'tap-dancer'\n", r"\[\[driver\]\] 1 kind: there is no driver 'tap-dancer'"),
        (STORE + "[[driver]]\nkind = 'replay'\nread_point = 'a'\n", r"\[\[driver\]\] 1 path: is missing"),
        (
            STORE + "[[driver]]\nkind = 'replay'\nread_point = 'a'\npath = 'x'\nsped = 1\n",
            r"\[\[driver\]\] 1 sped: unknown key",
        ),
        (
            STORE + "[[driver]]\nkind = 'replay'\nread_point = 'a'\npath = 'x'\nspeed = -1\n",
            r"\[\[driver\]\] 1 speed: ",
        ),
        (
            STORE + "[[driver]]\nkind = 'replay'\nread_point = 'a'\npath = 'x'\nspeed = 0.0\n" * 2,
            r"\[\[driver\]\] 2 read_point: .*alone",
        ),
    ],
)
def test_one_clear_line(folder: Path, text: str, says: str) -> None:
    code, error = run(folder, text)
    assert code == 2
    assert error.count("\n") == 1, error
    assert error.startswith(f"cartwire: {folder}/edge.toml: "), error
    assert re.search(says, error), error
    assert not (folder / "data").exists()


OWN = STORE + "[cart]\nbroker = 'embedded'\nprotocol = '3.1.1'\n"
OTHER = STORE + "[cart]\nbroker = 'mqtts://b'\n"
PLATFORM = STORE + "[platform]\nurl = 'https://p'\n"
REPLAY = STORE + "[[driver]]\nkind = 'replay'\npath = 'x'\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *(
            (
                PLATFORM + f"token_file = '{name}'\n",
                rf"\[platform\] token_file: \S+/{name} is empty or no text; a token",
            )
            for name in ("empty", "two-lines", "binary")
        ),
        (OTHER + "username = 'u'\npassword_file = 'empty'\n", r"\[cart\] password_file: \S+/empty is empty"),
        *(
            (OWN + f"{key} = 'key'\n", rf"\[cart\] {key}: is not for the embedded broker")
            for key in ("username", "password_file", "ca_file", "cert_file", "key_file")
        ),
        *(
            (OWN + f"{key} = '{listen}'\n", rf"\[cart\] {key}: is for this machine only")
            for key in ("listen", "websocket")
            for listen in ("0.0.0.0:1883", "[::]:1883", "192.168.1.2:1883", "till.local:1883")
        ),
        (OTHER.replace("mqtts://b", "mqtts://b/path"), r"\[cart\] broker: must end with the port"),
        (OTHER.replace("mqtts://b", "mqtts://b?x"), r"\[cart\] broker: must not hold \? or #"),
        (OTHER + "protocol = '4'\n", r"\[cart\] protocol: must be \"5\" or \"3\.1\.1\""),
        (STORE.replace('"gangnam"', '"Gangnam"'), r"\[store\] id: must be 1 to 32 of a-z, 0-9 and -"),
        (STORE + "language = 'korean!'\n", r'\[store\] language: must be a language such as "ko"'),
        (STORE + "timezone = 9\n", r"\[store\] timezone: Expected text, got a whole number"),
        (PLATFORM + "batch = true\n", r"\[platform\] batch: Expected a whole number, got true or false"),
        (
            STORE + "[floor]\nin_store = [{prefix='28', item=5, value=5, kind='cost'}]\n",
            r'\[floor\] in_store\[0\]\.kind: must be "price" or "weight"',
        ),
        (STORE + "[kiosk]\nread_point = ''\n", r"\[kiosk\] read_point: must be the name of a place"),
        (REPLAY + "read_point = ''\n", r"\[\[driver\]\] 1 read_point: is empty"),
        (
            STORE + "[[driver]]\nkind = 'serialport'\nread_point = 'a'\npath = 'x'\nbaud = 7\n",
            r"\[\[driver\]\] 1 baud: must be 1200 or 2400",
        ),
        (
            STORE + "[[driver]]\nkind = 'hid'\nread_point = 'a'\nusb = '7'\n",
            r"\[\[driver\]\] 1 usb: must be vendor:product in hex",
        ),
    ],
)
def test_said_so_that_one_knows_what_to_write(folder: Path, text: str, says: str) -> None:
    secret(folder / "empty", b"\n")
    secret(folder / "two-lines", b"one\ntwo\n")
    secret(folder / "binary", bytes(range(128, 160)))
    (folder / "edge.toml").write_text(text)
    with pytest.raises(plan.CannotStart, match=rf"^\S+/edge\.toml: {says}"):
        plan.make(folder / "edge.toml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(command("run", tmp_path / "no.toml"), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"cartwire: \S+no\.toml: cannot be read \(No such file or directory\).*\n", done.stderr)


def test_a_port_in_use(folder: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        code, error = run(folder, STORE + f"[kiosk]\nlisten = '127.0.0.1:{port}'\n")
    assert code == 2
    assert re.search(rf"\[kiosk\] listen: 127\.0\.0\.1:{port} cannot be had \(Address already in use\)", error)
    assert not (folder / "data" / "cartwire.db").exists()


def test_an_address_that_is_none(folder: Path) -> None:
    certificate, key = issued(folder)
    table = f"[kiosk]\nlan = true\ncert_file = '{certificate}'\nkey_file = '{key}'\n"
    code, error = run(folder, STORE + table + "listen = 'nohost.invalid:80'\n")
    assert code == 2
    assert re.search(r"\[kiosk\] listen: nohost\.invalid:80 cannot be had \([A-Z][a-z ]+\)", error), error


@pytest.mark.parametrize(
    ("name", "dates", "says"),
    [
        ("till.example", ("20200101000000Z", "20991231235959Z"), r"ok +page +https://till\.example:8443/, .*2099"),
        ("other.example", ("20200101000000Z", "20991231235959Z"), r"Hostname mismatch.* issued for other\.example"),
        ("till.example", ("20200101000000Z", "20210101000000Z"), r"certificate has expired"),
    ],
)
def test_the_certificate_of_the_page(folder: Path, name: str, dates: tuple[str, str], says: str) -> None:
    certificate, key = issued(folder, *dates)
    table = f"[kiosk]\nlisten = '0.0.0.0:8443'\nlan = true\ncert_file = '{certificate}'\nkey_file = '{key}'\n"
    (folder / "edge.toml").write_text(STORE + table + f"names = ['{name}']\n")
    done = subprocess.run(
        command("check", folder / "edge.toml"), capture_output=True, text=True, timeout=30, check=False
    )
    assert re.search(says, done.stdout), done.stdout + done.stderr


def test_a_data_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "data").write_text("a file is in its place")
    code, error = run(folder, STORE)
    assert code == 2
    assert re.search(r"\[store\] data: .*/data cannot be written", error)
    assert error.count("\n") == 1


def test_a_library_that_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "hidden" / "smartcard").mkdir(parents=True)
    (folder / "hidden" / "smartcard" / "__init__.py").write_text("raise ImportError('No module named smartcard')")
    monkeypatch.setenv("PYTHONPATH", str(folder / "hidden"))
    code, error = run(folder, STORE + "[[driver]]\nkind = 'nfc'\nread_point = 'a'\n")
    assert code == 2
    assert re.search(
        r'\[\[driver\]\] 1 kind: a library of the nfc driver is missing .*pip install "cartwire\[nfc\]"', error
    )


def test_nobody_answers(folder: Path) -> None:
    assert run(folder, STORE, "status")[0] == 3
    code, error = run(folder, STORE, "events")
    assert code == 2
    assert "there is no journal yet" in error


def test_the_annotated_example_is_complete(folder: Path) -> None:
    """Every key there is stands in config/edge.toml, set or as a comment, and what is set can be loaded."""
    text = (ROOT / "config" / "edge.toml").read_text()
    for name, table in (
        ("store", settings.Store),
        ("cart", settings.Cart),
        ("platform", settings.Platform),
        ("floor", settings.Floor),
        ("presence", settings.Presence),
        ("cue", settings.Cue),
        ("kiosk", settings.Kiosk),
        ("remote", settings.Remote),
    ):
        section = re.split(rf"\n(?:# )?\[{name}\]", text)[1].split("\n[")[0]
        for key in table.__struct_fields__:
            shared = key in ("ca_file", "cert_file", "key_file") and "as in [cart]" in section
            assert shared or re.search(rf"^#? ?{key} =", section, re.MULTILINE), f"[{name}] {key}"
    text = text.replace("/etc/cartwire/credentials/pseudonym.key", str(folder / "key"))
    (folder / "edge.toml").write_text(text)
    assert settings.load(folder / "edge.toml").store.id == "gangnam"
    given = {table["kind"] for table in tomllib.loads(text)["driver"]}
    assert given == {module.name for module in iter_modules([str(ROOT / "drivers")])}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
@pytest.mark.parametrize("key", ["pseudonym_key_file", "token_file", "password_file", "key_file", "apps_file"])
def test_what_others_could_read_is_refused(folder: Path, key: str, mode: int) -> None:
    """Then it is known to who knows whom; the way out stands in the line."""
    secret(folder / "open", bytes(range(65, 97)))
    (folder / "open").chmod(mode)
    tables = {
        "pseudonym_key_file": STORE.replace('"key"', '"open"'),
        "token_file": STORE + "[platform]\nurl = 'http://127.0.0.1:1'\ntoken_file = 'open'\n",
        "password_file": STORE + "[cart]\nbroker = 'mqtts://b'\nusername = 'u'\npassword_file = 'open'\n",
        "key_file": STORE + "[kiosk]\ncert_file = 'key'\nkey_file = 'open'\n",
        "apps_file": STORE + "[cart]\nbroker = 'embedded'\nprotocol = '3.1.1'\napps_file = 'open'\n",
    }
    code, error = run(folder, tables[key])
    path = folder / "open"
    assert code == 2
    assert re.fullmatch(rf"cartwire: \S+ \[\w+\] {key}: {path} is open to other users; chmod 600 {path}\n", error)
    path.chmod(0o600)
    assert "is open to other users" not in run(folder, tables[key], "status")[1]


def test_systemd_has_copies_of_what_lies_in_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read by whom the folder itself is closed to; an access list makes them look open."""
    copies = folder / "copies"
    copies.mkdir()
    secret(copies / "credentials_pseudonym.key", b"k" * 32)
    (copies / "credentials_pseudonym.key").chmod(0o440)
    (folder / "edge.toml").write_text(STORE.replace('"key"', '"credentials/pseudonym.key"'))
    with pytest.raises(plan.CannotStart, match=r"credentials/pseudonym\.key cannot be read"):
        plan.make(folder / "edge.toml")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(copies))
    assert plan.make(folder / "edge.toml").key == b"k" * 32


STRANGER = """
import os, sys, pathlib
from edge import plan
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(plan.make(pathlib.Path(sys.argv[1])).old_key)
"""
"""Who may not look into the folder that root has for keys."""


def test_a_service_needs_no_older_key(folder: Path) -> None:
    """With no copy of one, there is none, though it cannot see that itself; without systemd it says so."""
    with TemporaryDirectory() as reached:
        base, copies = Path(reached), Path(reached) / "copies"
        for place, mode in ((base, 0o755), (copies, 0o755), (base / "credentials", 0o000)):
            place.mkdir(exist_ok=True)
            place.chmod(mode)
        (copies / "credentials_pseudonym.key").write_bytes(b"k" * 32)
        text = STORE.replace('"key"', '"credentials/pseudonym.key"') + 'old_key_file = "credentials/old.key"\n'
        (base / "edge.toml").write_text(text)
        command = [sys.executable, "-c", STRANGER, base / "edge.toml"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CREDENTIALS_DIRECTORY": str(copies)}

        def said(**more: str) -> str:
            done = subprocess.run(
                command, env=environment | more, capture_output=True, text=True, timeout=60, check=False
            )
            return (done.stdout + done.stderr).strip().splitlines()[-1]

        assert said() == "None"
        (copies / "credentials_old.key").write_bytes(b"o" * 32)
        assert said() == repr(b"o" * 32)
        (base / "key").write_bytes(b"k" * 32)
        (base / "edge.toml").write_text(STORE + 'old_key_file = "credentials/old.key"\n')
        if os.getuid() == 0:
            os.chown(base / "key", 65534, 65534)
        (base / "key").chmod(0o600)
        del environment["CREDENTIALS_DIRECTORY"]
        assert "[store] old_key_file: " in said()
        assert "cannot be read (Permission denied)" in said()


def test_line_ends_and_keys(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"secret\r\n")
    assert settings.secret(tmp_path / "token") == "secret"


@pytest.mark.parametrize("shipped", [settings.Floor().bands, settings.Floor().loyalty])
def test_what_is_shipped_is_matched_as_re2_would(shipped: str) -> None:
    """RE2 itself is loaded for a pattern of somebody's own only; `$` is the end, and not a line's."""
    ours, theirs = settings.pattern(shipped), settings.pattern(f"(?:{shipped})")
    assert type(ours) is not type(theirs)
    near = ["04A1B2C3D4E5F6", "KR0123456789"]
    texts = [*near, *(f"{text}{end}" for text in near for end in ("\n", "\r\n", "0", " ", "\x00"))]
    texts += [*(text.lower() for text in near), *(f"\n{text}" for text in near), *(text[:-1] for text in near), ""]
    texts += [text.replace("0", "٠") for text in near]
    assert [bool(ours.search(text)) for text in texts] == [bool(theirs.search(text)) for text in texts]
    assert sum(bool(ours.search(text)) for text in texts) == 1
