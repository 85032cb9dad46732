"""The staff's page keeps `edge/kiosk/openapi.yaml`: schemathesis asks the real daemon what the document allows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openapi_spec_validator import OpenAPIV31SpecValidator

from kiosk import DOCUMENT
from peers.process import until
from test_spec_platform import CONFORMANCE, LONG, SEED
from test_story_people import Page, codes

if TYPE_CHECKING:
    from peers.store import Store

EXAMPLES = 100 if LONG else 5
FILE = Path(__file__).parent.parent / "edge" / "kiosk" / "openapi.yaml"


def test_the_document_is_openapi() -> None:
    checked = OpenAPIV31SpecValidator(DOCUMENT, base_uri=FILE.as_uri())
    assert [error.message for error in checked.iter_errors()] == []


def test_the_page_answers_as_the_document_says(store: Store, tmp_path: Path) -> None:
    store.start()
    store.ready()
    (code,) = until(lambda: codes(store), "a setup code")
    boss = Page(store)
    boss.ask("GET", "/api/session")
    assert boss.ask("POST", "/api/setup", {"code": code, "name": "boss", "secret": "4711"})[0] == 201
    cookie, csrf = boss.headers["Cookie"].partition("=")[2], boss.headers["X-CSRF-Token"]
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(CONFORMANCE / "kiosk.toml"), "run"]
    command += [str(FILE), "--url", f"http://127.0.0.1:{boss.port}", "-H", f"X-CSRF-Token: {csrf}"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", str(SEED), "--max-examples", str(EXAMPLES)]
    print(f"CARTWIRE_SEED={SEED}")
    done = subprocess.run(
        command,
        env=os.environ | {"CARTWIRE_COOKIE": cookie},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    (cases,) = re.findall(r"(\d+) generated, \d+ passed", done.stdout)
    assert int(cases) > 500, done.stdout
    assert "Traceback" not in store.log.read_text()
    assert boss.ask("GET", "/api/people")[0] == 200
