"""What a remote configuration may change: how the shop works, and nothing that says who is believed.

The file on the machine stays the base and has the last word on names, keys, tokens, addresses, ports, programs and
files: neither the platform nor who signs can point a gateway at another side, or have it read a file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from edge.document import Refused

Tables = dict[str, Any]

MAY: Mapping[str, frozenset[str]] = {
    "store": frozenset({"timezone", "language", "capacity", "reserve", "retention"}),
    "cart": frozenset({"max_age"}),
    "platform": frozenset({"batch", "poll", "drain_per_second", "jitter"}),
    "floor": frozenset({"session", "claim", "late", "bands", "loyalty", "in_store"}),
    "presence": frozenset({"enter", "leave", "leave_after", "silent", "margin"}),
    "kiosk": frozenset({"read_point"}),
}
"""The keys, by table. `[[driver]]` replaces the machine's whole list, under the rules below."""
_THERE = ("cart", "platform", "kiosk")
"""Tables that begin with an address: they are changed where they are, and never begun."""
_KINDS = ("ble", "camera", "hid", "nfc", "serialport")
"""`replay` reads a file, and of a driver that somebody added nobody here knows what it can be told."""
_DEVICE = re.compile(r"[0-9]{1,3}|/dev/(video|tty[A-Z]+)[0-9]{1,3}|/dev/(input|serial|v4l)(/(?!\.\.?/)[\w.:+-]+)+")
"""What `path` and `source` of a driver may be."""


def change(toml: str) -> Callable[[Tables], Tables]:
    """What lays these tables over those of the machine. Raises Refused, and so does what it returns."""
    try:
        tables = tomllib.loads(toml)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Refused(f"is not TOML: {error}") from None
    for name, table in tables.items():
        if name == "driver":
            _judge_drivers(table)
        else:
            _judge(name, table)
    return lambda own: _laid_over(own, tables)


def _laid_over(own: Tables, tables: Tables) -> Tables:
    for name in tables:
        if name in _THERE and name not in own:
            raise Refused(f"[{name}]: the file on the machine has no such table, and it cannot be begun from afar")
    return own | {name: _over(own.get(name), table) for name, table in tables.items()}


def _over(own: Any, table: Any) -> Any:
    return {**own, **table} if isinstance(own, dict) and isinstance(table, dict) else table


def _judge(name: str, table: Any) -> None:
    may = MAY.get(name, frozenset())
    if not may:
        raise Refused(f"[{name}]: is not for a remote configuration; it is set on the machine alone")
    if not isinstance(table, dict):
        raise Refused(f"{name}: must be a table")
    for key in table:
        if key not in may:
            raise Refused(f"[{name}] {key}: is not for a remote configuration, which may set {', '.join(sorted(may))}")


def _judge_drivers(drivers: Any) -> None:
    if not isinstance(drivers, list) or not all(isinstance(driver, dict) for driver in drivers):
        raise Refused("driver: must be tables, [[driver]]")
    for number, driver in enumerate(drivers, 1):
        if driver.get("kind") not in _KINDS:
            raise Refused(f"[[driver]] {number} kind: must be one of {', '.join(_KINDS)} in a remote configuration")
        for key in ("path", "source"):
            if key in driver and not (isinstance(driver[key], str) and _DEVICE.fullmatch(driver[key])):
                raise Refused(f"[[driver]] {number} {key}: must be a device, such as /dev/video0")
