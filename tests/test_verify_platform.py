"""`cartwire verify-platform`, as those use it who write a platform: a good one passes, and what is wrong is named."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest

from conftest import ROOT
from conftest import Platform as Sandbox
from peers import platform as good
from peers.process import free_port
from peers.wrong_platforms import FAULTS, ODDITIES, RESTARTS

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
NEED_OPTION = {"durable", "durable.cursor"}
CERTIFICATE = [
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"),
    *("-subj", "/CN=verify", "-addext", "subjectAltName=IP:127.0.0.1"),
]


class Report:
    """What the command said."""

    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code, self.output, self.errors = code, output, errors

    @property
    def checks(self) -> dict[str, Json]:
        return {check["check"]: check for check in json.loads(self.output)["checks"]}

    def being(self, *results: str) -> set[str]:
        return {name for name, check in self.checks.items() if check["result"] in results}


async def verify(url: str, *options: str, json: bool = True) -> Report:
    """Run the command beside us."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "edge.cli", "verify-platform", url, *options, *(["--json"] if json else [])),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return Report(process.returncode, output.decode(), errors.decode())


@pytest.fixture
def token(tmp_path: Path) -> str:
    """The file with the token of the peers."""
    file = tmp_path / "token"
    file.write_text(f"{good.Platform.token}\n")
    return f"--token-file={file}"


def restarting(url: str) -> str:
    """A command that has a peer restart."""
    code = f"import urllib.request; urllib.request.urlopen({url + '/restart'!r}, b'')"
    return f"--restart-command={shlex.join([sys.executable, '-c', code])}"


def of(cases: list[tuple[str, type[good.Platform]]]) -> Any:
    """One fault for every third check; the others in the long run."""
    firsts = [*dict(reversed(cases)).values()][::3]
    marks = [() if kind in firsts else pytest.mark.long for _, kind in cases]
    of_each = [pytest.param(*case, marks=mark, id=case[1].__name__) for case, mark in zip(cases, marks, strict=True)]
    return pytest.mark.parametrize(("check", "kind"), of_each)


@of(FAULTS)
async def test_a_fault_is_found_by_the_check_for_it_and_by_no_other(
    check: str, kind: type[good.Platform], token: str
) -> None:
    async with kind().listening() as url:
        report = await verify(url, token)
    assert (report.code, report.errors) == (1, "")
    assert report.being("bad") == {check}
    assert report.being("odd") == set()
    assert report.being("unseen") >= NEED_OPTION - report.being("open")
    found = report.checks[check]
    assert found["text"] == f"wants {found['wants']}; {found['answered']}"
    assert found["wants"]
    assert found["answered"]
    for name in report.being("open"):
        assert report.checks[name]["text"] == f"waits for {check}"


@of(ODDITIES)
async def test_an_oddity_is_named_and_passes(check: str, kind: type[good.Platform], token: str) -> None:
    async with kind().listening() as url:
        report = await verify(url, token)
    assert (report.code, report.errors) == (0, "")
    assert report.being("odd") == {check}
    assert report.being("bad", "open") == set()


@of(RESTARTS)
async def test_what_a_restart_forgets_is_found(check: str, kind: type[good.Platform], token: str) -> None:
    async with kind().listening() as url:
        report = await verify(url, token, restarting(url))
    assert (report.code, report.errors) == (1, "")
    assert report.being("bad") == {check}


class OneByOne(good.Platform):
    limits: Json = {"batch": False, "maxBatch": 500, "maxBytes": 1048576}  # noqa: RUF012


class Busy(good.Platform):
    """Asks to wait at the first request to each path."""

    asked: frozenset[str] = frozenset()

    def allowed(self, request: Any, authorization: str) -> bool:
        if request.path not in self.asked:
            self.asked |= {request.path}
            raise good.web.HTTPTooManyRequests(headers={"Retry-After": "0"})
        return super().allowed(request, authorization)


class RefusesBatches(good.Platform):
    """Answers 422 for a batch with one malformed event, which keeps the contract as well."""

    def parsed(self, raw: bytes) -> list[Json]:
        batch = super().parsed(raw)
        if any(self.misfit(event) for event in batch):
            raise good.web.HTTPUnprocessableEntity
        return batch


@pytest.mark.parametrize("kind", [good.Platform, OneByOne, Busy, RefusesBatches])
async def test_a_platform_that_keeps_the_contract_passes(kind: type[good.Platform], token: str) -> None:
    async with kind().listening() as url:
        report = await verify(f"{url}/", token, restarting(url))
    assert report.being("bad", "odd", "open", "unseen") == set(), report.output
    assert set(report.checks) == {check for check, _ in [*FAULTS, *ODDITIES, *RESTARTS]}, "a check without its fault"
    assert (report.code, report.errors) == (0, "")


