"""What is no configuration for this gateway is refused in one line, whatever bytes come; what is kept is whole."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from edge import adopted, candidate, overlay, plan, settings, signed, standing
from edge.adopted import FILE, Adopted, State
from edge.document import LONGEST, Document, Refused
from edge.plan import CannotStart
from edge.ports import Unavailable
from edge.remote import Remote
from peers.day import SEED
from peers.signer import HEADER, Signer
from peers.store import secret
from peers.strike import STRACE
from sync.backoff import Backoff
from sync.configuration import Configuration
from sync.platform import Answer

if TYPE_CHECKING:
    from pathlib import Path

BASE = """
[store]
id = "gangnam"
gateway = "gw-1"
data = "data"
pseudonym_key_file = "key"
[platform]
url = "https://p.example"
[floor]
claim = "10s"
late = "2h"
[remote]
key_file = "remote.pub"
"""
SIGNER = Signer()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A machine's own file."""
    secret(tmp_path / "key", bytes(range(32)))
    SIGNER.believed_in(tmp_path / "remote.pub")
    (tmp_path / "data").mkdir()
    (tmp_path / "edge.toml").write_text(BASE)
    return tmp_path / "edge.toml"


def document(version: int = 1, toml: str = "", store: str = "gangnam") -> Document:
    return Document(version=version, store=store, gateway="gw-1", toml=toml)


def kept(version: int = 1, toml: str = "", store: str = "gangnam", signer: Signer = SIGNER) -> Adopted:
    return Adopted(document(version, toml, store), adopted.fingerprint(signer.public))


def why(config: Path, jws: str | bytes) -> str:
    """Why a document is refused; it is one line that names no file of the machine."""
    found = candidate.judge(config, 4, jws if isinstance(jws, bytes) else jws.encode()).refused
    assert found is not None
    assert "\n" not in found.reason
    assert str(config.parent) not in found.reason
    return found.reason


def unsigned(jws: bytes) -> str:
    """Why it is nothing that was signed."""
    with pytest.raises(Refused) as refused:
        signed.verified(jws, [SIGNER.public])
    return str(refused.value)


def test_one_that_we_make_is_one_that_anybody_makes(config: Path) -> None:
    """Ours and a JWS put together by hand are the same to a gateway; a line end behind it is a text editor's."""
    key = config.parent / "signing.key"
    public = signed.make_key(key)
    ours = signed.sign(document(5, "[floor]\nclaim = '5s'\n"), signed.private_key(key))
    assert signed.verified(f"{ours}\n".encode(), [SIGNER.public, public.read_text()])[0].version == 5
    assert (key.stat().st_mode & 0o777, public.stat().st_mode & 0o777 & ~0o044) == (0o600, 0o600)
    for header in (HEADER, {**HEADER, "alg": "Ed25519"}, {**HEADER, "kid": "2026"}):
        theirs = SIGNER.sign(
            json.dumps({"version": 5, "store": "gangnam", "gateway": "gw-1", "toml": ""}).encode(), header
        )
        assert candidate.judge(config, 4, theirs.encode()).usable == kept(5)
    with pytest.raises(Refused, match="name a file that is not there yet"):
        signed.make_key(key)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"alg": "none", "typ": "cartwire-configuration"}, "no JWS of the type"),
        ({"alg": "HS256", "typ": "cartwire-configuration"}, "no JWS of the type"),
        ({"alg": "EdDSA"}, "no JWS of the type"),
        ({"alg": "EdDSA", "typ": "JWT"}, "no JWS of the type"),
        ({**HEADER, "crit": ["exp"], "exp": 1}, "no JWS of the type"),
        ({**HEADER, "jwk": {"kty": "OKP"}}, "no JWS of the type"),
        (b"[" * 100_00, "no JWS of the type"),
        (b"\xff", "no JWS of the type"),
    ],
)
def test_a_header_chooses_nothing(config: Path, header: Any, says: str) -> None:
    assert says in why(config, SIGNER.sign(b'{"version":5,"store":"gangnam","gateway":"gw-1","toml":""}', header))


