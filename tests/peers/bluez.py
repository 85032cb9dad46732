"""A D-Bus of its own with a BlueZ on it, written from BlueZ's documents: what is in the air reaches who scans.

It says what bluetoothd says: an object a device it has heard, its properties as they change, and nothing at all when
it dies. While somebody scans with DuplicateData each advertisement is told, else only what is new: with a filter any
other RSSI, without, which passive scanning is, one that differs by 8 dB.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from peers.process import Child, until

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

ADAPTER = "/org/bluez/hci0"
_ADAPTER, _DEVICE, _MONITORS = (f"org.bluez.{name}1" for name in ("Adapter", "Device", "AdvertisementMonitorManager"))
_MONITOR = "org.bluez.AdvertisementMonitor1"
_OBJECTS, _PROPERTIES = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"
_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""


class DBus:
    """A message bus in a folder whose name is short enough for a socket."""

    def __init__(self, folder: Path) -> None:
        """Nothing runs before `start`."""
        self._folder = folder
        self._socket = folder / "bus"
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """Where a client finds it."""
        return f"unix:path={self._socket}"

    def start(self) -> None:
        """Start it, and return when clients find it."""
        self._socket.unlink(missing_ok=True)
        config = self._folder / "bus.conf"
        config.write_text(_CONFIG.format(socket=self._socket))
        self._child = Child(["dbus-daemon", f"--config-file={config}", "--nofork"], self._folder / "bus.log")
        until(self._answers, "the bus")

    def _answers(self) -> bool:
        """The file is there a moment before somebody listens at it."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def kill(self) -> None:
        """End it as a crash does; its socket goes too."""
        if self._child is not None:
            self._child.kill()
        self._socket.unlink(missing_ok=True)


@dataclass
class Said:
    """What an advertisement says: company -> data, service -> data."""

    manufacturer: dict[int, bytes] = field(default_factory=dict)
    service: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: bytes) -> Said:
        """Read AD structures: a length, a type, data (Core Specification Supplement, part A)."""
        said = cls()
        for kind, data in structures(raw):
            if kind == 0xFF:
                said.manufacturer[int.from_bytes(data[:2], "little")] = data[2:]
            elif kind == 0x16:
                said.service[f"{int.from_bytes(data[:2], 'little'):08x}-0000-1000-8000-00805f9b34fb"] = data[2:]
        return said

    def properties(self) -> dict[str, Variant]:
        """Return it as properties of a device; what is empty is not there."""
        manufacturer = {company: Variant("ay", data) for company, data in self.manufacturer.items()}
        service = {uuid: Variant("ay", data) for uuid, data in self.service.items()}
        found = {"ManufacturerData": Variant("a{qv}", manufacturer), "ServiceData": Variant("a{sv}", service)}
        return {name: value for name, value in found.items() if value.value}


def structures(raw: bytes) -> list[tuple[int, bytes]]:
    """Return the AD structures: type and data."""
    found = []
    while len(raw) > 1 and raw[0]:
        found.append((raw[1], raw[2 : 1 + raw[0]]))
        raw = raw[1 + raw[0] :]
    return found


