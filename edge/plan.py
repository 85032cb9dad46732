"""What a start needs, read and checked before anything is started: the configuration and all it names."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import os
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from edge import overlay, settings
from edge.broker import App, BrokerError, read_apps
from edge.document import Document
from edge.ports import Driver
from edge.renewal import Renewed
from edge.settings import Cart, Kiosk, Platform, Settings, SettingsError, check_files, secret
from sync import tls
from sync.mqtt import Server
from sync.tls import Login


class CannotStart(Exception):
    """What is wrong and what to do, on one line; nothing was started."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration that was checked. `drivers`: (kind, driver) of each `[[driver]]` table.

    `logins`: what broker and platform are shown, by the table's name.
    """

    path: Path
    config: Settings
    key: bytes
    old_key: bytes | None
    drivers: tuple[tuple[str, Driver], ...]
    broker: Server | None
    apps: tuple[App, ...] | None
    logins: dict[str, Renewed[Login]]
    page_tls: ssl.SSLContext | None


def make(path: Path, remote: Document | None = None) -> Plan:
    """Reads the configuration, `remote` laid over it, and all it names. Raises CannotStart, Refused for `remote`."""
    try:
        config = settings.load(path, overlay.change(remote.toml) if remote else None)
        key, old = config.store.pseudonym_key_file.read_bytes(), settings.old_key_file(config.store)
        drivers = tuple(_drivers(config, path.absolute().parent))
        logins = {name: _login(name, table) for name in ("cart", "platform") if (table := getattr(config, name))}
        broker = _server(config, config.cart, logins["cart"]) if config.cart else None
        return Plan(
            path,
            config,
            key,
            old.read_bytes() if old else None,
            drivers,
            broker,
            _apps(config.cart) if config.cart else None,
            logins,
            _page_tls(config.kiosk) if config.kiosk and config.kiosk.secure else None,
        )
    except SettingsError as error:
        text = str(error)
        raise CannotStart(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None


@contextmanager
def locked(path: Path, data: Path) -> Iterator[None]:
    """The data folder, made if it is not there, for this process alone; `path` names it. Raises CannotStart."""
    where = f"{path}: [store] data: {data}"
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, owner = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600), data.stat()
        if os.geteuid() == 0 != owner.st_uid:  # a command of root's came before the daemon's first start
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise CannotStart(f"{where} cannot be written ({error.strerror}); give it to the user of the daemon") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotStart(f"{where} is in use by another daemon; stop that one first") from None
    finally:
        os.close(descriptor)


def _drivers(config: Settings, base: Path) -> Iterator[tuple[str, Driver]]:
    taken: dict[str, bool] = {}
    for number, table in enumerate(config.driver, 1):
        kind, where = table["kind"], f"[[driver]] {number}"
        driver = settings.driver(table, driver_class(kind, where), where, base)
        if not driver.read_point:
            raise SettingsError(f'{where} read_point: is empty; name the place, such as "till-1"')
        own_time = bool(getattr(driver, "own_time", False))
        if driver.read_point in taken and (own_time or taken[driver.read_point]):
            raise SettingsError(f"{where} read_point: a replay at another speed than 1 has {driver.read_point!r} alone")
        taken[driver.read_point] = own_time
        yield kind, driver


def driver_class(kind: str, where: str) -> type[Driver]:
    """The class of a kind of driver. Raises SettingsError: there is none, or its library is missing."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind) or importlib.util.find_spec(f"drivers.{kind}") is None:
        raise SettingsError(f"{where} kind: there is no driver {kind!r}; `cartwire devices` lists those there are")
    try:
        found: type[Driver] = importlib.import_module(f"drivers.{kind}").Driver
    except ImportError as error:
        raise SettingsError(
            f"{where} kind: a library of the {kind} driver is missing ({error});"
            f' install it with: pip install "cartwire[{kind}]"'
        ) from None
    return found


def _server(config: Settings, cart: Cart, login: Callable[[], Login]) -> Server:
    parts = urlsplit(cart.broker)
    return Server(
        host=parts.hostname or "",
        port=parts.port or (8883 if parts.scheme == "mqtts" else 1883),
        client_id=f"cartwire-{config.store.id}-{config.store.gateway}",
        v5=cart.protocol == "5",
        session_expiry=int(cart.max_age) + 1,
        username=cart.username,
        login=login,
    )


def _apps(cart: Cart) -> tuple[App, ...] | None:
    try:
        return tuple(read_apps(cart.apps_file)) if cart.apps_file else None
    except BrokerError as error:
        raise SettingsError(f"[cart] {error.key}: {error}") from None


def _login(name: str, table: Cart | Platform) -> Renewed[Login]:
    where, secrets = f"[{name}]", table.password_file if isinstance(table, Cart) else table.token_file
    secure = urlsplit(table.broker if isinstance(table, Cart) else table.url).scheme in ("mqtts", "https")

    def read() -> Login:
        check_files(where, table)
        try:
            context = tls.context(table.ca_file, table.cert_file, table.key_file) if secure else None
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"{where} ca_file, cert_file, key_file: cannot be used ({error})") from None
        return Login(secret(secrets), context)

    return Renewed(where, (secrets, table.ca_file, table.cert_file, table.key_file), read)


def _page_tls(kiosk: Kiosk) -> ssl.SSLContext:
    """The page's side. Who comes next is shown the newest certificate; those who are there keep their connection."""
    newest = Renewed("[kiosk] cert_file, key_file", (kiosk.cert_file, kiosk.key_file), partial(_page_context, kiosk))
    context = newest()

    def show(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = newest()

    context.sni_callback = show
    return context


def _page_context(kiosk: Kiosk) -> ssl.SSLContext:
    """TLS 1.2 or newer."""
    assert kiosk.cert_file
    check_files("[kiosk]", kiosk)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(kiosk.cert_file, kiosk.key_file, password="")  # a key with a password asks nobody
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"[kiosk] cert_file, key_file: cannot be used ({error})") from None
    return context