@pytest.mark.parametrize(
    "payload",
    [
        {"version": 0, "store": "gangnam", "gateway": "gw-1", "toml": ""},
        {"version": -1, "store": "gangnam", "gateway": "gw-1", "toml": ""},
        {"version": 10**15, "store": "gangnam", "gateway": "gw-1", "toml": ""},
        {"version": 1.5, "store": "gangnam", "gateway": "gw-1", "toml": ""},
        {"version": "5", "store": "gangnam", "gateway": "gw-1", "toml": ""},
        {"version": True, "store": "gangnam", "gateway": "gw-1", "toml": ""},
        {"version": 5, "store": None, "gateway": "gw-1", "toml": ""},
        {"version": 5, "store": "gangnam", "gateway": "gw-1", "toml": {}},
        {"version": 5, "store": "gangnam", "gateway": "gw-1"},
        {"version": 5, "store": "gangnam", "gateway": "gw-1", "toml": "", "expires": "2026-01-01"},
        [], 7, None, "text",
    ],
)  # fmt: skip
def test_what_was_signed_is_a_configuration(config: Path, payload: object) -> None:
    assert why(config, SIGNER.sign(json.dumps(payload).encode())).startswith("what was signed is no configuration")


def test_what_is_too_long_or_cut_or_changed_is_refused(config: Path) -> None:
    """At each place of a good one."""
    good = SIGNER.document(5, "[floor]\nclaim = '5s'\n")
    assert "longer than" in why(config, SIGNER.document(5, "#" * LONGEST))
    dice = random.Random(SEED)
    for at in range(0, len(good), 7):
        assert unsigned(good[:at].encode())
        other = dice.choice([sign for sign in "ABCDwxyz0189-_." if sign != good[at]])
        # The last sign of a signature has bits that say nothing: those may be others.
        assert at == len(good) - 1 or unsigned(f"{good[:at]}{other}{good[at + 1 :]}".encode())
    for _ in range(300):
        noise = dice.randbytes(dice.randrange(200))
        assert unsigned(noise)
        assert unsigned(b".".join((noise, noise, noise)))
        assert unsigned(SIGNER.sign(noise, noise).encode())
        assert unsigned(SIGNER.sign(noise).encode())


