"""The configuration file: what may stand in it, its defaults, and one clear line for whatever is wrong.

Structs mirror the tables of `edge.toml`. `load` checks everything that can be known without starting
anything: forms, ranges, files named by a key. Driver tables are checked by `driver`, against the fields of
the driver's own class.
"""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import ipaddress
import json
import os
import re
import shlex
import shutil
import socket
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from edge.codes import InStore
from edge.identity import MIN_KEY
from edge.model import OUTCOMES, Outcome
from edge.ports import Duration, Source

DEFAULT = Path("/etc/cartwire/edge.toml")
BACKUP = Path("/var/backups/cartwire")
"""Where the timer keeps its copy of the database."""
BESIDE = ".init-"
"""How a folder begins in which `cartwire init` makes all, beside the configuration."""
_T = TypeVar("_T")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

_BANDS, _LOYALTY = "^04[0-9A-F]{12}$", "^KR[0-9]{10}$"
_SHIPPED = {text: re.compile(text.replace("$", r"\Z")) for text in (_BANDS, _LOYALTY)}
ALL = frozenset({"0.0.0.0", "::"})  # noqa: S104  # asked for by the configuration
"""Hosts to listen on that stand for every address of the machine."""


class SettingsError(Exception):
    """The first thing that is wrong with a configuration: where it stands and what to do, on one line."""


class Size(int):
    """Bytes, written `64MB`, `2GB`: decimal units."""


_LONGEST = 3650 * 86400.0
"""Seconds: a longer duration means for ever, and no clock or protocol counts further."""
_WANTED = {
    Path: "a path",
    Source: "a file, an index or a URL",
    Duration: 'a duration such as "10s"',
    Size: 'a size such as "64MB"',
}
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
Name = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z", description="1 to 32 of a-z, 0-9 and -")]
Place = Annotated[str, Meta(min_length=1, description='the name of a place, such as "till-1"')]
_Language = Annotated[
    str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", description='a language such as "ko" or "ko-KR"')
]

_Topic = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z",
        max_length=64,
        description='the beginning of a topic such as "homeassistant"',
    ),
]
_HostName = Annotated[
    str, Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z", description='a host name such as "shop.example"')
]


_Origin = Annotated[
    str,
    Meta(
        pattern=r"^https?://([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?\Z",
        description='a page\'s origin, such as "https://till.example"',
    ),
]


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Store(_Table, frozen=True, kw_only=True):
    id: Name
    gateway: Name
    timezone: str = "UTC"
    language: _Language = "en"
    data: Path = Path("/var/lib/cartwire")
    pseudonym_key_file: Path
    old_key_file: Path | None = None
    capacity: Size = Size(2 * 10**9)
    reserve: Size = Size(64 * 10**6)
    retention: Duration = Duration(30 * 86400)


class Cart(_Table, frozen=True, kw_only=True):
    broker: str
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    max_age: Duration = Duration(86400)
    listen: str | None = None
    websocket: str | None = None
    apps_file: Path | None = None
    discovery_prefix: _Topic | None = None

    @property
    def own(self) -> tuple[tuple[str, int], tuple[str, int] | None]:
        """Where the embedded broker listens: for MQTT, and over websockets."""
        return address(self.listen or "127.0.0.1:0"), address(self.websocket) if self.websocket else None


class Platform(_Table, frozen=True, kw_only=True):
    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 500
    poll: Duration = Duration(60)
    drain_per_second: Annotated[int, Meta(ge=0)] = 2000
    jitter: Duration = Duration(60)


class InStoreLabel(_Table, frozen=True, kw_only=True):
    prefix: Annotated[str, Meta(pattern=r"^[0-9]+\Z", description="digits in quotes")]
    item: Annotated[int, Meta(ge=1)]
    value: Annotated[int, Meta(ge=1)]
    decimals: Annotated[int, Meta(ge=0)] = 0
    kind: Literal["price", "weight"]


class Floor(_Table, frozen=True, kw_only=True):
    session: Duration = Duration(45)
    claim: Duration = Duration(10)
    late: Duration = Duration(86400)
    bands: str = _BANDS
    loyalty: str = _LOYALTY
    in_store: tuple[InStoreLabel, ...] = ()

    @property
    def labels(self) -> tuple[InStore, ...]:
        return tuple(InStore(x.prefix, x.item, x.value, x.decimals, x.kind) for x in self.in_store)


