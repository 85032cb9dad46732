"""Beacons over Bluetooth: iBeacon, Eddystone-UID and AltBeacon, through BlueZ.

    advertisement ─► beacons ─► Sighting

BlueZ says nothing when it has gone deaf: killed, its adapter off or unplugged, advertisements just stop coming. So
silence restarts the scan, without a word, for an empty store is silent too; only if that fails is the device lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

from bleak import BleakScanner
from bleak.args.bluez import OrPattern, OrPatternLike
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakDBusError, BleakError

from edge.model import Ready, Sighting
from edge.ports import DeviceLost, Duration, Emit

ADAPTERS = Path("/sys/class/bluetooth")
SILENCE = Duration(60)
ANSWER, STOPPING = 5.0, 2.0
"""Seconds BlueZ has to start a scan, and to stop it."""
ATTEMPTS, PAUSE = 3, 0.5
"""Starts of a scan, and seconds between: after a stop that failed the first one may meet the scan before."""
WAITING, AT_ONCE = 1000, 20
"""Sightings that may wait, the oldest are dropped; and that are handed on at once."""

_Type = Literal["ibeacon", "eddystone-uid", "altbeacon"]
_OFF = "the adapter is off; switch it on: rfkill unblock bluetooth, bluetoothctl power on"
_APPLE, _EDDYSTONE = 0x004C, "0000feaa-0000-1000-8000-00805f9b34fb"
_UNKNOWN = (127, -127)
"""What the radio, and what bleak, says for an RSSI that is not known."""
_IBEACON, _ALTBEACON, _UID = b"\x02\x15", b"\xbe\xac", b"\x00"
_PATTERNS: list[OrPatternLike] = [
    OrPattern(0, AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA, _APPLE.to_bytes(2, "little") + _IBEACON),
    OrPattern(2, AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA, _ALTBEACON),
    OrPattern(0, AdvertisementDataType.SERVICE_DATA_UUID16, b"\xaa\xfe" + _UID),
]
_REASONS = {
    BleakBluetoothNotAvailableReason.NO_BLUETOOTH: "there is no Bluetooth adapter; plug one in",
    BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE: "the adapter cannot scan for beacons; it needs Bluetooth 4.0",
    BleakBluetoothNotAvailableReason.POWERED_OFF: _OFF,
    BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM: "D-Bus refuses this user; add it to the group bluetooth",
}
_NO_SERVICE = "bluetoothd is not running; start it: systemctl start bluetooth"
_ERRORS = {
    "org.freedesktop.DBus.Error.ServiceUnknown": _NO_SERVICE,
    "org.freedesktop.DBus.Error.NameHasNoOwner": _NO_SERVICE,
    "org.freedesktop.DBus.Error.NoReply": _NO_SERVICE,
    "org.freedesktop.DBus.Error.AccessDenied": "D-Bus refuses this user; add it to the group bluetooth",
    "org.bluez.Error.NotReady": _OFF,
    "org.bluez.Error.InProgress": "another scan is in the way; start bluetoothd again: systemctl restart bluetooth",
}


def beacons(manufacturer: dict[int, bytes], service: dict[str, bytes]) -> Iterator[tuple[_Type, str]]:
    """The beacons in an advertisement: their types and ids. Of what else it holds nothing."""
    for company, data in manufacturer.items():
        if company == _APPLE and len(data) == 23 and data.startswith(_IBEACON):
            major, minor = int.from_bytes(data[18:20]), int.from_bytes(data[20:22])
            yield "ibeacon", f"{UUID(bytes=data[2:18])}/{major}/{minor}"
        elif len(data) == 24 and data.startswith(_ALTBEACON):
            yield "altbeacon", data[2:22].hex()
    frame = service.get(_EDDYSTONE, b"")
    if len(frame) in (18, 20) and frame.startswith(_UID):
        yield "eddystone-uid", frame[2:18].hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`adapter`: hci0, …; left out: the first that is on. `scan`: passive asks beacons nothing and saves their power.

    `silence`: seconds without any advertisement after which the scan is begun anew.
    """

    read_point: str
    adapter: str | None = None
    scan: Literal["active", "passive"] = "active"
    silence: Duration = SILENCE

    def __post_init__(self) -> None:
        if self.silence <= 0:
            raise ValueError("silence: must be longer than nothing")

    async def run(self, emit: Emit) -> None:
        while True:
            ear = _Ear(self.read_point)
            async with self._scanning(ear):
                await emit(Ready(read_point=self.read_point))
                while heard := await ear.take(self.silence):
                    for sighting in heard:
                        await emit(sighting)

    @asynccontextmanager
    async def _scanning(self, ear: _Ear) -> AsyncIterator[None]:
        scanner = BleakScanner(
            ear,
            scanning_mode=self.scan,
            bluez={
                "filters": {"DuplicateData": True},
                "or_patterns": _PATTERNS,
                **({"adapter": self.adapter} if self.adapter else {}),
            },
        )
        await _start(scanner)
        try:
            yield
        finally:
            # Of a BlueZ that has gone deaf every answer is as good as none: the next start shows how it is.
            with suppress(BleakError, OSError, EOFError, TimeoutError):
                async with asyncio.timeout(STOPPING):
                    await scanner.stop()


