"""`cartwire init`: a configuration and its secrets, out of flags and answers. What is there is never overwritten.

All is made in a folder beside, checked there, and then linked into place, the configuration last: until it is there
nothing has happened, and the same call again goes on with the key and the secrets that an earlier one left.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from argparse import Namespace
from pathlib import Path

from edge import settings, terminal
from edge.identity import MIN_KEY
from edge.settings import SettingsError

_QUESTIONS = {
    "store": {"en": "Name of this store (a-z, 0-9, -)", "ko": "매장 이름 (a-z, 0-9, -)"},
    "gateway": {"en": "Name of this gateway, unique within the store", "ko": "게이트웨이 이름 (매장 안에서 하나뿐)"},
    "language": {"en": "Language of the store", "ko": "매장 언어"},
    "timezone": {"en": "Time zone", "ko": "시간대"},
    "platform": {
        "en": "Address of the platform (https://…; empty: none)",
        "ko": "플랫폼 주소 (https://…; 비우면 없음)",
    },
    "broker": {
        "en": 'MQTT broker (mqtts://…, or "embedded"; empty: none)',
        "ko": 'MQTT 브로커 (mqtts://… 또는 "embedded"; 비우면 없음)',
    },
}
_FILES = {
    "key_file": {
        "en": "File with the chain's pseudonym key (empty: a new key, for the first gateway of a chain)",
        "ko": "체인의 가명 키 파일 (비우면 새 키: 체인의 첫 게이트웨이일 때)",
    },
    "token_file": {
        "en": "File with this store's token for the platform (empty: none)",
        "ko": "이 매장의 플랫폼 토큰 파일 (비우면 없음)",
    },
}
"""Asked where there is a platform."""
_TEXTS = {
    "en": {
        "key new": "A new pseudonym key is in {path}. The platform and all gateways of the chain need the same one.",
        "key given": "The pseudonym key of the chain is in {path}.",
        "key kept": "The pseudonym key that was in {path} stays.",
        "written": "{path} is written. `cartwire devices` prints the lines for readers and scanners.",
    },
    "ko": {
        "key new": "새 가명 키를 {path}에 만들었습니다. 플랫폼과 체인의 모든 게이트웨이가 같은 키를 써야 합니다.",
        "key given": "체인의 가명 키를 {path}에 넣었습니다.",
        "key kept": "{path}에 있던 가명 키를 그대로 씁니다.",
        "written": "{path}에 설정을 썼습니다. 리더기와 스캐너를 위한 줄은 `cartwire devices`가 보여 줍니다.",
    },
}
_SECRETS = {"key_file": "pseudonym.key", "token_file": "platform.token", "password_file": "broker.password"}
"""Flags that name a file to import, and what it is called then."""


class CannotInit(Exception):
    """Why nothing was written, on one line."""


def init(arguments: Namespace) -> None:
    """Writes the configuration that `arguments.config` names. Raises CannotInit."""
    config: Path = arguments.config.absolute()
    if config.exists():
        raise CannotInit(f"{config} is there already; edit it, or move it away first")
    key = config.parent / "credentials" / "pseudonym.key"
    kept = key.exists()
    answers = {name: _answer(question, name, getattr(arguments, name)) for name, question in _QUESTIONS.items()}
    files = {flag: getattr(arguments, flag) for flag in _SECRETS}
    for flag, question in _FILES.items() if answers["platform"] else ():
        if files[flag] is None and not (kept and flag == "key_file"):
            files[flag] = Path(answer) if (answer := _answer(question, flag, None)) else None
    secrets = {_SECRETS[flag]: _imported(flag, path) for flag, path in files.items() if path}
    given = "pseudonym.key" in secrets
    try:
        secrets.setdefault("pseudonym.key", key.read_bytes() if kept else os.urandom(MIN_KEY))
        config.parent.mkdir(parents=True, exist_ok=True)
        key.parent.mkdir(mode=0o700, exist_ok=True)
        for left in config.parent.glob(f"{settings.BESIDE}*"):  # of a call cut short
            shutil.rmtree(left)  # not wiped: its files may be in place
        with tempfile.TemporaryDirectory(dir=config.parent, prefix=settings.BESIDE) as beside:
            _write(Path(beside), config, _text(answers, arguments.data, arguments.username, set(secrets)), secrets)
    except OSError as error:
        raise CannotInit(f"{error.filename2 or error.filename}: {error.strerror}; nothing was overwritten") from None
    texts = _TEXTS[terminal.language()]
    print(texts["key kept" if kept else "key given" if given else "key new"].format(path=key))
    print(texts["written"].format(path=config), flush=True)


def _answer(question: dict[str, str], name: str, given: str | None) -> str:
    if given is not None:
        return given
    default = {"gateway": "gw-1", "language": terminal.language(), "timezone": _timezone()}.get(name, "")
    try:
        return terminal.ask(question[terminal.language()], default)
    except terminal.NobodyThere:
        if name == "store":
            raise CannotInit("--store is missing, and there is no terminal to ask at") from None
        return default


def _timezone() -> str:
    """The machine's."""
    _, _, name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    return name or "UTC"


def _imported(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CannotInit(f"--{flag.replace('_', '-')}: {path} cannot be read ({error.strerror})") from None


def _text(answers: dict[str, str], data: Path, username: str | None, secrets: set[str]) -> str:
    """The configuration; a string of JSON is one of TOML as well."""
    store = {
        "id": answers["store"],
        "gateway": answers["gateway"],
        "timezone": answers["timezone"],
        "language": answers["language"],
        "data": str(data),
        "pseudonym_key_file": "credentials/pseudonym.key",
    }
    cart = {"broker": answers["broker"], "protocol": "3.1.1" if answers["broker"] == "embedded" else "5"}
    if username is not None:
        cart["username"] = username
    platform = {"url": answers["platform"]}
    for table, flag in ((cart, "password_file"), (platform, "token_file")):
        if _SECRETS[flag] in secrets:
            table[flag] = f"credentials/{_SECRETS[flag]}"
    tables = {
        "store": store,
        "cart": cart if answers["broker"] else {},
        "platform": platform if platform["url"] else {},
    }
    lines = ["# Every other key, with its default: the annotated edge.toml. Readers: `cartwire devices`."]
    for name, table in tables.items():
        if table:
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join([*lines, "", "[kiosk]", 'listen = "127.0.0.1:8080"', ""])


def _write(beside: Path, config: Path, text: str, secrets: dict[str, bytes]) -> None:
    """Into `beside`; if it is sound there, into place. Raises CannotInit, OSError."""
    (beside / "credentials").mkdir(mode=0o700)
    for name, content in secrets.items():
        _keep(beside / "credentials" / name, content, 0o600)
    _keep(beside / config.name, text.encode(), 0o644)
    try:
        settings.load(beside / config.name)
    except SettingsError as error:
        raise CannotInit(str(error).replace(f"{beside}/{config.name}: ", "").replace(f"{beside}/", "")) from None
    missing = [name for name, content in secrets.items() if not _there(config.parent / "credentials" / name, content)]
    for name in missing:
        (config.parent / "credentials" / name).hardlink_to(beside / "credentials" / name)
    config.hardlink_to(beside / config.name)
    for folder in (config.parent / "credentials", config.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)


def _there(place: Path, content: bytes) -> bool:
    """Whether a call that was cut short, or somebody, has put it there. Raises CannotInit if it is another."""
    if not place.exists():
        return False
    if place.read_bytes() != content:
        raise CannotInit(f"{place} is there already, and is another; move it away first")
    return True


def _keep(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask: the daemon is another user
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
