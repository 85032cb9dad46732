"""The sandbox platform keeps `sync/openapi.yaml`: schemathesis asks the real process what the document allows."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from peers.spec import EVENTS, OPENAPI, SCHEMAS, SYNC, misfit

if TYPE_CHECKING:
    from conftest import Platform

LONG = bool(os.environ.get("CARTWIRE_LONG"))
SEED = int(os.environ.get("CARTWIRE_SEED", "0")) or (secrets.randbelow(10**9) + 1 if LONG else 323418085)
EXAMPLES = 100 if LONG else 40
CONFORMANCE = Path(__file__).parent / "conformance"
OPERATIONS = sum(len(path) for path in OPENAPI["paths"].values())


def conformance(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Ask the platform at `url` everything that can be made of the document, right and wrong."""
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(CONFORMANCE / "schemathesis.toml")]
    command += ["run", str(SYNC / "openapi.yaml"), "--url", url, "-H", "Authorization: Bearer sandbox-token"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", str(SEED), "--max-examples", str(EXAMPLES)]
    hooks = {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(CONFORMANCE)}
    print(f"CARTWIRE_SEED={SEED}")
    return subprocess.run(
        [*command, *options],
        env=os.environ | hooks,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )


def test_the_sandbox_answers_as_the_document_says(platform: Platform, tmp_path: Path) -> None:
    feed = OPENAPI["paths"]["/v1/stores/{store}/changes"]["get"]["responses"]["200"]["content"]["application/json"]
    state = feed["examples"]["state"]["value"]["changes"]
    platform.ask("POST", "/sandbox/changes", {"store": "*", "changes": state})
    call = OPENAPI["paths"]["/v1/stores/{store}/gateways/{gateway}/configuration"]["get"]
    platform.configure(call["responses"]["200"]["content"]["application/jose"]["examples"]["jws"]["value"])
    done = conformance(f"http://127.0.0.1:{platform.port}", tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"Tested: {OPERATIONS}\n" in done.stdout
    (cases,) = re.findall(r"(\d+) generated, \d+ passed", done.stdout)
    assert int(cases) > 250, done.stdout
    answered = {(row["path"], row["status"]) for row in platform.ask("GET", "/sandbox/requests")["requests"]}
    for path in OPENAPI["paths"]:
        assert {(path, 200), (path, 401)} <= answered


def test_the_sandbox_reads_every_example_of_an_event_as_the_schemas_do(platform: Platform) -> None:
    events = sorted((each for name in EVENTS.values() for each in SCHEMAS[name]["examples"]), key=itemgetter("seq"))
    headers = {"Authorization": "Bearer sandbox-token", "Content-Type": "application/cloudevents-batch+json"}
    with closing(HTTPConnection("127.0.0.1", platform.port, timeout=10)) as connection:
        connection.request("POST", "/v1/events", json.dumps(events), headers)
        answer = json.load(connection.getresponse())
    assert misfit(answer, "openapi.yaml#/components/schemas/Results") == ""
    assert [result["status"] for result in answer["results"]] == ["accepted"] * len(events)
    assert platform.problems() == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"do": "garbage"}, "Undocumented Content-Type"),
        ({"do": "status", "status": 418}, "Undocumented status code"),
        ({"do": "status", "status": 200, "body": {"batch": 1}}, "Response violates schema"),
        ({"do": "status", "status": 500}, "Server error"),
    ],
    ids=["garbage", "418", "no capabilities", "500"],
)
def test_a_platform_that_differs_is_found(platform: Platform, tmp_path: Path, fault: dict[str, Any], code: str) -> None:
    platform.fault("/v1/capabilities", times=1000, **fault)
    done = conformance(f"http://127.0.0.1:{platform.port}", tmp_path, "--include-path", "/v1/capabilities")
    assert (done.returncode, code in done.stdout) == (1, True), done.stdout[-3000:]
