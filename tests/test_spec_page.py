"""The staff's page's API keeps its document: schemathesis asks the real daemon what it allows, and more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openapi_spec_validator import validate

from bands import BAND
from peers.staff import DOCUMENT, OPERATIONS, Staff
from test_spec_platform import CONFORMANCE, LONG, SEED

if TYPE_CHECKING:
    from counter import Counter

EXAMPLES = 50 if LONG else 8
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,unsupported_method"
)
KIOSK = Path(__file__).parent.parent / "edge" / "kiosk" / "openapi.yaml"
ELSEWHERE = {"getEvents", "logOut", "putPerson", "deletePerson"}


def asked(staff: Staff, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Ask the daemon everything that can be made of the document, right and wrong, as somebody who is logged in."""
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(CONFORMANCE / "page.toml")]
    command += ["run", str(KIOSK), "--url", f"http://127.0.0.1:{staff.port}"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", str(SEED), "--max-examples", str(EXAMPLES)]
    command += ["--checks", CHECKS, *options]
    return subprocess.run(
        command,
        env=os.environ | {"CSRF": staff.csrf, "COOKIE": staff.cookie.partition("=")[2]},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


def test_the_api_answers_as_its_document_says(counter: Counter, tmp_path: Path) -> None:
    counter.visit(BAND, 1, 2)
    done = asked(counter.staff["manager"], tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert f"Tested: {len(OPERATIONS) - len(ELSEWHERE)}\n" in done.stdout
    (cases,) = re.findall(r"(\d+) generated, \d+ passed", done.stdout)
    assert int(cases) > 250, done.stdout
    assert counter.store.health()[0] == 200
    assert "Traceback" not in counter.store.log.read_text()
