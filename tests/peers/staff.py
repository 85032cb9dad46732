"""A member of the staff who asks the page's API without a browser; each answer is held against the OpenAPI document."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import yaml

from peers.spec import closed, misfit, registry

if TYPE_CHECKING:
    import ssl

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
_FORMS = [(name, method, re.compile(re.sub(r"{\w+}", "[^/]+", path))) for name, (method, path) in OPERATIONS.items()]


def pointer(*names: str) -> str:
    """Return the place in the document."""
    return FILE + "#/" + "/".join(name.replace("~", "~0").replace("/", "~1") for name in names)


def operation_of(method: str, path: str) -> str:
    """Return the operation that a request asks for; empty if the document has none."""
    bare = path.partition("?")[0]
    return next((name for name, verb, form in _FORMS if verb == method.lower() and form.fullmatch(bare)), "")


@dataclass(frozen=True)
class Answer:
    """What came back; `json` is None where there was no body, and the text where it is no JSON."""

    status: int
    headers: dict[str, str]
    """Their names in lower case."""
    json: Any
    text: str = ""

    @property
    def code(self) -> str:
        """The code of a problem, else an empty text."""
        return str(self.json.get("code", "")) if isinstance(self.json, dict) else ""


def schema_misfit(value: object, schema: str) -> str:
    """Say what is wrong with a value, or has no name, in a schema of the document; empty if nothing is."""
    return misfit(value, pointer("components", "schemas", schema), KNOWN)


def unfit(operation: str, answer: Answer) -> str:
    """Say in what an answer is not one that the document has for the operation; empty if it is.

    An error is a problem, of whatever was asked.
    """
    method, path = OPERATIONS.get(operation, ("", ""))
    responses = DOCUMENT["paths"][path][method]["responses"] if operation else {}
    response = responses.get(str(answer.status))
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if response is None:
        return _unfit_problem(operation, answer, kind)
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


def _unfit_problem(operation: str, answer: Answer, kind: str) -> str:
    if answer.status < 400:
        return f"{operation}: {answer.status} is not in the document" if operation else ""
    if kind != "application/problem+json":
        return f"{operation}: {answer.status} with {kind!r} is no problem"
    if answer.json.get("status") != answer.status:
        return f"{operation}: a problem of {answer.json.get('status')} with {answer.status}"
    wrong = schema_misfit(answer.json, "Problem")
    return f"{operation}: {answer.status}: {wrong}" if wrong else ""


class Staff:
    """One person at one screen: a cookie, a CSRF token, and what was found against the document in `problems`."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Nobody is logged in; `tls`: whom one believes, where the page is not on loopback."""
        self.port = port
        self.tls = tls
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
        """Send a request with cookie and CSRF token, unless `headers` has others; what misfits goes to `problems`."""
        head = {"Cookie": self.cookie} if self.cookies else {}
        if method not in ("GET", "HEAD"):
            head["X-CSRF-Token"] = self.csrf
        if body is not None:
            head["Content-Type"] = "application/json"
            raw = json.dumps(body).encode()
        with closing(self.connection()) as connection:
            connection.request(method, path, raw or None, head | (headers or {}))
            came = connection.getresponse()
            data = came.read()
        for value in came.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(value).items()}
        lower = {name.lower(): value for name, value in came.headers.items()}
        text = (gzip.decompress(data) if lower.get("content-encoding") == "gzip" else data).decode()
        said = json.loads(text) if text and "json" in lower.get("content-type", "") else text or None
        answer = Answer(came.status, lower, said, text)
        operation = operation_of(method, path)
        if wrong := unfit(operation, answer):
            self.problems.append(wrong)
        if operation in ("getSession", "logIn", "setUp") and answer.status < 300:
            self.csrf = str(answer.json["csrf"])
        return answer

    def connection(self) -> HTTPConnection:
        """Return a new one."""
        if self.tls:
            return HTTPSConnection("127.0.0.1", self.port, timeout=15, context=self.tls)
        return HTTPConnection("127.0.0.1", self.port, timeout=15)

    def ask(self, operation: str, body: object = None, query: dict[str, str] | None = None, **names: object) -> Answer:
        """Do an operation of the document; `names` are those in its path."""
        method, template = OPERATIONS[operation]
        path = re.sub(r"{(\w+)}", lambda name: quote(str(names[name[1]]), safe=""), template)
        return self.send(method.upper(), f"{path}?{urlencode(query)}" if query else path, body)

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

    def try_in(self, name: str, secret: str) -> Answer:
        """Try to log in."""
        self.does("getSession")
        return self.ask("logIn", {"name": name, "secret": secret})

    def log_in(self, name: str, secret: str) -> None:
        """Log in."""
        answer = self.try_in(name, secret)
        assert answer.status == 200, answer.text
        assert self.problems == []