class Presence(_Table, frozen=True, kw_only=True):
    enter: float = -70
    leave: float = -78
    leave_after: Duration = Duration(10)
    silent: Duration = Duration(15)
    margin: float = 3


class Kiosk(_Table, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8080"
    read_point: Place = "desk"
    lan: bool = False
    cert_file: Path | None = None
    key_file: Path | None = None
    names: tuple[_HostName, ...] = ()
    frame_ancestors: tuple[_Origin, ...] = ()

    @property
    def secure(self) -> bool:
        return self.cert_file is not None

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = address(self.listen)
        host = self.names[0] if self.names else host
        return f"{'https' if self.secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"


class Cue(_Table, frozen=True, kw_only=True):
    accepted: Path | None = None
    saved: Path | None = None
    unknown: Path | None = None
    cannot: Path | None = None
    player: str = "aplay -q"

    @property
    def files(self) -> dict[Outcome, Path]:
        return {outcome: path for outcome in OUTCOMES if (path := getattr(self, outcome))}


class Remote(_Table, frozen=True, kw_only=True):
    key_file: Path
    trial: Duration = Duration(60)

    @property
    def keys(self) -> list[str]:
        """The public keys, each as PEM; more than one while the old one is being replaced. Raises OSError."""
        return _PUBLIC_KEY.findall(self.key_file.read_text("ascii", "replace"))


class Settings(_Table, frozen=True, kw_only=True):
    store: Store
    cart: Cart | None = None
    platform: Platform | None = None
    floor: Floor = Floor()
    presence: Presence = Presence()
    cue: Cue = Cue()
    kiosk: Kiosk | None = None
    remote: Remote | None = None
    driver: tuple[dict[str, Any], ...] = ()


Change = Callable[[dict[str, Any]], dict[str, Any]]

_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----")
_OFTEN = 3600.0
"""Seconds: a gateway that is configured from afar asks at least this often, or what is wrong could not be undone."""

_SECRETS = frozenset({"password_file", "token_file", "key_file", "apps_file"})
"""Keys that name what no other user of the machine may read."""


def load(path: Path, change: Change | None = None) -> Settings:
    """Reads the file and checks all that it says. Raises SettingsError with the first thing that is wrong."""
    settings = read(path, change)
    try:
        _check(settings)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return settings


def read(path: Path, change: Change | None = None) -> Settings:
    """Reads the file, whatever has become of those that it names. Raises SettingsError.

    `change` gives the tables that count in place of those in the file.
    """
    try:
        tables = tomllib.loads(content(path).decode())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); name the file with --config FILE") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None
    try:
        return of(change(tables) if change else tables, path.absolute().parent)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def content(path: Path) -> bytes:
    """Of a file that is read more than once, and at once; so it cannot be a pipe. Raises OSError."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is no file", str(path))
    return path.read_bytes()


def of(tables: Mapping[str, Any], base: Path) -> Settings:
    """What the tables say; relative paths are relative to `base`. Raises SettingsError."""
    try:
        return msgspec.convert(tables, Settings, dec_hook=_hook(base))
    except msgspec.ValidationError as error:
        raise SettingsError(said(error, Settings)) from None


def check_rules(s: Settings) -> None:
    """What can be judged without looking at this machine. Raises SettingsError."""
    _require(s.store.capacity >= s.store.reserve + 16 * 10**6, "[store] capacity: must be at least reserve + 16MB")
    try:
        ZoneInfo(s.store.timezone)
    except (ValueError, OSError, KeyError):
        raise SettingsError(f'[store] timezone: there is no {s.store.timezone!r}; write e.g. "Asia/Seoul"') from None
    _check_floor(s.floor)
    _check_presence(s.presence)
    if s.cart:
        _require(s.cart.max_age >= 1, "[cart] max_age: must be at least 1s")
    if s.platform:
        _require(s.platform.poll >= 1, "[platform] poll: must be at least 1s")
        _require(
            not s.remote or s.platform.poll <= _OFTEN, "[platform] poll: must be at most 1h where there is [remote]"
        )


def secrets(settings: Settings) -> list[Path]:
    """The files that no other user may read, the pseudonym keys last."""
    tables = [table for table in (settings.cart, settings.platform, settings.kiosk) if table]
    found = [getattr(table, key, None) for table in tables for key in sorted(_SECRETS)]
    keys = settings.store.old_key_file, settings.store.pseudonym_key_file
    return list(dict.fromkeys(path for path in (*found, *keys) if path))


def driver(table: Mapping[str, Any], cls: type[_T], where: str, base: Path) -> _T:
    """A driver out of its `[[driver]]` table; `cls` is a frozen dataclass whose fields are the keys.

    Relative paths are relative to `base`. Raises SettingsError that begins with `where`.
    """
    rest = {key: value for key, value in table.items() if key != "kind"}
    known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]  # a dataclass by the contract of drivers
    for key in rest:
        if key not in known:
            raise SettingsError(
                f"{where} {key}: unknown key; a {table['kind']} driver knows {', '.join(sorted(known))}"
            )
    try:
        return msgspec.convert(rest, cls, dec_hook=_hook(base))
    except msgspec.ValidationError as error:
        raise SettingsError(said(error, cls, where)) from None
    except ValueError as error:
        raise SettingsError(f"{where} {error}") from None


def secret(path: Path | None) -> str | None:
    """The text of a token or password file without its line end. Raises SettingsError."""
    try:
        text = None if path is None else path.read_text("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({os.strerror(error.errno or 0)})") from None
    if text is not None and (not text or not text.isprintable()):
        raise SettingsError(f"{path} is empty or no text; a token or password is one line of UTF-8")
    return text


def check_files(where: str, table: Cart | Platform | Kiosk) -> None:
    """What can be said of the files that a table names; `where` names it. Raises SettingsError."""
    for key in ("password_file", "token_file", "ca_file", "cert_file", "key_file", "apps_file"):
        if path := getattr(table, key, None):
            _file(f"{where} {key}", path, secret=key in _SECRETS)
    for key in ("password_file", "token_file"):
        try:
            secret(getattr(table, key, None))
        except SettingsError as error:
            raise SettingsError(f"{where} {key}: {error}") from None
    paired = (table.cert_file is None) == (table.key_file is None)
    _require(paired, f"{where} cert_file: cert_file and key_file go together")


def old_key_file(store: Store) -> Path | None:
    """The file of the key before, if it is there: only while a change of the key is under way. Raises SettingsError."""
    try:
        return store.old_key_file if store.old_key_file and store.old_key_file.stat() else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.EACCES and "CREDENTIALS_DIRECTORY" in os.environ:
            return None  # systemd has copied all that is in a folder that is closed to us
        raise SettingsError(f"[store] old_key_file: {store.old_key_file} cannot be read ({error.strerror})") from None


def pattern(text: str) -> re.Pattern[str]:
    """What `bands` and `loyalty` say. Raises ValueError.

    Anybody may hold up any code, so it is RE2's: linear in the text, while Python's own can take years for a line. It
    takes 2.5 MB; so what we ship is matched without.
    """
    if text in _SHIPPED:
        return _SHIPPED[text]
    import re2

    options = re2.Options()
    options.log_errors, options.max_mem = False, 1 << 20
    try:
        found: re.Pattern[str] = re2.compile(text, options)
    except re2.error as error:
        raise ValueError(error.args[0].decode(errors="replace")) from None
    return found


def address(listen: str) -> tuple[str, int]:
    """`host:port` taken apart; `[::1]:0` for IPv6. Raises ValueError."""
    parts = urlsplit(f"//{listen}")
    if not parts.hostname or parts.port is None or parts.path or parts.username:
        raise ValueError(f'is not "host:port": {listen!r}')
    return parts.hostname, parts.port


def reason(error: OSError) -> str:
    """Why the system refuses, in its own words; a name lookup has numbers of its own."""
    return str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _given(path: Path) -> Path:
    """A credential's copy that systemd has made for this service; where it has made none, the file itself.

    `LoadCredential=credentials:/etc/cartwire/credentials` calls the copies `credentials_NAME`.
    """
    copy = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), f"{path.parent.name}_{path.name}")
    return copy if copy.is_absolute() and copy.exists() else path


def _hook(base: Path) -> Any:
    def convert(kind: type, value: object) -> object:
        text = value if isinstance(value, str) else ""
        if kind is Path and text:
            return _given(base / text)
        if kind is Source and text:
            return Source(text if text.isdecimal() or "://" in text else base / text)
        if kind is Duration and (m := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", text)):
            return Duration(min(float(m[1]) * _UNITS[m[2]], _LONGEST))
        if kind is Size and (m := re.fullmatch(r"([0-9]+)(B|kB|MB|GB|TB)", text)):
            return Size(int(m[1]) * _SIZES[m[2]])
        raise ValueError(f"Expected {_WANTED[kind]}, got {value!r}")

    return convert


def said(error: Exception, root: object, table: str = "") -> str:
    """What msgspec found wrong with a `root`, for people: `… - at `$.cart.max_age`` as `[cart] max_age: …`."""
    text, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    if missing := re.fullmatch(r"Object (?:missing required|contains unknown) field `(.*)`", text):
        text = "is missing" if "missing" in text else "unknown key; see the annotated edge.toml for those there are"
        path = f"{path}.{missing[1]}".lstrip(".")
    elif wanted := _wanted(root, path):
        text = f"must be {wanted}"
    else:
        text = re.sub(r"`(\w+)`", lambda word: _WORDS.get(word[1], word[0]), text)
    if table:
        return f"{table} {path}: {text}" if path else f"{table} {text}"
    head, _, key = path.partition(".")
    return f"[{head}] {key}: {text}" if key else f"{head}: {text}" if head else text


def _wanted(kind: Any, path: str) -> str:
    """What may stand at `path` in a `kind`, if its type says it."""
    for name in re.findall(r"[A-Za-z_]\w*", path):
        kind = get_type_hints(kind, include_extras=True).get(name) if isinstance(kind, type) else None
        while get_origin(kind) in (Union, UnionType, tuple, list):
            kind = next(inner for inner in get_args(kind) if inner is not NoneType)
    if get_origin(kind) is Literal:
        return " or ".join(map(json.dumps, get_args(kind)))
    return next((meta.description for meta in get_args(kind) if isinstance(meta, Meta) and meta.description), "")


def _check(s: Settings) -> None:
    check_rules(s)
    _check_keys(s.store)
    if s.cart:
        _check_cart(s.cart)
    if s.platform:
        _check_url("[platform] url", s.platform.url, "https", "http")
        check_files("[platform]", s.platform)
    _check_cue(s.cue)
    if s.kiosk:
        _check_kiosk(s.kiosk)
    if s.remote:
        _check_remote(s.remote, s.platform)
    for number, table in enumerate(s.driver, 1):
        _require(isinstance(table.get("kind"), str), f"[[driver]] {number} kind: is missing or no text")


def _check_keys(store: Store) -> None:
    keys = {"pseudonym_key_file": store.pseudonym_key_file}
    if old := old_key_file(store):
        keys["old_key_file"] = old
    for name, key in keys.items():
        long_enough = len(_file(f"[store] {name}", key, secret=True)) >= MIN_KEY
        _require(long_enough, f"[store] {name}: {key} holds less than {MIN_KEY} bytes; make a longer key")


def _check_floor(floor: Floor) -> None:
    for key in ("bands", "loyalty"):
        try:
            pattern(getattr(floor, key))
        except ValueError as error:
            raise SettingsError(f"[floor] {key}: is no regular expression of RE2: {error}") from None
    for key in ("session", "late"):
        _require(getattr(floor, key) > 0, f"[floor] {key}: must be longer than nothing")
    for label in floor.in_store:
        sums = len(label.prefix) + label.item + label.value == 12
        _require(sums, f"[floor] in_store: prefix {label.prefix} + item + value must be 12 digits")
        _require(label.decimals <= label.value, "[floor] in_store: decimals must not be more than value")


def _check_presence(presence: Presence) -> None:
    _require(presence.leave <= presence.enter, "[presence] leave: must not be above enter")
    _require(presence.silent > 0, "[presence] silent: must be longer than nothing")
    _require(presence.margin >= 0, "[presence] margin: must not be below 0")


def _check_cart(cart: Cart) -> None:
    own = ("listen", "websocket", "apps_file")
    if cart.broker == "embedded":
        _require(cart.protocol == "3.1.1", '[cart] protocol: the embedded broker speaks "3.1.1" only')
        for key in own[:2]:
            if getattr(cart, key):
                _check_listen(f"[cart] {key}", getattr(cart, key))
                _require(
                    is_loopback(address(getattr(cart, key))[0]),
                    f"[cart] {key}: is for this machine only, as the embedded broker has no TLS;"
                    " mosquitto beside it has, see config/mosquitto",
                )
        for key in ("username", "password_file", "ca_file", "cert_file", "key_file"):
            _require(
                getattr(cart, key) is None,
                f"[cart] {key}: is not for the embedded broker; who may connect stands in apps_file",
            )
    else:
        _check_url("[cart] broker", cart.broker, "mqtts", "mqtt")
        _require(not urlsplit(cart.broker).path, f"[cart] broker: must end with the port: {cart.broker!r}")
        for key in own:
            _require(getattr(cart, key) is None, f'[cart] {key}: is for broker = "embedded" only')
    _require(
        cart.password_file is None or cart.username is not None, "[cart] username: is missing beside password_file"
    )
    check_files("[cart]", cart)


def _check_cue(cue: Cue) -> None:
    for outcome, path in cue.files.items():
        _file(f"[cue] {outcome}", path)
    try:
        program = (shlex.split(cue.player) or [""])[0]
    except ValueError as error:
        raise SettingsError(f"[cue] player: {error}") from None
    there = not cue.files or shutil.which(program) is not None
    _require(there, f"[cue] player: there is no program {program!r}; aplay comes with alsa-utils")


def _check_url(where: str, url: str, secure: str, plain: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    _require(bool(host) and parts.scheme in (secure, plain), f"{where}: is no {secure}:// address: {url!r}")
    _require(parts.username is None, f"{where}: must not hold a user or password")
    _require(not parts.query and not parts.fragment, f"{where}: must not hold ? or #")
    allowed = parts.scheme == secure or is_loopback(host or "")
    _require(allowed, f"{where}: {plain}:// is for this machine only; use {secure}://")


def _check_listen(where: str, listen: str) -> None:
    try:
        address(listen)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None


def _check_kiosk(kiosk: Kiosk) -> None:
    _check_listen("[kiosk] listen", kiosk.listen)
    check_files("[kiosk]", kiosk)
    open_to_all = not is_loopback(address(kiosk.listen)[0])
    _require(
        not open_to_all or (kiosk.lan and kiosk.secure),
        "[kiosk] listen: is for others than this machine; that needs lan = true, cert_file and key_file as well",
    )
    for origin in kiosk.frame_ancestors:
        _check_url("[kiosk] frame_ancestors", origin, "https", "http")


def _check_remote(remote: Remote, platform: Platform | None) -> None:
    if platform is None:
        raise SettingsError("[remote]: needs [platform], from which the configuration is pulled")
    where, path = "[remote] key_file", remote.key_file
    _file(where, path)
    _require(not path.stat().st_mode & 0o022, f"{where}: {path} can be written by other users; chmod go-w {path}")
    _require(bool(remote.keys), f"{where}: {path} holds no public key; `cartwire signing-key` makes one, FILE.pub")
    _require(remote.trial >= 1, "[remote] trial: must be at least 1s")
    if importlib.util.find_spec("cryptography") is None:
        raise SettingsError('[remote]: a library is missing; install it with: pip install "cartwire[remote]"')


def _file(where: str, path: Path, *, secret: bool = False) -> bytes:
    try:
        found, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise SettingsError(f"{where}: {path} cannot be read ({os.strerror(error.errno or 0)})") from None
    # To copies that systemd made it lets in whom they are for, by an access list that looks like a group's.
    kept = not secret or not mode & 0o077 or path.parent == Path(os.environ.get("CREDENTIALS_DIRECTORY", ""))
    _require(kept, f"{where}: {path} is open to other users; chmod 600 {path}")
    return found


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SettingsError(otherwise)
