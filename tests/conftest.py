"""The parts that stories are told with: a broker, a platform, apps and stores, all ended after."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

import counter
import edge.database
import edge.upkeep
import peers.browser
from bands import BAND, OTHER
from counter import Counter
from peers.app import App
from peers.brokers import Broker, Mosquitto, Nats
from peers.card import Pcscd
from peers.day import SEED
from peers.process import Child, free_port, until
from peers.store import Store, Table, pseudonym, secret
from simulated.disk import Writer
from simulated.world import World
from sync import mqtt
from tally import tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
hypothesis.settings.register_profile("cartwire", deadline=None)  # a busy machine takes long over an example
hypothesis.settings.load_profile("cartwire")


class Platform:
    """The sandbox platform as a child process, strict, and its back door for tests."""

    def __init__(self, folder: Path) -> None:
        """Choose its port and token; nothing runs before `start`."""
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.token_file = folder / "token"
        secret(self.token_file, b"sandbox-token\n")
        self._child: Child | None = None

    @property
    def table(self) -> Table:
        """The `[platform]` table of a store that looks often and waits little."""
        return {
            "url": f"http://127.0.0.1:{self.port}",
            "token_file": str(self.token_file),
            "poll": "1s",
            "jitter": "1s",
        }

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Start it, if it does not run, and return when it answers."""
        if self.running:
            return
        options = ["--listen", f"127.0.0.1:{self.port}", "--data", str(self.folder / "data")]
        options += ["--token-file", str(self.token_file), "--strict"]
        self._child = Child(
            [sys.executable, "-m", "edge.demo.sandbox", *options],
            self.folder / "platform.log",
            cwd=ROOT,
        )
        self._child.line(r"listening on http://")

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._child is not None:
            self._child.kill()

    def change(self, kind: str, key: str, value: dict[str, Any] | None) -> None:
        """Put a change into the feed of every store; without a value a delete."""
        op = "delete" if value is None else "upsert"
        change: dict[str, Any] = {"kind": kind, "op": op, "key": key}
        if value is not None:
            change["value"] = value
        self.changes(change)

    def changes(self, *changes: dict[str, Any]) -> None:
        """Put these into the feed of every store, in one go."""
        self.ask("POST", "/sandbox/changes", {"store": "*", "changes": changes})

    def customer(self, name: str, cart: str, *consents: str) -> None:
        """Let the stores know a customer."""
        display = name.upper()
        value = {"cart": cart, "display": display, "language": "ko", "consents": list(consents)}
        self.change("customer", name, value)

    def band(self, pseudonym: str, customer: str) -> None:
        """Let the stores know whose band that is."""
        self.change("identifier", pseudonym, {"type": "nfc", "customer": customer})

    def product(self, gtin: str, name: str, amount: str) -> None:
        """Let the stores know a product."""
        self.change("product", gtin, {"name": name, "price": {"amount": amount, "currency": "KRW"}})

    def configure(self, jws: str, gateway: str = "gw-1") -> None:
        """Have a remote configuration for a gateway, whatever it is."""
        self.ask("PUT", "/sandbox/configuration", {"store": "gangnam", "gateway": gateway, "jws": jws})

    def told(self) -> str:
        """Return what the gateway has said last of its remote configurations."""
        rows = self.ask("GET", "/sandbox/configuration")["gateways"]
        return "".join(row["told"] for row in rows if row["gateway"] == "gw-1")

    def events(self) -> list[dict[str, Any]]:
        """Return the events it holds, each once, in the order of their first arrival."""
        rows = self.ask("GET", "/sandbox/events?since=0")["events"]
        return [row["event"] for row in sorted(rows, key=lambda row: int(row["n"]))]

    def of(self, *types: str) -> list[dict[str, Any]]:
        """Return those of these types; the names without `cartwire.` and `.v1`."""
        return [event for event in self.events() if event["type"] in {f"cartwire.{name}.v1" for name in types}]

    def problems(self) -> list[Any]:
        """Return what its strict mode found against the contract."""
        answer = self.ask("GET", "/sandbox/problems")
        problems: list[Any] = answer["problems"]
        return problems

    def wait_pulled(self, seconds: float = 20.0) -> None:
        """Wait for two more pulls of the store: by then it has applied the first of them."""
        enough = self._pulls() + 2
        until(lambda: self._pulls() >= enough, "the store to pull the changes", seconds)

    def fault(self, path: str, do: str, times: int, **more: object) -> None:
        """Let the next `times` requests to `path` go wrong."""
        self.ask("POST", "/sandbox/faults", {"path": path, "do": do, "times": times, **more})

    def mend(self) -> int:
        """Take all faults away; return how many nobody has met."""
        return int(self.ask("DELETE", "/sandbox/faults")["left"])

    def answered(self, path: str, status: int) -> int:
        """Return how many requests to paths that end so were answered so."""
        rows = self.ask("GET", "/sandbox/requests")["requests"]
        return sum(int(row["count"]) for row in rows if row["path"].endswith(path) and row["status"] == status)

    def _pulls(self) -> int:
        return self.answered("/changes", 200)

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask the back door; return its JSON."""
        token = self.token_file.read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.status < HTTPStatus.BAD_REQUEST, f"{method} {path}: {answer.status} {text}"
        parsed: dict[str, Any] = json.loads(text or "{}")
        return parsed


def started_broker(folder: Path, ended: ExitStack) -> Mosquitto:
    mosquitto = Mosquitto(folder / "mosquitto", keeps=True)
    ended.callback(mosquitto.kill)
    mosquitto.start()
    return mosquitto


def started_platform(folder: Path, ended: ExitStack) -> Platform:
    sandbox = Platform(folder / "platform")
    ended.callback(sandbox.kill)
    sandbox.start()
    return sandbox


def apps(folder: Path, broker: Mosquitto, ended: ExitStack) -> Callable[[str], App]:
    def online(cart: str) -> App:
        shopper = App(broker.port, cart, folder / "apps", broker.protocol)
        ended.callback(shopper.close)
        shopper.online()
        return shopper

    return online


@pytest.fixture
def ended() -> Iterator[ExitStack]:
    """Whatever is put on it ends after the test, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A shop in simulated time, its clock synchronised."""
    monkeypatch.setattr(edge.database, "ThreadPoolExecutor", Writer)
    monkeypatch.setattr(mqtt, "connect", mqtt.connect)
    monkeypatch.setattr(edge.upkeep, "EVERY", 600.0)  # else most of the time is spent on looking in vain
    template = tmp_path / "template" / edge.database.FILE
    template.parent.mkdir()
    edge.database.Database(template).close()
    made = World(tmp_path, template, ok=True)
    yield made
    made.kill()


@pytest.fixture
def broker(tmp_path: Path, ended: ExitStack) -> Mosquitto:
    """Mosquitto that keeps its sessions over a stop, running."""
    return started_broker(tmp_path, ended)


@pytest.fixture
def nats(tmp_path: Path, ended: ExitStack) -> Nats:
    """nats-server, which keeps its sessions over a kill as well, running."""
    server = Nats(tmp_path / "nats")
    ended.callback(server.kill)
    server.start()
    return server


@pytest.fixture(params=["broker", "nats"], ids=["mosquitto", "nats"])
def any_broker(request: pytest.FixtureRequest) -> Broker:
    """Each broker in turn."""
    chosen: Broker = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def platform(tmp_path: Path, ended: ExitStack) -> Platform:
    """Start the sandbox platform."""
    return started_platform(tmp_path, ended)


@pytest.fixture
def app_of(broker: Mosquitto, tmp_path: Path, ended: ExitStack) -> Callable[[str], App]:
    """Bring the app of a cart online."""
    return apps(tmp_path, broker, ended)


@pytest.fixture
def app(app_of: Callable[[str], App]) -> App:
    """Bring the app of cart k-1 online."""
    return app_of("k-1")


@pytest.fixture
def store(broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack) -> Iterator[Store]:
    """Furnish a store, not started; at the end no UID may stand in any file."""
    shop = Store(
        tmp_path / "store",
        cart={"broker": broker.url, "protocol": broker.protocol},
        platform=platform.table,
    )
    ended.callback(shop.close)
    yield shop
    assert shop.leaks(platform.folder, tmp_path / "apps") == []


@pytest.fixture(scope="session")
def short() -> Iterator[Path]:
    """Name a folder that is short enough for a socket; a process keeps to the first socket it has used."""
    with TemporaryDirectory(prefix="pcscd-") as folder:
        yield Path(folder)


@pytest.fixture
def pcscd(short: Path, monkeypatch: pytest.MonkeyPatch, ended: ExitStack) -> Pcscd:
    """Lead all to a pcscd that is not started."""
    daemon = Pcscd(short)
    ended.callback(daemon.kill)
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(daemon.socket))
    return daemon


@pytest.fixture
def opened(store: Store, platform: Platform) -> Callable[..., Store]:
    """Open the store with these readers and two shoppers in its directory."""

    def opened(*readers: Table) -> Store:
        for number, uid in enumerate((BAND, OTHER), 1):
            platform.customer(f"c-{number}", f"k-{number}", "cart")
            platform.band(pseudonym("nfc", uid), f"c-{number}")
        store.configure(readers)
        store.start()
        store.ready()
        platform.wait_pulled()
        return store

    return opened


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a browser; each test opens terminals of its own in it."""
    with peers.browser.chromium() as browser:
        yield browser