async def test_an_empty_feed_is_not_a_pass(token: str) -> None:
    platform = good.Platform()
    platform.log.clear()
    async with platform.listening() as url:
        report = await verify(url, token)
    assert report.code == 1
    assert report.being("bad") == set()
    assert report.checks["feed.changes"]["result"] == "open"
    assert "the feed of store verify is empty" in report.checks["feed.changes"]["text"]


# The sandbox platform


@pytest.fixture
def sandbox(platform: Sandbox) -> Sandbox:
    """Running, strict, and with a feed."""
    for change in good.feed():
        platform.change(change["kind"], change["key"], change.get("value"))
    return platform


async def test_the_sandbox_platform_passes_also_over_a_kill(sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox._child
    pid = tmp_path / "pid"
    pid.write_text(str(sandbox._child.pid))
    serve = [sys.executable, "-m", "edge.demo.sandbox", "--listen", f"127.0.0.1:{sandbox.port}", "--data"]
    serve += [str(sandbox.folder / "data"), "--token-file", str(sandbox.token_file), "--strict"]
    restart = f"kill -9 $(cat {pid}) && {{ {shlex.join(serve)} & echo $! > {pid}; }}"
    try:
        report = await verify(
            f"http://127.0.0.1:{sandbox.port}", f"--token-file={sandbox.token_file}", f"--restart-command={restart}"
        )
    finally:
        if (last := int(pid.read_text())) != sandbox._child.pid:
            os.kill(last, 9)
    assert (report.code, report.errors) == (0, "")
    assert report.being("ok") == set(report.checks)


async def test_its_events_are_marked_and_have_the_contracts_form(sandbox: Sandbox) -> None:
    report = await verify(f"http://127.0.0.1:{sandbox.port}", f"--token-file={sandbox.token_file}", "--store=lab")
    assert report.being("bad") == set()
    about = json.loads(report.output)
    visit = about["gateway"].removesuffix("-a")
    events = sandbox.events()
    assert len(events) > 500
    for event in events:
        assert event["source"].startswith(f"/stores/lab/gateways/{visit}-")
        assert event["data"].get("customer", visit) is None or event["data"].get("customer", visit).startswith(visit)
        assert event["data"].get("gtin") in (None, "09506000134352", "02800123000004")
    noted = {(problem["rule"], problem["detail"].partition(":")[0]) for problem in sandbox.problems()}
    assert noted == {
        ("request", "GET /v1/capabilities"),  # without its token, as the other three
        ("request", "POST /v1/events"),
        ("request", "POST /v1/identifiers/resolve"),
        ("request", "GET /v1/stores/lab/changes"),
        ("type", "cartwire.verify.invented.v1 is not named"),
        ("envelope", "verifynew is not named"),
        ("data", "cartwire.cart.item_added.v1"),
        ("seq", next(p["detail"] for p in sandbox.problems() if p["rule"] == "seq")),
    }
    assert sum(problem["rule"] == "seq" for problem in sandbox.problems()) == 1


# What is printed


async def test_a_line_a_check_as_they_are_made(token: str) -> None:
    faulty = {kind.__name__: kind for _, kind in FAULTS}["AmountIsANumber"]
    async with faulty().listening() as url:
        report = await verify(url, token, json=False)
    lines = report.output.splitlines()
    assert lines[0].startswith(f"{url}, asked by gateways verify-")
    assert any(line.startswith("ok   events.gzip ") for line in lines)
    line = next(line for line in lines if line.startswith("BAD  "))
    assert line.split()[:4] == ["BAD", "feed.products", "wants", "price:"]
    assert line.endswith('; product 08801045600130 has {"amount": 12900, "currency": "KRW"}')
    assert lines[-1].endswith("1 BAD, 2 not to be seen (?): this platform does not keep the contract yet.")


async def test_it_finds_out_which_type_breaks_a_batch(token: str) -> None:
    faulty = {kind.__name__: kind for _, kind in FAULTS}["WholeSecondsOnly"]
    async with faulty().listening() as url:
        report = await verify(url, token)
    said = report.checks["events.types"]["answered"]
    assert said.startswith("cartwire.presence.left.v1: POST /v1/events answered 500 text/plain: Traceback")


async def test_answers_cannot_write_into_the_terminal_and_the_token_is_not_shown(token: str) -> None:
    class Echo(good.Platform):
        async def post_events(self, request: Any) -> Any:
            return good.web.Response(status=500, text=f"\x1b[2J{request.headers['Authorization']}\nok  all is well")

    async with Echo().listening() as url:
        report = await verify(url, token, json=False)
    assert "\x1b" not in report.output
    assert good.Platform.token not in report.output
    assert "\nok  all is well" not in report.output


async def test_a_page_is_shown_as_its_text(token: str) -> None:
    faulty = {kind.__name__: kind for _, kind in FAULTS}["AnswersEventsWithAPage"]
    async with faulty().listening() as url:
        report = await verify(url, token)
    assert report.checks["events.one"]["answered"].startswith("POST /v1/events answered 200 text/html: Saved, which is")


async def test_who_looks_at_the_first_lines_only_gets_no_exit_0(token: str) -> None:
    async with good.Platform().listening() as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge.cli", "verify-platform", url, token), cwd=ROOT, stdout=PIPE, stderr=PIPE
        )
        assert process.stdout
        assert process.stderr
        await process.stdout.readline()
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        errors = await process.stderr.read()
        assert (await process.wait(), errors) == (1, b"")