def test_any_text_that_is_signed_is_read_or_refused(config: Path) -> None:
    """Also one that is put together out of what TOML is made of; never is there any other end."""
    dice = random.Random(SEED)
    words = [
        "[floor]",
        "[[driver]]",
        "[driver]",
        "[store]",
        "claim",
        "=",
        "'5s'",
        "\n",
        '"',
        "{",
        "}",
        "[",
        "]",
        ",",
        "\x00",
    ]
    words += ["in_store", "kind", "'nfc'", "path", "9" * 400, "nan", "-", "é", "data", "session.x", "1979-05-27", "'''"]
    ends: Counter[str] = Counter()
    for _ in range(1000):
        toml = " ".join(dice.choices(words, k=dice.randrange(12)))
        try:
            plan.make(config, document(5, toml))
            ends["read"] += 1
        except (Refused, CannotStart):
            ends["refused"] += 1
    assert min(ends["read"], ends["refused"]) > 10


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("floor = 3", "floor: must be a table"),
        ("[floor]\nclaim = '5s'\nclaim = '6s'\n", "is not TOML"),
        ("[floor]\n[floor]\n", "is not TOML"),
        (
            "[floor]\nclaim = 5\n",
            "[floor] claim: ",
        ),
        ("[floor]\nsesion = '5s'\n", "[floor] sesion: is not for"),
        ("[flour]\n", "[flour]: is not for"),
        ("[store]\nid = 'busan'\n", "[store] id: is not for"),
        ("[store]\ngateway = 'gw-2'\n", "[store] gateway: is not for"),
        ("[store]\ndata = '/tmp'\n", "[store] data: is not for"),
        ("[store]\npseudonym_key_file = '/tmp/k'\n", "[store] pseudonym_key_file: is not for"),
        ("[store]\nold_key_file = '/tmp/k'\n", "[store] old_key_file: is not for"),
        ("[cart]\nmax_age = '1h'\n", "[cart]: the file on the machine has no such table"),
        ("[kiosk]\nread_point = 'desk'\n", "[kiosk]: the file on the machine has no such table"),
        ("[kiosk]\nlan = true\n", "[kiosk] lan: is not for"),
        ("[platform]\nca_file = '/tmp/ca'\n", "[platform] ca_file: is not for"),
        ("[platform]\ntoken_file = '/etc/shadow'\n", "[platform] token_file: is not for"),
        ("[cue]\nplayer = 'sh -c reboot'\n", "[cue]: is not for"),
        ("[remote]\ntrial = '1s'\n", "[remote]: is not for"),
        ("driver = 1", "driver: must be tables"),
        ("driver = [1]", "driver: must be tables"),
        ("[driver]\nkind = 'nfc'\n", "driver: must be tables"),
        ("[[driver]]\n", "[[driver]] 1 kind: must be one of"),
        ("[[driver]]\nkind = 'replay'\nread_point = 'x'\npath = '/etc/passwd'\n", "[[driver]] 1 kind: must be one of"),
        ("[[driver]]\nkind = 'os'\n", "[[driver]] 1 kind: must be one of"),
        ("[[driver]]\nkind = ['nfc']\n", "[[driver]] 1 kind: must be one of"),
        ("[[driver]]\nkind = 'nfc'\nread_point = ''\n", "[[driver]] 1 read_point: is empty"),
        ("[[driver]]\nkind = 'nfc'\n", "[[driver]] 1 read_point: is missing"),
        ("[[driver]]\nkind = 'camera'\nread_point = 'x'\nsource = 'http://evil/'\n", "source: must be a device"),
        ("[[driver]]\nkind = 'camera'\nread_point = 'x'\nsource = 'v4l2src ! x'\n", "source: must be a device"),
        (
            "[[driver]]\nkind = 'hid'\nread_point = 'x'\npath = '/dev/input/../../etc/passwd'\n",
            "path: must be a device",
        ),
        ("[[driver]]\nkind = 'hid'\nread_point = 'x'\npath = '/dev/shm/x'\n", "path: must be a device"),
        ("[[driver]]\nkind = 'serialport'\nread_point = 'x'\npath = 7\n", "path: must be a device"),
    ],
)
def test_what_is_the_machines_own_stays_so(config: Path, toml: str, says: str) -> None:
    assert says in why(config, SIGNER.document(5, toml))


def test_each_key_of_the_configuration_is_for_one_or_the_other() -> None:
    """What may be set from afar is there, and every key that names a file, a program or an address is not among it."""
    from edge.settings import Settings

    fields: dict[str, set[str]] = {}
    for table in Settings.__struct_fields__:
        kind = next(
            (k for k in (getattr(__import__("edge.settings", fromlist=["x"]), table.title(), None),) if k), None
        )
        fields[table] = set(getattr(kind, "__struct_fields__", ()))
    for table, keys in overlay.MAY.items():
        assert keys <= fields[table], table
        assert not {key for key in keys if re.search(r"file|url|listen|broker|player|data|^id$|gateway|name", key)}


def test_it_lies_over_the_machines_own(config: Path) -> None:
    """Key by key; drivers as a whole."""
    toml = "[floor]\nclaim = '5s'\n[store]\nlanguage = 'ko'\n[[driver]]\nkind = 'nfc'\nread_point = 'a'\n"
    made = plan.make(config, document(1, toml))
    assert (made.config.floor.claim, made.config.floor.late, made.config.store.language) == (5.0, 7200.0, "ko")
    assert [kind for kind, _ in made.drivers] == ["nfc"]
    assert plan.make(config).config.floor.claim == 10.0
    for device in ("/dev/video0", "0", "/dev/v4l/by-id/usb-Cam_1-video-index0"):
        overlay.change(f"[[driver]]\nkind = 'camera'\nread_point = 'x'\nsource = '{device}'\n")
    for device in (
        "/dev/ttyACM0",
        "/dev/serial/by-id/usb-Honeywell_1950g-if00",
        "/dev/input/by-path/pci-0:1.2:1.0-event-kbd",
    ):
        overlay.change(f"[[driver]]\nkind = 'serialport'\nread_point = 'x'\npath = '{device}'\n")


