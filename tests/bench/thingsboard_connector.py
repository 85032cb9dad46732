"""A connector in ThingsBoard's gateway, as its documents want one: what a FIFO says it hands to `send_to_storage`.

It runs in that gateway, in whose folder of extensions `bench.thingsboard` puts a copy. A line is `NUMBER TIMES`: so
many readings at once, each noted as emitted when it is handed over; each is an event of ours, with its number, and a
millisecond of its own, as of two readings of one device and millisecond that gateway keeps the last.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

from thingsboard_gateway.connectors.connector import Connector
from thingsboard_gateway.gateway.entities.converted_data import ConvertedData
from thingsboard_gateway.gateway.entities.telemetry_entry import TelemetryEntry

from bench.marks import Marks, now


class BenchConnector(Connector, Thread):
    """Made, opened and closed by the gateway."""

    def __init__(self, gateway: Any, config: dict[str, Any], kind: str) -> None:
        super().__init__(daemon=True)
        self._gateway, self._config, self._kind = gateway, config, kind
        self._over = Event()
        self._began = int(time.time() * 1000)
        self._event = json.loads(Path(config["event"]).read_text())
        self._emitted = Marks(Path(config["emitted"]))

    def open(self) -> None:
        self.start()

    def run(self) -> None:
        while not self._over.is_set():
            with Path(self._config["fifo"]).open() as lines:
                for line in lines:
                    number, times = map(int, line.split())
                    for n in range(number, number + times):
                        self._emit(n)

    def _emit(self, number: int) -> None:
        self._emitted.add(now())
        data = ConvertedData(device_name="till-1", device_type="scanner")
        data.add_to_telemetry(TelemetryEntry({"event": {**self._event, "seq": number}}, self._began + number))
        self._gateway.send_to_storage(self.name, self.get_id(), data)

    def close(self) -> None:
        self._over.set()

    def get_id(self) -> str:
        return str(self._config["id"])

    def get_name(self) -> str:
        return str(self.name)

    def get_type(self) -> str:
        return self._kind

    def get_config(self) -> dict[str, Any]:
        return self._config

    def is_connected(self) -> bool:
        return True

    def is_stopped(self) -> bool:
        return self._over.is_set()

    def on_attributes_update(self, content: object) -> None:
        """Nobody changes any."""

    def server_side_rpc_handler(self, content: object) -> None:
        """Nobody calls."""