async def test_without_a_token_it_says_what_to_do() -> None:
    async with good.Platform().listening() as url:
        report = await verify(url)
    assert report.code == 1
    assert report.being("bad") == {"reachable"}
    assert report.checks["reachable"]["text"].endswith("give --token-file")


async def test_a_failing_restart_command_is_named(token: str) -> None:
    async with good.Platform().listening() as url:
        report = await verify(url, token, "--restart-command=echo no such unit >&2; exit 5")
    assert report.code == 1
    assert report.being("bad") == {"durable"}
    assert report.checks["durable"]["answered"].endswith("ended with 5 and says: no such unit")


# What is not there


async def test_nobody_listens(token: str) -> None:
    report = await verify(f"http://127.0.0.1:{free_port()}", token)
    assert report.code == 1
    assert report.being("bad") == {"reachable"}
    assert "no connection" in report.checks["reachable"]["answered"]
    assert report.being("ok", "odd", "unseen") == set()


async def test_an_answer_that_never_comes_is_waited_for_10_seconds(token: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connected to by the kernel, and nobody accepts
        report = await verify(f"http://127.0.0.1:{silent.getsockname()[1]}", token)
    assert report.being("bad") == {"reachable"}
    assert report.checks["reachable"]["answered"] == "GET /v1/capabilities: no answer within 10 s"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Its own authority, with its key."""
    file = tmp_path / "certificate.pem"
    subprocess.run([*CERTIFICATE, "-keyout", file, "-out", file], check=True, capture_output=True, timeout=30)
    return file


async def test_a_certificate_is_always_checked(certificate: Path, token: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with good.Platform().listening(tls) as url:
        refused = await verify(url, token)
        for _ in range(3):
            trusted = await verify(url, token, f"--ca-file={certificate}")
            if trusted.being("bad", "odd") == set():  # this machine may be slow for a moment
                break
    assert refused.being("bad") == {"reachable"}
    assert "its certificate is not trusted" in refused.checks["reachable"]["answered"]
    assert (trusted.code, trusted.being("bad", "odd")) == (0, set()), trusted.checks


# Calls that make no sense


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["http://platform.example"], "http://platform.example: http:// is for this machine only; use https://"),
        (["platform.example"], "platform.example: is no address; give https://HOST, without /v1"),
        (["https://[::1"], "https://[::1: is no address; give https://HOST"),
        (["https://a.example/?x=1"], "https://a.example/?x=1: is no address; give https://HOST, without /v1"),
        (["https://me:secret@a.example"], "the address must not hold a user or password; give --token-file"),
        (["http://127.0.0.1:1", "--store=No"], "--store No: is no store id; give one of [a-z0-9-]{1,32}"),
        (
            ["http://127.0.0.1:1", "--token-file=/nonexistent"],
            "--token-file /nonexistent: No such file or directory; name a file that can be read",
        ),
        (
            ["http://127.0.0.1:1", "--token-file=/dev/null"],
            "--token-file /dev/null: is no token; a token is one line of ASCII without spaces",
        ),
        (["http://127.0.0.1:1", "--key-file=/dev/null"], "--cert-file and --key-file go together"),
    ],
)
async def test_a_wrong_call_is_one_line_and_exit_2(options: list[str], says: str) -> None:
    report = await verify(*options)
    assert (report.code, report.output, report.errors) == (2, "", f"cartwire: {says}\n")