SLOW, FAST, WRONG = "[floor]\nclaim = '8s'\n", "[floor]\nclaim = '2s'\n", "[floor]\nbands = '['\n"


@pytest.mark.parametrize(
    ("state", "claim", "refused"),
    [
        (State(), 10, None),
        (State(applied=kept(1, SLOW)), 8, None),
        (State(applied=kept(1, SLOW), trial=kept(2, FAST)), 2, None),
        (State(applied=kept(1, SLOW), trial=kept(2, FAST), starts=2), 2, None),
        (State(applied=kept(1, SLOW), trial=kept(2, FAST), starts=3), 8, "ended 3 times"),
        (State(applied=kept(1, SLOW), trial=kept(2, WRONG)), 8, "[floor] bands: is no regular"),
        (State(applied=kept(1, WRONG), trial=kept(2, WRONG)), 10, "[floor] bands: is no regular"),
        (State(applied=kept(1, SLOW, store="busan")), 10, "is for busan/gw-1"),
        (State(applied=kept(1, SLOW, signer=Signer())), 10, "not in key_file any more"),
        (State(applied=kept(1, SLOW), trial=kept(2, FAST, signer=Signer())), 8, "not in key_file any more"),
    ],
)
def test_what_cannot_be_used_steps_back(config: Path, state: State, claim: float, refused: str | None) -> None:
    """A start on trial is counted; who only looks changes nothing."""
    data = config.parent / "data"
    adopted.save(data, state)
    before = (data / FILE).read_bytes()
    looked = standing.looked_at(config)
    if state.starts < standing.STARTS:
        assert looked[0].config.floor.claim == claim
    assert (data / FILE).read_bytes() == before
    with standing.started(config) as (made, chosen):
        assert made.config.floor.claim == claim
        assert adopted.load(data) == chosen
    assert chosen.starts == state.starts + (1 if chosen.trial else 0)
    said = chosen.refused.reason if chosen.refused else ""
    assert (refused is None, (refused or "") in said) == (said == "", True)


def test_a_wrong_file_of_the_machine_is_held_against_nobody(config: Path) -> None:
    data = config.parent / "data"
    state = State(applied=kept(1, SLOW), trial=kept(2, FAST))
    adopted.save(data, state)
    config.write_text(BASE + "[[driver]]\nkind = 'no-such'\nread_point = 'a'\n")
    with pytest.raises(CannotStart, match="there is no driver"), standing.started(config):
        pass
    assert adopted.load(data) == state
    with pytest.raises(CannotStart):
        candidate.judge(config, 2, SIGNER.document(3, SLOW).encode())


