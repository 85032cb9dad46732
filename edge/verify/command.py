"""`cartwire verify-platform URL`: makes all checks and prints a line for each."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import re
import ssl
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from edge.verify import configuration, durable, events, feed, forms, labels, limits, reach, resolve
from edge.verify.check import Finding, findings
from edge.verify.platform import Platform
from edge.verify.visit import Visit

CHECKS = [
    *reach.check,
    *events.check,
    *limits.check,
    *feed.check,
    *forms.check,
    *resolve.check,
    *configuration.check,
    *durable.check,
    *labels.check,
]
MARKS = {"ok": "ok ", "bad": "BAD", "odd": "!  ", "unseen": "?  ", "open": "-  "}


class WrongCall(Exception):
    """A call that makes no sense; the text says why, and what to do."""


def main(arguments: argparse.Namespace) -> int:
    """Exit code 0: all that can be seen is right; 1: something is wrong, or not looked at yet. Raises WrongCall."""
    url = _address(arguments.url)
    if not re.fullmatch("[a-z0-9-]{1,32}", arguments.store):
        raise WrongCall(f"--store {arguments.store}: is no store id; give one of [a-z0-9-]{{1,32}}")
    platform = Platform(url, _token(arguments.token_file), _tls(arguments))
    name = f"verify-{os.urandom(4).hex()}"
    secured = arguments.token_file is not None
    visit = Visit(platform, arguments.store, name, secured, arguments.restart_command)
    try:
        found = asyncio.run(_made(visit, url, quiet=arguments.json))
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the exit code is Python's own
        return 1
    counts: Counter[str] = Counter(finding.result for finding in found)
    if arguments.json:
        print(json.dumps({"url": url, "store": visit.store, "gateway": f"{name}-a", "checks": [*map(asdict, found)]}))
    else:
        print(_summary(counts))
    return 1 if counts["bad"] or counts["open"] else 0


async def _made(visit: Visit, url: str, *, quiet: bool) -> list[Finding]:
    if not quiet:
        print(f"{url}, asked by gateways {visit.name}-… of store {visit.store}; their events stay there\n", flush=True)
    width = max(len(each.name) for each in CHECKS)
    found = []
    async with visit.platform.opened():
        async for finding in findings(CHECKS, visit):
            found.append(finding)
            if not quiet:
                print(f"{MARKS[finding.result]}  {finding.check:<{width}}  {finding.text}", flush=True)
    return found


def _summary(counts: Counter[str]) -> str:
    total = f"\n{counts['ok']} of {counts.total()} checks are ok"
    parts = [
        f"{counts[result]} {words}"
        for result, words in (
            ("bad", "BAD"),
            ("odd", "odd (!)"),
            ("open", "not looked at (-)"),
            ("unseen", "not to be seen (?)"),
        )
        if counts[result]
    ]
    verdict = "all that can be seen from outside is as the contract says"
    if counts["bad"]:
        verdict = "this platform does not keep the contract yet"
    elif counts["open"]:
        verdict = "nothing is wrong so far, but not all has been looked at"
    return f"{', '.join([total, *parts])}: {verdict}."


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise WrongCall(f"{url}: is no address; give https://HOST") from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise WrongCall(f"{url}: is no address; give https://HOST, without /v1")
    if parts.username is not None:
        raise WrongCall("the address must not hold a user or password; give --token-file")
    if parts.scheme == "http" and not _is_loopback(host):
        raise WrongCall(f"{url}: http:// is for this machine only; use https://")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        token = file.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise WrongCall(f"--token-file {file}: {error.strerror}; name a file that can be read") from None
    except UnicodeDecodeError:
        token = ""
    if not re.fullmatch("[!-~]+", token):
        raise WrongCall(f"--token-file {file}: is no token; a token is one line of ASCII without spaces")
    return token


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext:
    if (arguments.cert_file is None) != (arguments.key_file is None):
        raise WrongCall("--cert-file and --key-file go together")
    try:
        tls = ssl.create_default_context(cafile=arguments.ca_file)
        if arguments.cert_file:
            tls.load_cert_chain(arguments.cert_file, arguments.key_file)
    except (OSError, ssl.SSLError) as error:
        raise WrongCall(f"--ca-file, --cert-file, --key-file: cannot be used ({error})") from None
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return tls
