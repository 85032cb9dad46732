"""What a start needs, read and checked before anything is started: the configuration and all it names."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge import settings
from edge.broker import App, BrokerError, read_apps
from edge.ports import Driver
from edge.settings import Cart, Kiosk, Platform, Settings, SettingsError, secret
from sync import tls
from sync.mqtt import Server


class CannotStart(Exception):
    """What is wrong and what to do, on one line; nothing was started."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration that was checked. `drivers`: (kind, driver) of each `[[driver]]` table."""

    path: Path
    config: Settings
    key: bytes
    drivers: tuple[tuple[str, Driver], ...]
    broker: Server | None
    apps: tuple[App, ...] | None
    platform_tls: ssl.SSLContext | None
    platform_token: str | None
    page_tls: ssl.SSLContext | None


def make(path: Path) -> Plan:
    """Reads the configuration and all it names; changes nothing. Raises CannotStart."""
    try:
        config = settings.load(path)
        key = config.store.pseudonym_key_file.read_bytes()
        drivers = tuple(_drivers(config, path.absolute().parent))
        broker = _server(config, config.cart) if config.cart else None
        platform = config.platform
        return Plan(
            path,
            config,
            key,
            drivers,
            broker,
            _apps(config.cart) if config.cart else None,
            _tls("[platform]", platform) if platform and platform.url.startswith("https:") else None,
            secret(platform.token_file) if platform else None,
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
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
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


def _server(config: Settings, cart: Cart) -> Server:
    parts = urlsplit(cart.broker)
    secure = parts.scheme == "mqtts"
    return Server(
        host=parts.hostname or "",
        port=parts.port or (8883 if secure else 1883),
        client_id=f"cartwire-{config.store.id}-{config.store.gateway}",
        v5=cart.protocol == "5",
        session_expiry=int(cart.max_age) + 1,
        username=cart.username,
        password=secret(cart.password_file),
        tls=_tls("[cart]", cart) if secure else None,
    )


def _apps(cart: Cart) -> tuple[App, ...] | None:
    try:
        return tuple(read_apps(cart.apps_file)) if cart.apps_file else None
    except BrokerError as error:
        raise SettingsError(f"[cart] {error.key}: {error}") from None


def _tls(where: str, table: Cart | Platform) -> ssl.SSLContext:
    try:
        return tls.context(table.ca_file, table.cert_file, table.key_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{where} ca_file, cert_file, key_file: cannot be used ({error})") from None


def _page_tls(kiosk: Kiosk) -> ssl.SSLContext:
    """The page's side: TLS 1.2 or newer."""
    assert kiosk.cert_file
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(kiosk.cert_file, kiosk.key_file, password="")  # a key with a password asks nobody
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"[kiosk] cert_file, key_file: cannot be used ({error})") from None
    return context