def test_a_damaged_file_is_as_none(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = config.parent / "data"
    adopted.save(data, State(applied=kept(1, SLOW)))
    good = (data / FILE).read_bytes()
    for bad in (
        b"",
        good[: len(good) // 2],
        b"\xff" * 64,
        b"[]",
        b"[" * 100_000,
        good.replace(b'"version":1', b'"version":"1"'),
    ):
        (data / FILE).write_bytes(bad)
        caplog.clear()
        with standing.started(config) as (made, state):
            assert (made.config.floor.claim, state) == (10.0, State())
        assert "is damaged" in caplog.text


def test_what_names_the_key_is_checked(config: Path) -> None:
    """It is public, so others may read it; who may write it decides everything."""
    public = config.parent / "remote.pub"
    for spoil, says in (
        (lambda: public.chmod(0o664), "can be written by other users"),
        (
            lambda: public.write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"),
            "holds no public key",
        ),
        (lambda: public.unlink(), "cannot be read"),
        (
            lambda: config.write_text(BASE.replace("[platform]\nurl", "[cue]\nplayer")),
            r"\[remote\]: needs \[platform\]",
        ),
        (lambda: config.write_text(BASE.replace("[floor]", 'poll = "2h"\n[floor]')), "poll: must be at most 1h"),
    ):
        SIGNER.believed_in(public)
        config.write_text(BASE)
        spoil()  # type: ignore[no-untyped-call]
        with pytest.raises(CannotStart, match=says):
            standing.looked_at(config)


def test_a_capacity_below_what_is_in_use_is_refused(config: Path) -> None:
    """It would have every tap refused; what leaves as much room as there is now is not to blame for too little."""
    data = config.parent / "data"
    (data / "kept").touch()
    os.truncate(data / "kept", 300_000_000)
    for toml in ("capacity = '364MB'", "capacity = '2GB'\nreserve = '1700MB'"):
        assert why(config, SIGNER.document(5, f"[store]\n{toml}\n")) == (
            "[store] capacity: without the reserve 300 MB, and 300 MB are in use;"
            " allow more, or have less kept (retention) first"
        )
    for toml in ("capacity = '365MB'", "retention = '1d'"):
        assert candidate.judge(config, 4, SIGNER.document(5, f"[store]\n{toml}\n").encode()).usable
    adopted.save(data, State(applied=kept(4, "[store]\ncapacity = '200MB'\n")))
    for toml in ("capacity = '200MB'", "capacity = '250MB'"):
        assert candidate.judge(config, 4, SIGNER.document(5, f"[store]\n{toml}\n").encode()).usable
    assert "[store] capacity: " in why(config, SIGNER.document(5, "[store]\ncapacity = '199MB'\n"))


def test_two_keys_are_believed_while_one_is_replaced(config: Path) -> None:
    new = Signer()
    (config.parent / "remote.pub").write_text(f"the old one\n{SIGNER.public}\nthe new one\n{new.public}")
    for signer in (SIGNER, new):
        assert candidate.judge(config, 4, signer.document(5, SLOW).encode()).usable == kept(5, SLOW, signer=signer)


CALLS = ("openat", "write", "fsync", "rename")


def test_killed_at_each_step_the_file_is_the_old_or_the_new_one(config: Path) -> None:
    """SIGKILL at each call about it: never is it anything else, and both have been seen."""
    data = config.parent / "data"
    old, new = State(applied=kept(1, SLOW), newest=1), State(applied=kept(1, SLOW), trial=kept(2, FAST), newest=2)
    fresh = config.parent / "fresh"
    fresh.mkdir()
    adopted.save(fresh, new)
    code = (
        "import sys, pathlib, msgspec; from edge import adopted; data, fresh = map(pathlib.Path, sys.argv[1:]);"
        "adopted.save(data, adopted.load(fresh))"
    )
    seen: dict[tuple[str, int], int] = {}
    for call in CALLS:
        for number in range(1, 4):
            adopted.save(data, old)
            paths = ["-P", str(data / f"{FILE}.part"), "-P", str(data / FILE), "-P", str(data)]
            inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}", *paths]
            trace = config.parent / "trace"
            full = [*STRACE, "-o", str(trace), *inject, sys.executable, "-P", "-c", code, str(data), str(fresh)]
            done = subprocess.run(full, capture_output=True, timeout=120, check=False)
            found = adopted.load(data)
            assert found in (old, new), (call, number)
            if done.returncode == 0:
                assert found == new
                break
            seen[call, number] = found.newest
    assert set(seen.values()) == {1, 2}, seen
    assert {call for call, _ in seen} == set(CALLS), seen


def call(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    full = [sys.executable, "-P", "-m", "edge.cli", *map(str, arguments)]
    done = subprocess.run(full, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_who_signs_hears_what_a_gateway_would_say(config: Path) -> None:
    """Before it is in a thousand stores; each time in one line."""
    folder = config.parent
    key, tables, names = (
        folder / "chain.key",
        folder / "tables",
        ("--store", "gangnam", "--gateway", "gw-1", "--version"),
    )
    assert call("signing-key", key)[0] == 0
    public = (folder / "chain.key.pub").read_text()
    tables.write_text("[floor]\nclaim = '5s'\n[kiosk]\nread_point = 'x'\n[store]\nretention = '9d'\n")
    code, jws, errors = call("sign-configuration", tables, "--key", key, *names, "7")
    assert (code, errors, jws.count("\n")) == (0, "", 1)
    assert signed.verified(jws.encode(), [public])[0] == document(7, tables.read_text())
    own = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout
    (folder / "openssl.key").write_bytes(own)
    assert call("sign-configuration", tables, "--key", folder / "openssl.key", *names, "7")[0] == 0
    for text, says in (
        ("[floor]\nclaim = 5\n", "[floor] claim: Expected a duration"),
        ("[floor]\nbands = '['\n", "[floor] bands: is no regular expression"),
        ("[store]\ncapacity = '20MB'\n", "[store] capacity: must be at least"),
        ("[platform]\npoll = '2h'\n", "[platform] poll: must be at most 1h"),
        ("[cue]\nplayer = 'x'\n", "[cue]: is not for a remote configuration"),
        ("[floor\n", "is not TOML"),
    ):
        tables.write_text(text)
        code, jws, errors = call("sign-configuration", tables, "--key", key, *names, "8")
        assert (code, jws, errors.count("\n"), says in errors) == (2, "", 1, True), errors
    for arguments, says in (
        ((folder / "none", "--key", key), "No such file"),
        ((tables, "--key", folder / "chain.key.pub"), "is no private key"),
        ((tables, "--key", folder / "none"), "No such file"),
        ((tables, "--key", key, "--store", "Gang nam"), "[store] id: must be 1 to 32 of a-z"),
    ):
        tables.write_text("")
        code, jws, errors = call("sign-configuration", *names, "8", *arguments)
        assert (code, jws, errors.count("\n"), says in errors) == (2, "", 1, True), errors


async def test_where_nothing_can_be_judged_it_is_asked_again(config: Path) -> None:
    """No process can be started for it: no memory, no descriptors, or an upgrade replaces the program just now."""
    too_long = config.with_name("x" * 200_000)  # more than exec takes
    remote = Remote(too_long, settings.load(config), State(), lambda: None)
    await remote.run()
    with pytest.raises(Unavailable, match="could not be judged"):
        await remote.offered(b"a.b.c")
    assert remote.told() == "applied=0", "which says nothing about it"


async def test_after_an_error_it_is_asked_as_at_the_first_time(caplog: pytest.LogCaptureFixture) -> None:
    """What names the last answer may be what the other side, or our own library, cannot bear."""
    caplog.set_level("INFO", "sync.poller")
    first, same, none = Answer(200, b"1", "one"), Answer(304, b""), Answer(404, b"")
    answers: list[Answer | Unavailable] = [first, same, Unavailable("no"), none]
    sent, all_asked = list[str](), asyncio.Event()

    class Peer:
        async def call(self, method: str, path: str, *, headers: dict[str, str]) -> Answer:
            sent.append(headers.get("If-None-Match", ""))
            answer = answers.pop(0) if answers else None
            if answer is None:
                all_asked.set()
                await asyncio.Event().wait()
            if isinstance(answer, Unavailable):
                raise answer
            assert answer
            return answer

    async def taken(_: bytes) -> None:
        pass

    async def at_once(_: float) -> None:
        pass

    pulled = Configuration(Peer(), "a", "b", 0.001, lambda: "applied=0", taken, Backoff(at_once))  # type: ignore[arg-type]
    running = asyncio.create_task(pulled.run())
    async with asyncio.timeout(30):
        await all_asked.wait()
    running.cancel()
    assert sent == ["", "one", "one", "", ""]
    said = [message.removeprefix("configuration feed: ") for message in caplog.messages]
    assert said == ["up to date", "no", "up to date"], "once down, once up"