@pytest.fixture
def open_counter(
    broker: Mosquitto,
    platform: Platform,
    app_of: Callable[[str], App],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    ended: ExitStack,
) -> Iterator[Callable[..., Counter]]:
    """Open a store with a counter; at the end nobody has anything to complain about, and no UID stands in any file."""
    counters: list[Counter] = []

    def browser() -> Browser:
        started: Browser = request.getfixturevalue("chromium")
        return started

    def opened(**tables: Table) -> Counter:
        counters.append(counter.opened(tmp_path / "store", broker, platform, app_of, browser, ended, **tables))
        return counters[-1]

    yield opened
    for each in counters:
        assert each.faults() == []
        assert each.store.leaks(platform.folder, tmp_path / "apps") == []


@pytest.fixture(name="counter")
def a_counter(open_counter: Callable[..., Counter]) -> Counter:
    """Open a store with a counter."""
    return open_counter()


@pytest.fixture(scope="module")
def module_counter(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Counter]:
    """Open a store with a counter for all the tests of a module."""
    folder = tmp_path_factory.mktemp("shared")
    with ExitStack() as ended:
        broker, platform = started_broker(folder, ended), started_platform(folder, ended)
        app_of = apps(folder, broker, ended)
        made = counter.opened(folder / "store", broker, platform, app_of, lambda: chromium, ended)
        yield made
        assert made.store.leaks(platform.folder, folder / "apps") == []


@pytest.fixture
def shared(module_counter: Counter, ended: ExitStack) -> Iterator[Counter]:
    """The module's store with a counter, for a test that leaves it as it was but for taps and scans."""
    module_counter.ended, module_counter.terminals = ended, []
    yield module_counter
    assert module_counter.faults() == []


def pytest_report_header() -> str:
    """Print what makes the same faults come again."""
    return f"faults: CARTWIRE_SEED={SEED}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fault bench has found."""
    if tally.counts or tally.seconds:
        terminalreporter.section(f"faults, CARTWIRE_SEED={SEED}")
        for line in tally.lines():
            terminalreporter.write_line(line)
