"""ThingsBoard's IoT gateway as a side: its own storage, its own client, a broker in its platform's place.

Its configuration is the one it ships with but for these: the address; no remote configuration and no statistics, which
nobody answers; no rate limits; and the storage. So it looks for something to send every 50 ms, as it does anywhere. It
sends nothing before the platform has said what its limits are: that there are none.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bench.marks import Marks
from bench.runs import PROMPT, ROOT
from bench.sides import MARKER
from bench.subscriber import subscriber
from peers.brokers import Mosquitto
from peers.process import Child

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

STORAGES = {
    "sqlite": {"data_file_path": "./data/", "messages_ttl_check_in_hours": 1, "messages_ttl_in_days": 7},
    "memory": {"read_records_count": 100, "max_records_count": 100_000},
}
"""As it documents them; what it ships is for the one in memory, and has the one in SQLite read 10 at a time."""
LIMITS = {"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}}
"""What the platform says of its limits."""
ASKED, ANSWERED = (f"v1/devices/me/rpc/{way}/" for way in ("request", "response"))
HOME = ROOT / ".venv-peers"
READY = 60.0
"""Seconds until it has sent its first reading."""


class ThingsBoard:
    """One gateway with one of its storages."""

    def __init__(self, stack: ExitStack, folder: Path, body: bytes, storage: str) -> None:
        """Start it, and wait for its first reading; `body`: an event of ours."""
        self.name = f"ThingsBoard's, {storage}"
        self._folder, self._number = folder, 0
        folder.mkdir()
        broker = Mosquitto(folder / "mosquitto", more=PROMPT)
        stack.callback(broker.kill)
        broker.start()
        _platform(stack, broker.port)
        package = next(HOME.glob("lib/python3*/site-packages/thingsboard_gateway"))
        config = folder / "config"
        shutil.copytree(package / "config", config)
        extension = package / "extensions" / "bench"
        extension.mkdir(exist_ok=True)
        shutil.copy(ROOT / "tests" / "bench" / "thingsboard_connector.py", extension / "connector.py")
        (folder / "logs").mkdir()
        (folder / "data").mkdir()
        (folder / "event.json").write_bytes(body)
        os.mkfifo(folder / "fifo")
        main = json.loads((config / "tb_gateway.json").read_text())
        main["thingsboard"] |= {
            "host": "127.0.0.1",
            "port": broker.port,
            "remoteConfiguration": False,
            "statistics": {"enable": False},
            **{key: "0:0," for key in main["thingsboard"] if key.endswith("ateLimits")},
        }
        main["storage"] = {"type": storage, **STORAGES[storage]}
        main["connectors"] = [
            {"name": "bench", "type": "bench", "class": "BenchConnector", "configuration": "bench.json"}
        ]
        (config / "tb_gateway.json").write_text(json.dumps(main))
        names = ("fifo", "emitted")
        about = {"id": "bench", "event": str(folder / "event.json"), **{name: str(folder / name) for name in names}}
        (config / "bench.json").write_text(json.dumps(about))
        self.emitted = Marks(folder / "emitted")
        self.arrived = subscriber(stack, broker.port, "v1/gateway/telemetry", MARKER, folder / "arrived")
        environment = ["env", f"TB_GW_CONFIG_DIR={config}", f"PYTHONPATH={ROOT / 'tests'}"]
        program = [str(HOME / "bin" / "python"), "-m", "thingsboard_gateway.tb_gateway"]
        self._child = Child([*environment, *program], folder / "gateway.log", cwd=folder)
        stack.callback(self._child.kill)
        end = os.open(folder / "fifo", os.O_RDWR)  # so that it never comes to its end
        self._fifo = stack.enter_context(os.fdopen(end, "w", buffering=1, closefd=True))
        self.many(1)
        self.arrived.wait(1, READY)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def one(self, number: int) -> None:
        """Let its connector take one."""
        del number
        self.many(1)

    def many(self, count: int) -> None:
        """Let its connector take so many at once."""
        self._fifo.write(f"{self._number} {count}\n")
        self._number += count

    def rest(self) -> None:
        """It has no confirmations to wait for."""


def _platform(stack: ExitStack, port: int) -> None:
    """Answer what limits there are, as the platform does."""
    client = Client(CallbackAPIVersion.VERSION2)

    def asked(_client: object, _data: object, message: MQTTMessage) -> None:
        client.publish(ANSWERED + message.topic.removeprefix(ASKED), json.dumps(LIMITS), qos=1)

    client.on_message = asked
    client.on_connect = lambda *_: client.subscribe(f"{ASKED}+", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    stack.callback(client.loop_stop)