def attached() -> list[tuple[str, dict[str, str]]]:
    """The Bluetooth adapters there are: what each is, and the configuration that chooses it."""
    return named(ADAPTERS)


def named(adapters: Path) -> list[tuple[str, dict[str, str]]]:
    """Those in the folder, without the connections that are listed beside them."""
    found = sorted(path.name for path in adapters.glob("hci*") if ":" not in path.name)
    return [(f"Bluetooth adapter {name}", {"adapter": name}) for name in found]


class _Ear:
    """What the scanner calls for each advertisement: beacons wait to be taken, anything is a sign of life."""

    def __init__(self, read_point: str) -> None:
        self._read_point = read_point
        self._heard: deque[Sighting] = deque(maxlen=WAITING)
        self._stirred = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    def __call__(self, _: BLEDevice, said: AdvertisementData) -> None:
        self._last = self._loop.time()
        if said.rssi not in _UNKNOWN:
            for type, value in beacons(said.manufacturer_data, said.service_data):
                self._heard.append(Sighting(read_point=self._read_point, type=type, rssi=said.rssi, value=value))
                self._stirred.set()

    async def take(self, silence: float) -> list[Sighting]:
        """What was heard; nothing after so many seconds without an advertisement."""
        while not self._heard:
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._last + silence):
                    await self._stirred.wait()
            if not self._heard and self._last + silence <= self._loop.time():
                return []
        await asyncio.sleep(0)
        return [self._heard.popleft() for _ in range(min(AT_ONCE, len(self._heard)))]


async def _start(scanner: BleakScanner) -> None:
    """Raises DeviceLost."""
    for attempt in range(ATTEMPTS):
        try:
            async with asyncio.timeout(ANSWER):
                return await scanner.start()
        except BleakBluetoothNotAvailableError as error:
            raise DeviceLost(_REASONS.get(error.reason, "Bluetooth is not available")) from None
        except BleakDBusError as error:
            if error.dbus_error != "org.bluez.Error.InProgress" or attempt == ATTEMPTS - 1:
                raise DeviceLost(_ERRORS.get(error.dbus_error, f"BlueZ: {error.dbus_error}")) from None
        except BleakError as error:
            raise DeviceLost(f"BlueZ: {error}") from None
        except TimeoutError:
            raise DeviceLost("bluetoothd does not answer; start it again: systemctl restart bluetooth") from None
        except (OSError, EOFError):
            raise DeviceLost("D-Bus is not running; start it: systemctl start dbus") from None
        await asyncio.sleep(PAUSE)
    raise AssertionError
