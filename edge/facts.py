"""What a support bundle says of one gateway: each function is a part, and raises what it raises where it cannot.

Nothing here is about a person: rows are counted, keys are named by their paths, and of the configuration only those
keys are shown that the project knows.
"""

from __future__ import annotations

import dataclasses
import http.client
import os
import platform
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from edge import control, plan, readable, settings
from edge.clock import boot_id, boottime, synchronised
from edge.database import FILE, MIGRATIONS, reader
from edge.envelope import timestamp
from edge.settings import Settings, SettingsError
from edge.version import VERSION

_PATIENCE = 20.0
"""Seconds a part may take that needs no device."""
_CHECK = 90.0
"""The same for what asks devices and servers."""
_HOURS, _LINES = 24, 20_000
"""The log at most."""
_UNITS = ("cartwire", "cartwire-backup", "cartwire-backup.timer", "cartwire-backup.path")
_BESIDE = ("pcscd", "bluetooth", "mosquitto", "systemd-timesyncd", "chrony", "systemd-journald")
_SHOWN = (
    "Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus,StateChangeTimestamp,StatusText,MemoryCurrent"
)
_SENSORS = ("class/thermal/thermal_zone0/temp", "devices/platform/soc/soc:firmware/get_throttled")
_TABLES = (
    "held",
    "open_push",
    "customer",
    "identifier",
    "product",
    "present",
    "person",
    "intent",
    "binding",
    "erasure",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Where:
    """The configuration file, what could be read of it, and the data folder. `server`: of page and health."""

    path: Path
    config: Settings | None
    data: Path


def where(path: Path) -> Where:
    """Also of a configuration that is damaged: then the data folder is the one it names, or else the usual one."""
    with suppress(SettingsError):
        config = settings.read(path)
        return Where(path, config, config.store.data)
    data: object = None
    with suppress(OSError, ValueError, AttributeError):  # no TOML, no UTF-8, no table
        data = tomllib.loads(settings.content(path).decode()).get("store", {}).get("data")
    usual = settings.Store.__struct_defaults__
    default = next(each for each in usual if isinstance(each, Path))
    return Where(path, None, path.absolute().parent / data if isinstance(data, str) else default)


def system(w: Where) -> str:
    """Version, machine, clock, memory and disks."""
    disks = {}
    for folder in (w.data, Path("/"), Path(os.environ.get("TMPDIR", "/tmp"))):  # noqa: S108  # only looked at
        with suppress(OSError):
            total, used, free = shutil.disk_usage(folder)
            inodes = os.statvfs(folder)
            disks[str(folder)] = {"bytes": [total, used, free], "inodes": [inodes.f_files, inodes.f_favail]}
    now = time.time()
    return _json(
        {
            "cartwire": VERSION,
            "python": sys.version,
            "sqlite": sqlite3.sqlite_version,
            "openssl": ssl.OPENSSL_VERSION,
            "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "model": _first("/proc/device-tree/model"),
            "user": os.getuid(),
            "store": w.config and w.config.store.id,
            "gateway": w.config and w.config.store.gateway,
            "clock": {
                "utc": timestamp(round(now * 1000)),
                "synchronised": synchronised(),
                "timezone": time.strftime("%z", time.localtime(now)),
                "boot_id": boot_id(),
                "seconds_since_boot": round(boottime()),
            },
            "load": os.getloadavg(),
            "memory_kB": dict(
                re.findall(r"^(Mem\w+|Swap\w+): +(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
            ),
            "disks": disks,
            "sensors": {name: _first(f"/sys/{name}") for name in _SENSORS},
        }
    )


def configuration(w: Where) -> str:
    """What stands in the file, of keys that are known; no value of others, which might be a secret misplaced."""
    return _json(_shown(w.path)[0])


def withheld(w: Where) -> list[str]:
    """The texts in the file that `configuration` does not show, nor anything else may."""
    with suppress(OSError, ValueError):
        return _shown(w.path)[1]
    return []


def _shown(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What may be shown of the file, and the texts that may not. Raises OSError, ValueError."""
    kinds, hidden = get_type_hints(Settings), list[str]()
    shown: dict[str, Any] = {}
    for name, table in tomllib.loads(settings.content(path).decode()).items():
        if name == "driver" and isinstance(table, list):
            shown[name] = [_keys(each, _driver_keys(each), hidden, path) for each in table]
        else:
            found = (get_args(kinds.get(name)) or (kinds.get(name),))[0]
            shown[name] = _keys(table, {*getattr(found, "__struct_fields__", ())}, hidden, path)
    return shown, hidden


def _driver_keys(table: object) -> set[str]:
    kind = table.get("kind") if isinstance(table, dict) else None
    with suppress(SettingsError, TypeError):
        fields = dataclasses.fields(plan.driver_class(str(kind), ""))  # type: ignore[arg-type]  # a dataclass by the contract of drivers
        return {"kind", *(field.name for field in fields)}
    return {"kind", "read_point"}


def _keys(table: object, known: set[str], hidden: list[str], path: Path) -> object:
    """A path that leads nowhere may be the secret itself, put where its file's name belongs."""
    if not isinstance(table, dict):
        return _hide(table, hidden)
    shown = {}
    for key, value in table.items():
        text, here = str(value), path.absolute().parent
        misplaced = key.endswith("_file") and text.count("/") < 2 and not os.path.lexists(here / text)
        shown[key] = value if key in known and not misplaced else _hide(value, hidden)
    return shown


def _hide(value: object, hidden: list[str]) -> str:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _hide(each, hidden)
    hidden += [value] if isinstance(value, str) and value else []
    return "(not shown)"


def status(w: Where) -> str:
    """What the running daemon says of itself."""
    return _json(_answer(w))


def status_text(w: Where) -> str:
    """The same, to be read."""
    return readable.status(_answer(w)) + "\n"


def _answer(w: Where) -> Any:
    return control.ask(w.data, "status")


def check(w: Where) -> str:
    """What `cartwire check` prints."""
    return _cartwire(w, "check")


def devices(w: Where) -> str:
    """What `cartwire devices` prints."""
    return _cartwire(w, "devices")


def health(w: Where) -> str:
    """What `/healthz` answers, with the status code."""
    return _page(w, "/healthz")


def metrics(w: Where) -> str:
    """What `/metrics` answers."""
    return _page(w, "/metrics")


def database(w: Where) -> str:
    """How much of what there is in it, and whether it is sound. What it does not give is said in its place."""
    with closing(reader(w.data / FILE)) as connection:

        def ask(query: str) -> Any:
            end = time.monotonic() + _PATIENCE
            connection.set_progress_handler(lambda: time.monotonic() > end, 100_000)
            try:
                found = connection.execute(query).fetchall()
            except sqlite3.Error as error:
                return f"cannot be read: {error}"
            return found[0][0] if len(found) == 1 and len(found[0]) == 1 else found

        rows = ask("SELECT kind, count(*) FROM row GROUP BY kind ORDER BY kind")
        return _json(
            {
                "schema": ask("SELECT count(*) FROM _sqlite_migrations"),
                "schema_of_this_version": MIGRATIONS,
                "journal": ask("SELECT value FROM meta WHERE key = 'journal'"),
                "seq": ask("SELECT min(seq), max(seq) FROM row"),
                "boots": ask("SELECT count(*) FROM boot"),
                "cursors": ask("SELECT sink, seq FROM cursor"),
                "rows": dict(rows) if isinstance(rows, list) else rows,
                "aside": ask("SELECT sink, again, count(*) FROM aside GROUP BY sink, again"),
                **{table: ask(f"SELECT count(*) FROM {table}") for table in _TABLES},
                "pages": {name: ask(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count")},
                "quick_check": ask("PRAGMA quick_check(5)"),
            }
        )


def files(w: Where) -> str:
    """The names, sizes and owners of files: data, copies of it, configuration, credentials. No content."""
    named = settings.secrets(w.config) if w.config else []
    folders = dict.fromkeys((w.data, w.path.absolute().parent, *(file.parent for file in named), settings.BACKUP))
    return "".join(f"{folder}\n{_listed(folder)}\n" for folder in folders)


def _listed(folder: Path) -> str:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        return f"  {error.strerror}\n"
    lines = []
    for path in paths:
        with suppress(OSError):
            s = path.lstat()
            size = f"{s.st_size:>12}" if not path.is_dir() else f"{len(list(path.iterdir())):>5} inside"
            lines.append(
                f"  {s.st_mode:o} {s.st_uid}:{s.st_gid} {size} {timestamp(round(s.st_mtime * 1000))} {path.name}\n"
            )
    return "".join(lines)


def log(_: Where) -> str:
    """The last day's, out of the machine's journal."""
    asked = [f"--unit={unit}" for unit in _UNITS[:2]]
    return _said(
        _PATIENCE,
        "journalctl",
        *asked,
        f"--since=-{_HOURS}h",
        f"--lines={_LINES}",
        "--output=short-iso-precise",
        "--no-pager",
        "--quiet",
    )


def services(_: Where) -> str:
    """What systemd knows of ours, and of those beside it."""
    return _said(_PATIENCE, "systemctl", "show", f"--property={_SHOWN}", *_UNITS, *_BESIDE)


PARTS: dict[str, tuple[str, Callable[[Where], str]]] = {
    "system.json": ("version, machine, clock, memory, disks", system),
    "configuration.json": ("the configuration; of keys and passwords the paths only", configuration),
    "status.txt": ("what the daemon says of itself", status_text),
    "status.json": ("the same, for programs", status),
    "healthz.txt": ("whether taps and scans are taken", health),
    "metrics.txt": ("the figures of the page's /metrics", metrics),
    "check.txt": ("what `cartwire check` says", check),
    "devices.txt": ("what is attached", devices),
    "database.json": ("how many rows of which kind, and whether the file is sound", database),
    "files.txt": ("names and sizes of files, no content", files),
    "log.txt": (f"the log of the last {_HOURS} hours", log),
    "systemd.txt": ("how the services are", services),
}
"""By the name in the bundle: what it is, for people, and what makes it."""


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def _first(path: str) -> str:
    """A short file's text; empty where there is none."""
    with suppress(OSError):
        return Path(path).read_text(errors="replace").strip("\0\n")
    return ""


def _cartwire(w: Where, verb: str) -> str:
    """Asked of a process of its own: a library that hangs or crashes there takes nothing with it."""
    return _said(_CHECK, sys.executable, "-P", "-m", "edge.cli", verb, "--config", str(w.path.absolute()))


def _said(seconds: float, *command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, cwd="/")
    end = f"(exit code {done.returncode})\n" if done.returncode else ""
    return (done.stdout + done.stderr).decode(errors="replace") + end


def _page(w: Where, path: str) -> str:
    """Of this machine's own page, whoever issued its certificate."""
    kiosk = w.config.kiosk if w.config else None
    if kiosk is None:
        raise LookupError("there is no [kiosk] in the configuration that can be read")
    host, port = settings.address(kiosk.listen)
    host = "localhost" if host in settings.ALL else host
    link: http.client.HTTPConnection
    if kiosk.secure:
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection(host, port, timeout=5, context=ours)
    else:
        link = http.client.HTTPConnection(host, port, timeout=5)
    with closing(link):
        link.request("GET", path)
        answer = link.getresponse()
        return f"{answer.status}\n{answer.read().decode(errors='replace')}\n"