class BlueZ:
    """bluetoothd, in a thread with a loop of its own. `errors`: what it answers to a method, one after the other.

    `interval`: seconds between two advertisements of each beacon in the air.
    """

    def __init__(self, address: str, interval: float = 0.2) -> None:
        """Nothing is on the bus before `start`."""
        self.errors: dict[str, list[str]] = {}
        self.calls: Counter[str] = Counter()
        self.told = 0
        self.interval = interval
        self._address = address
        self._bus: MessageBus | None = None
        self._powered, self._plugged = True, True
        self._filters: dict[str, dict[str, Any]] = {}
        self._discovering: set[str] = set()
        self._wanted: set[str] = set()
        self._patterns: dict[str, list[tuple[int, int, bytes]]] = {}
        self._devices: dict[str, tuple[int, bytes]] = {}
        self._air: dict[str, tuple[bytes, tuple[int, ...]]] = {}
        self._held: list[Message] | None = None
        self._broadcast: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._loud())

    def start(self) -> None:
        """Come onto the bus, with the adapter if one is plugged in."""
        self._do(self._come())

    def kill(self) -> None:
        """Leave it as a crash does: without a word."""
        self._do(self._go())

    def close(self) -> None:
        """End all of it."""
        with suppress(OSError, EOFError):
            self.kill()
        self._do(self._quiet())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def scanning(self) -> bool:
        """Whether anybody scans."""
        return bool(self._discovering or self._patterns)

    def power(self, *, on: bool) -> None:
        """Switch the adapter: off, it hears nothing, and whoever scanned does not any more."""
        self._do(self._power(on=on))

    def plug(self, *, there: bool) -> None:
        """Plug the adapter in or out; devices go with it."""
        self._do(self._plug(there=there))

    def hang(self) -> None:
        """Answer nothing and tell nothing."""
        self._do(self._hang(True))

    def go_on(self) -> None:
        """Answer all that was asked meanwhile."""
        self._do(self._hang(False))

    def beacon(self, address: str, raw: bytes, *rssi: int) -> None:
        """Let a device advertise from now on, with these levels in turn."""
        self._air[address] = raw, rssi

    def gone(self, address: str) -> None:
        """Let it advertise no more."""
        del self._air[address]

    def forget(self, address: str) -> None:
        """Take a device away that was not heard for long, as bluetoothd does after half a minute."""
        self._do(self._forget(address))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _loud(self) -> None:
        self._broadcast = asyncio.create_task(self._broadcasting())

    async def _quiet(self) -> None:
        if self._broadcast is not None:
            self._broadcast.cancel()
            await asyncio.wait([self._broadcast])

    async def _broadcasting(self) -> None:
        """Every beacon in the air is heard, evenly spread over the interval."""
        begun, turn = self._loop.time(), 0
        while True:
            await asyncio.sleep(0.01)
            air = list(self._air.items())
            until_now = int((self._loop.time() - begun) / self.interval * len(air))
            for n in range(turn, min(until_now, turn + len(air))):
                address, (raw, levels) = air[n % len(air)]
                self._hear(address, raw, levels[n // len(air) % len(levels)])
            begun, turn = (begun, until_now) if air else (self._loop.time(), 0)

    async def _hang(self, hangs: bool) -> None:
        held, self._held = self._held or [], [] if hangs else None
        for message in held:
            reply = self._answer(message)
            if self._bus is not None and isinstance(reply, Message):
                self._bus.send(reply)

    async def _forget(self, address: str) -> None:
        if self._devices.pop(address, None):
            self._signal("/", _OBJECTS, "InterfacesRemoved", "oas", _path(address), [_DEVICE])

    async def _come(self) -> None:
        bus = MessageBus(bus_address=self._address)
        await bus.connect()
        bus.add_message_handler(self._answer)
        rules = (
            f"type='signal',interface='{_OBJECTS}',member='InterfacesAdded'",
            "type='signal',member='NameOwnerChanged'",
        )
        for rule in rules:
            await bus.call(_to_bus("AddMatch", rule))
        await bus.request_name("org.bluez")
        self._bus, self._powered = bus, True
        self._signal("/", _OBJECTS, "InterfacesAdded", "oa{sa{sv}}", ADAPTER, self._adapter())

    async def _go(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()
            with suppress(OSError, EOFError):
                await self._bus.wait_for_disconnect()
        self._bus = self._held = None
        self._devices.clear()
        self._deaf()

    def _deaf(self) -> None:
        self._discovering.clear()
        self._filters.clear()
        self._patterns.clear()
        self._wanted.clear()

    async def _power(self, *, on: bool) -> None:
        self._powered = on
        if not on:
            self._deaf()
        changed = {"Powered": Variant("b", on)}
        self._signal(ADAPTER, _PROPERTIES, "PropertiesChanged", "sa{sv}as", _ADAPTER, changed, [])

    async def _plug(self, *, there: bool) -> None:
        self._plugged = there
        if there:
            self._signal("/", _OBJECTS, "InterfacesAdded", "oa{sa{sv}}", ADAPTER, self._adapter())
            return
        self._deaf()
        for address in self._devices:
            self._signal("/", _OBJECTS, "InterfacesRemoved", "oas", _path(address), [_DEVICE])
        self._devices.clear()
        self._signal("/", _OBJECTS, "InterfacesRemoved", "oas", ADAPTER, [_ADAPTER, _MONITORS])

    def _adapter(self) -> dict[str, dict[str, Variant]]:
        if not self._plugged:
            return {}
        properties = {"Powered": Variant("b", self._powered), "Roles": Variant("as", ["central", "peripheral"])}
        return {_ADAPTER: {"Address": Variant("s", "00:00:5E:00:53:00"), **properties}, _MONITORS: {}}

    def _hear(self, address: str, raw: bytes, rssi: int) -> None:
        matched = any(_matches(raw, pattern) for patterns in self._patterns.values() for pattern in patterns)
        able = self._bus and self._powered and self._plugged and self._held is None
        if not (able and (self._discovering or matched)):
            return
        before, self._devices[address] = self._devices.get(address), (rssi, raw)
        said = Said.parse(raw).properties()
        level = {"RSSI": Variant("n", rssi)}
        if before is None:
            self._signal("/", _OBJECTS, "InterfacesAdded", "oa{sa{sv}}", _path(address), _device(address, said | level))
            return
        filters = [self._filters.get(who, {}) for who in self._discovering]
        changed = said if before[1] != raw or any(one.get("DuplicateData") for one in filters) else {}
        if abs(rssi - before[0]) >= (1 if any(filters) else 8):
            changed = changed | level
        else:
            self._devices[address] = (before[0], raw)
        if changed:
            self._signal(_path(address), _PROPERTIES, "PropertiesChanged", "sa{sv}as", _DEVICE, changed, [])

    def _signal(self, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        if self._bus is not None:
            self.told += 1
            self._bus.send(Message.new_signal(path, interface, member, signature, list(body)))

    def _answer(self, message: Message) -> Message | bool | None:
        if message.message_type == MessageType.SIGNAL:
            self._overhear(message)
            return None
        if message.message_type != MessageType.METHOD_CALL or message.destination == "org.freedesktop.DBus":
            return None
        name, who = message.member or "", message.sender or ""
        self.calls[name] += 1
        if self._held is not None:
            self._held.append(message)
            return True
        if self.errors.get(name):
            self._discovering.discard(who)  # a stop that fails is still the end of it
            return Message.new_error(message, self.errors[name].pop(0), "as the test has it")
        if name == "GetManagedObjects":
            objects = {ADAPTER: self._adapter()} if self._plugged else {}
            devices = {
                _path(address): _device(address, Said.parse(raw).properties())
                for address, (_, raw) in self._devices.items()
            }
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [objects | devices])
        if message.path != ADAPTER or not self._plugged:
            return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "no such object")
        if not self._powered:
            return Message.new_error(message, "org.bluez.Error.NotReady", "Resource Not Ready")
        error = self._obey(name, who, message.body)
        return Message.new_error(message, error, error) if error else Message.new_method_return(message)

    def _obey(self, name: str, who: str, body: list[Any]) -> str | None:
        """Do what is asked; the name of the error if that cannot be."""
        match name:
            case "SetDiscoveryFilter":
                self._filters[who] = {key: variant.value for key, variant in body[0].items()}
            case "StartDiscovery" if who in self._discovering:
                return "org.bluez.Error.InProgress"
            case "StartDiscovery":
                self._discovering.add(who)
            case "StopDiscovery" if who not in self._discovering:
                return "org.bluez.Error.Failed"
            case "StopDiscovery":
                self._discovering.remove(who)
            case "RegisterMonitor":
                self._wanted.add(body[0])
            case "UnregisterMonitor" if body[0] not in self._wanted:
                return "org.bluez.Error.DoesNotExist"
            case "UnregisterMonitor":
                self._wanted.remove(body[0])
                self._patterns.pop(body[0], None)
            case _:
                return "org.freedesktop.DBus.Error.UnknownMethod"
        return None

    def _overhear(self, message: Message) -> None:
        """A client's monitor appears after it was registered; a client that goes takes its scan along."""
        if message.member == "InterfacesAdded" and message.body[0] in self._wanted:
            patterns = message.body[1].get(_MONITOR, {}).get("Patterns")
            if patterns:
                self._patterns[message.body[0]] = [(start, kind, bytes(data)) for start, kind, data in patterns.value]
        elif message.member == "NameOwnerChanged" and not message.body[2]:
            self._discovering.discard(message.body[0])
            self._filters.pop(message.body[0], None)


def _to_bus(member: str, *body: str) -> Message:
    where = {
        "destination": "org.freedesktop.DBus",
        "path": "/org/freedesktop/DBus",
        "interface": "org.freedesktop.DBus",
    }
    return Message(**where, member=member, signature="s" * len(body), body=list(body))


def _path(address: str) -> str:
    return f"{ADAPTER}/dev_{address.replace(':', '_')}"


def _device(address: str, heard: dict[str, Variant]) -> dict[str, dict[str, Variant]]:
    names = {"Address": Variant("s", address), "Alias": Variant("s", address.replace(":", "-"))}
    return {_DEVICE: {**names, "Adapter": Variant("o", ADAPTER), **heard}}


def _matches(raw: bytes, pattern: tuple[int, int, bytes]) -> bool:
    start, kind, content = pattern
    return any(found == kind and data[start:].startswith(content) for found, data in structures(raw))
