"""A member of the staff who asks the page's API without a browser; each answer is held against the OpenAPI document."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import yaml

from peers.spec import closed, misfit, registry

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "edge/kiosk/openapi.yaml").read_text())
FILE = "kiosk.yaml"
KNOWN = registry({FILE: closed(DOCUMENT)})
METHODS = ("get", "post", "put", "delete")
OPERATIONS: dict[str, tuple[str, str]] = {
    operation["operationId"]: (method, path)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if method in METHODS
}
"""Method and path of each operation."""


def pointer(*names: str) -> str:
    """Return the place in the document."""
    return FILE + "#/" + "/".join(name.replace("~", "~0").replace("/", "~1") for name in names)


@dataclass(frozen=True)
class Answer:
    """What came back; `json` is None where there was no body."""

    status: int
    headers: dict[str, str]
    json: Any

    @property
    def code(self) -> str:
        """The code of a problem, else an empty text."""
        return str(self.json.get("code", "")) if isinstance(self.json, dict) else ""


def schema_misfit(value: object, schema: str) -> str:
    """Say what is wrong with a value, or has no name, in a schema of the document; empty if nothing is."""
    return misfit(value, pointer("components", "schemas", schema), KNOWN)


def unfit(operation: str, answer: Answer) -> str:
    """Say in what an answer is not one that the document has for the operation; empty if it is."""
    method, path = OPERATIONS[operation]
    responses = DOCUMENT["paths"][path][method]["responses"]
    known = str(answer.status) in responses
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not known:
        if answer.status < 400:
            return f"{operation}: {answer.status} is not in the document"
        if kind != "application/problem+json":
            return f"{operation}: {answer.status} with {kind!r} is no problem"
        if answer.json.get("status") != answer.status:
            return f"{operation}: a problem of {answer.json.get('status')} with {answer.status}"
        wrong = schema_misfit(answer.json, "Problem")
        return f"{operation}: {answer.status}: {wrong}" if wrong else ""
    response = responses[str(answer.status)]
    where = ["paths", path, method, "responses", str(answer.status)]
    if "$ref" in response:
        where = response["$ref"].removeprefix("#/").split("/")
        response = DOCUMENT["components"]["responses"][where[-1]]
    if "content" not in response:
        return f"{operation}: a body where there is none in the document" if answer.json is not None else ""
    if kind not in response["content"]:
        return f"{operation}: content type {kind!r}"
    wrong = misfit(answer.json, pointer(*where, "content", kind, "schema"), KNOWN)
    return f"{operation}: {answer.status}: {wrong}" if wrong else ""


class Staff:
    """One person at one screen: a cookie, a CSRF token, and what was found against the document in `problems`."""

    def __init__(self, port: int) -> None:
        """Nobody is logged in."""
        self.port = port
        self.cookies: dict[str, str] = {}
        self.csrf = ""
        self.problems: list[str] = []

    @property
    def cookie(self) -> str:
        """The header that says who asks."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, *, raw: bytes = b""
    ) -> Answer:
        """Send one request as it is given; the cookies go with it, and those of the answer are kept."""
        head = {"Cookie": self.cookie} if self.cookies else {}
        if body is not None:
            head["Content-Type"] = "application/json"
            raw = json.dumps(body).encode()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=15)) as connection:
            connection.request(method.upper(), path, raw or None, head | (headers or {}))
            answer = connection.getresponse()
            data = answer.read()
        for value in answer.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(value).items()}
        kind = answer.getheader("Content-Type", "")
        lower = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, lower, json.loads(data) if data and "json" in kind else data.decode() or None)

    def ask(self, operation: str, body: object = None, query: dict[str, str] | None = None, **names: object) -> Answer:
        """Do an operation of the document; `names` are those in its path. What misfits goes to `problems`."""
        method, template = OPERATIONS[operation]
        path = re.sub(r"{(\w+)}", lambda name: quote(str(names[name[1]]), safe=""), template)
        headers = {} if method == "get" else {"X-CSRF-Token": self.csrf}
        answer = self.send(method, f"{path}?{urlencode(query)}" if query else path, body, headers)
        if wrong := unfit(operation, answer):
            self.problems.append(wrong)
        if operation in ("getSession", "logIn", "setUp") and answer.status < 400:
            self.csrf = str(answer.json["csrf"])
        return answer

    def does(self, operation: str, body: object = None, query: dict[str, str] | None = None, **names: object) -> Any:
        """Do an operation that succeeds; return its JSON."""
        answer = self.ask(operation, body, query, **names)
        assert answer.status < 400, f"{operation}: {answer.status} {answer.json}"
        assert self.problems == []
        return answer.json

    def set_up(self, code: str, name: str, secret: str) -> None:
        """Become the first manager."""
        self.does("getSession")
        self.does("setUp", {"code": code, "name": name, "secret": secret})
        self.does("getSession")

    def log_in(self, name: str, secret: str) -> None:
        """Log in."""
        self.does("getSession")
        self.does("logIn", {"name": name, "secret": secret})
        self.does("getSession")
