"""A store under test: its configuration, its daemon as a child process, hands that tap and scan."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import termios
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.gtin import gtin13
from peers.needles import contents, found_in
from peers.process import Child, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY = b"the chain's key: \x00 bytes as they are \r\n"  # its line end belongs to it
SETUP_CODE = re.compile(r"setup code\D+(\d{4}\D\d{4})")
Table = dict[str, str | int | float | bool]


def pseudonym(kind: str, value: str) -> str:
    """Return what stands for a band, beacon or loyalty code; `value` in the form of its kind."""
    return hmac.new(KEY, f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()


class Fifo:
    """The writing end of a FIFO, which goes on when the reader dies: what is in it stays in it."""

    def __init__(self, path: Path) -> None:
        """Make the FIFO; a reader is needed only for the first line."""
        os.mkfifo(path)
        self._path = path
        self._end: int | None = None
        self._refused: OSError | None = None

    def write(self, line: Mapping[str, object], seconds: float = 60.0) -> None:
        """Write one whole line as soon as there is a reader with room for it."""
        data = json.dumps(line).encode() + b"\n"
        until(lambda: self._written(data), lambda: f"a reader, but {self._refused!r}", seconds)

    def unread(self) -> int:
        """Return how many bytes are in it."""
        assert self._end is not None
        return int.from_bytes(fcntl.ioctl(self._end, termios.FIONREAD, bytes(4)), sys.byteorder)

    def close(self) -> None:
        """Give the end up."""
        if self._end is not None:
            os.close(self._end)
            self._end = None

    def _written(self, data: bytes) -> bool:
        # Shorter than PIPE_BUF: all of it or nothing. ENXIO, EPIPE: no reader; EAGAIN: full.
        try:
            if self._end is None:
                self._end = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            return os.write(self._end, data) == len(data)
        except OSError as refused:
            self._refused = OSError(refused.errno, refused.strerror, str(self._path))
            return False


class Store:
    """One gateway: `cartwire` is started, killed and asked only as a shopkeeper could."""

    def __init__(
        self,
        folder: Path,
        *,
        cart: Table | None = None,
        platform: Table | None = None,
        floor: Table | None = None,
        read_points: Iterable[str] = ("till-1",),
        drivers: Iterable[Table] = (),
    ) -> None:
        """Write the configuration; each read point gets a FIFO, `drivers` come on top."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self.config = folder / "edge.toml"
        self.log = folder / "cartwire.log"
        self.fifos = {name: Fifo(folder / f"{name}.fifo") for name in read_points}
        self.floor: Table = dict(floor or {})
        self.store: Table = {}
        self.presence: Table = {}
        self.cue: Table = {}
        self.label: Table | None = None
        self.kiosk: Table = {}
        self.remote: Table | None = None
        self.port = free_port()
        """Where the staff's page is, on loopback."""
        self._cart, self._platform = cart, platform
        self._child: Child | None = None
        self._raw: set[str] = set()
        secret(folder / "pseudonym.key", KEY)
        self.configure(drivers)

    def configure(self, drivers: Iterable[Table] = ()) -> None:
        """Write edge.toml: a replay driver on each FIFO, then `drivers`."""
        fifos: list[Table] = [{"kind": "replay", "read_point": name, "path": f"{name}.fifo"} for name in self.fifos]
        tables: list[tuple[str, Table | None]] = [
            (
                "[store]",
                {
                    "id": "gangnam",
                    "gateway": "gw-1",
                    "timezone": "Asia/Seoul",
                    "language": "ko",
                    "data": str(self.data),
                    "pseudonym_key_file": "pseudonym.key",
                    **self.store,
                },
            ),
            ("[cart]", self._cart),
            ("[platform]", self._platform),
            ("[floor]", self.floor),
            ("[presence]", self.presence),
            ("[[floor.in_store]]", self.label),
            ("[cue]", self.cue),
            ("[kiosk]", {"listen": f"127.0.0.1:{self.port}", **self.kiosk}),
            ("[remote]", self.remote),
            *(("[[driver]]", driver) for driver in [*fifos, *drivers]),
        ]
        text = "\n".join(toml(head, table) for head, table in tables if table is not None)
        self.config.write_text(text)

    @property
    def running(self) -> bool:
        """Whether the daemon's process is there."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start the daemon; it need not be ready yet."""
        assert not self.running
        self._child = Child(command("run", self.config), self.log, cwd=self.folder)

    def ready(self, seconds: float = 15.0) -> None:
        """Wait until `/healthz` says that it can take readings."""
        until(self._healthy, lambda: f"/healthz 200; log:\n{self.tail()}", seconds)

    def stop(self) -> None:
        """End the daemon by SIGTERM, which is clean."""
        assert self._child is not None
        code = self._child.terminate()
        assert code == 0, f"exit code {code} on SIGTERM:\n{self.tail()}"

    def kill(self) -> None:
        """End the daemon as a power cut does; it is a fault if it has ended by itself before."""
        assert self._child is not None
        assert self._child.running, f"the daemon ended by itself:\n{self.tail()}"
        self._child.kill()

    def close(self) -> None:
        """End whatever runs."""
        if self._child is not None:
            self._child.kill()
        for fifo in self.fifos.values():
            fifo.close()

    def tail(self) -> str:
        """Return the end of the daemon's log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def setup_code(self, seconds: float = 5.0) -> str:
        """Return the code for the first person, as the daemon's log has it last."""
        codes = until(
            lambda: SETUP_CODE.findall(self.log.read_text()), lambda: f"a setup code:\n{self.tail()}", seconds
        )
        return str(codes[-1])

    def tap(self, uid: str, read_point: str = "till-1") -> None:
        """Hold a band to the reader; `uid` in upper-case hex."""
        self._raw.add(uid)
        self.fifos[read_point].write({"kind": "tap", "type": "nfc", "value": uid})

    def scan(self, number: int, read_point: str = "till-1") -> str:
        """Scan the product of this number; return the text of its code."""
        text = gtin13(number)
        self.fifos[read_point].write({"kind": "scan", "text": text, "symbology": "EAN13"})
        return text

    def events(self) -> list[dict[str, Any]]:
        """Return the journal's events as `cartwire events --json` prints them."""
        return lines(self._ask("events", "--json"))

    def of(self, *types: str) -> list[dict[str, Any]]:
        """Return the events of these types; the names without `cartwire.` and `.v1`."""
        full = {f"cartwire.{name}.v1" for name in types}
        return [event for event in self.events() if event["type"] in full]

    def rejected(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what `cartwire rejected --json` prints."""
        return lines(self._ask("rejected", "--json", *arguments))

    def status(self) -> dict[str, Any]:
        """Return `cartwire status --json`."""
        answer: dict[str, Any] = json.loads(self._ask("status", "--json"))
        return answer

    def settled(self) -> bool:
        """Whether nothing waits any more: for a sink, for an app's word, for a customer."""
        status = self.status()
        waits = [status["held"]]
        waits += [sink["queued"] for sink in status["sinks"].values()]
        waits += [sink.get("unconfirmed", 0) for sink in status["sinks"].values()]
        return not any(waits)

    def follow(self, output: Path, since: str | None = None) -> Child:
        """Start `cartwire events --follow --json`; `since` is JOURNAL:SEQ, exclusive."""
        more = ["--since", since] if since else []
        errors = output.with_suffix(".err")
        return Child([*command("events", self.config), "--follow", "--json", *more], output, errors)

    def found(self, *words: str) -> set[str]:
        """Return those of the words that stand in its data folder."""
        return found_in(self.data, *words)

    def leaks(self, *folders: Path) -> list[str]:
        """Return the files, the daemon's own and in `folders`, with a tapped UID in the clear."""
        files = {self.log: self.log.read_bytes() if self.log.exists() else b""}
        for folder in (self.data, *folders):
            files |= contents(folder)
        return [f"{uid} in {path}" for path, data in files.items() for uid in self._raw if uid.encode() in data.upper()]

    def command(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command, which succeeds."""
        done = subprocess.run(
            [*command(verb, self.config), *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        problem = f"cartwire {verb}: exit {done.returncode}: {done.stderr[-2000:]}"
        assert done.returncode == 0, problem
        return done

    def _ask(self, verb: str, *options: str) -> str:
        return self.command(verb, *options).stdout

    def health(self) -> tuple[int, Any]:
        """Return what `/healthz` answers: status and reason."""
        status, _, body = self.page("/healthz")
        return status, json.loads(body)["reason"]

    def page(self, path: str) -> tuple[int, str, str]:
        """Return what the store's HTTP server answers: status, content type, text."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as kiosk:
            kiosk.request("GET", path)
            answer = kiosk.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()

    def _healthy(self) -> bool:
        assert self.running, f"the daemon ended by itself:\n{self.tail()}"
        with suppress(OSError, http.client.HTTPException):
            return self.health()[0] == http.HTTPStatus.OK
        return False


def secret(path: Path, content: bytes) -> None:
    """Write what nobody else on this machine may read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def command(verb: str, config: Path) -> list[str]:
    """Return the command line: `CARTWIRE` from the environment, or the one beside this Python."""
    beside = str(Path(sys.executable).with_name("cartwire"))
    own = os.environ.get("CARTWIRE")
    return [*(shlex.split(own) if own else [beside]), verb, "--config", str(config)]


def lines(text: str) -> list[dict[str, Any]]:
    """Parse the whole lines, one JSON object each; half a line at the end is not there yet."""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def toml(head: str, table: Table) -> str:
    """Write one table; the JSON of such values is TOML as well."""
    rows = (f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    return f"{head}\n{''.join(rows)}"
