"""What each command does; `edge.cli` says how they are called. Each loads what it needs when it is called."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib.util
import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from types import ModuleType

import msgspec

from edge import aside, control, following, journal, readable, settings
from edge.database import FILE, reader
from edge.ports import DeviceLost

_BEEP = 1.0
"""Seconds between two devices that beep."""
_RESET = {
    "en": {
        "ask": "All PINs and passwords of the staff's page will be void. Type {gateway} to go on",
        "not": "Nothing was changed.",
        "done": "{count} may not log in any more. Open {url}: the setup code is {code}",
    },
    "ko": {
        "ask": "직원 화면의 모든 PIN과 비밀번호가 무효가 됩니다. 계속하려면 {gateway}를 입력하세요",
        "not": "아무것도 바꾸지 않았습니다.",
        "done": "{count}명이 더는 로그인할 수 없습니다. {url}을 여세요. 설정 코드는 {code}입니다",
    },
}


class Refused(Exception):
    """A call that makes no sense; the text says why."""


def events(arguments: argparse.Namespace) -> int:
    """Prints the journal's events."""
    path = settings.load(arguments.config).store.data / FILE
    with closing(reader(path)) as connection:
        since = _since(connection, arguments.since)
        found = following.follow(path, since) if arguments.follow else following.events(connection, since)
        for event in found:
            sys.stdout.write((event.body.decode() if arguments.json else readable.event(event.body)) + "\n")
            sys.stdout.flush()
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Asks the running daemon how it is."""
    answer = control.ask(settings.load(arguments.config).store.data, "status")
    print(msgspec.json.encode(answer).decode() if arguments.json else readable.status(answer))
    return 0


def record(arguments: argparse.Namespace) -> int:
    """Writes down what is read until Ctrl-C. A line that the disk does not take is not left there by half."""
    data, path = settings.load(arguments.config).store.data, arguments.file
    lines = control.follow(data, "record")
    _refuse(next(lines))
    count = 0
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as file:
            print(f"readings go into {path} until Ctrl-C", file=sys.stderr)
            for line in lines:
                _refuse(line)
                end = file.tell()
                text = msgspec.json.encode(line) + b"\n"
                if file.write(text) != len(text):
                    file.truncate(end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                count += 1
    except (KeyboardInterrupt, control.NoDaemon) as end:
        print(f"{count} readings in {path}")
        if isinstance(end, control.NoDaemon):
            raise
    except OSError as error:
        what = "is there already" if error.errno == errno.EEXIST else os.strerror(error.errno or 0)
        raise Refused(f"record: {path}: {what}; name a new file where there is room ({count} readings kept)") from None
    return 0


def _refuse(answer: dict[str, str]) -> None:
    if "error" in answer:
        raise Refused(answer["error"])


def rejected(arguments: argparse.Namespace) -> int:
    """What a sink refused."""
    data = settings.load(arguments.config).store.data
    with closing(reader(data / FILE)) as connection:
        rows = aside.listed(connection, arguments.ids)
        if missing := set(arguments.ids) - {row.id for row in rows}:
            raise Refused(f"rejected: nothing with the id {min(missing)} is there; see `cartwire rejected list`")
    if arguments.what != "list":
        _refuse(control.ask(data, "rejected", arguments.what, *arguments.ids))
    for row in rows:
        print(msgspec.json.encode(row).decode() if arguments.json else readable.refused(row))
    if not arguments.json:
        print(
            {"list": "{} refused", "retry": "{} will be tried again", "drop": "{} dropped"}[arguments.what].format(
                len(rows)
            )
        )
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Says of each part whether it is usable."""
    from edge import check, plan, standing

    async def findings() -> bool:
        usable = True
        async for finding in check.check(*standing.looked_at(arguments.config)):
            print(f"{'ok ' if finding.usable else 'BAD'}  {finding.part:<22}  {finding.text}", flush=True)
            usable &= finding.usable
        return usable

    try:
        return 0 if asyncio.run(findings()) else 1
    except plan.CannotStart as error:
        raise Refused(error) from None


def init(arguments: argparse.Namespace) -> int:
    """Writes a configuration, and checks it."""
    from edge import init

    try:
        init.init(arguments)
    except init.CannotInit as error:
        raise Refused(f"init: {error}") from None
    return check(arguments)


def backup(arguments: argparse.Namespace) -> int:
    """Makes the copy of the database anew."""
    from edge import backup

    store = settings.read(arguments.config).store
    try:
        made = backup.backup(store.data, arguments.folder, store.reserve)
    except OSError as error:
        raise Refused(
            f"backup: {error.filename or arguments.folder}: {error.strerror}; the copy before stays"
        ) from None
    print(f"{made}: a sound copy, {made.stat().st_size // 1000} kB")
    return 0


def decommission(arguments: argparse.Namespace) -> int:
    """Wipes keys and data."""
    from edge import decommission, plan, terminal

    try:
        return 0 if decommission.decommission(arguments.config, arguments.backup, sure=arguments.yes) else 1
    except plan.CannotStart as error:
        raise Refused(error) from None
    except terminal.NobodyThere:
        raise Refused("decommission: there is no terminal to ask at; say --yes") from None
    except OSError as error:
        raise Refused(f"decommission: {error.filename}: {error.strerror}; not all is wiped, call it again") from None


def support_bundle(arguments: argparse.Namespace) -> int:
    """Collects what others need to find a fault from afar."""
    from edge import bundle

    try:
        for line in bundle.bundle(arguments.config, arguments.file):
            print(line, flush=True)
    except bundle.CannotBundle as error:
        raise Refused(f"support-bundle: {error}") from None
    return 0


def reset_staff(arguments: argparse.Namespace) -> int:
    """Lets the first manager make a new PIN."""
    from edge import terminal

    store = settings.load(arguments.config).store
    texts = _RESET[terminal.language()]
    try:
        if not arguments.yes and terminal.ask(texts["ask"].format(gateway=store.gateway)) != store.gateway:
            print(texts["not"])
            return 1
    except terminal.NobodyThere:
        raise Refused("reset-staff: there is no terminal to ask at; say --yes") from None
    answer = control.ask(store.data, "reset-staff")
    _refuse(answer)
    print(texts["done"].format(**answer))
    return 0


def devices(arguments: argparse.Namespace) -> int:
    """Lists what is attached and the configuration lines for it, each with a beep if it is asked for."""
    import importlib
    import pkgutil

    import drivers

    heard = arguments.beep is None
    for kind in sorted(found.name for found in pkgutil.iter_modules(drivers.__path__)):
        try:
            driver = importlib.import_module(f"drivers.{kind}")
            attached = _attached(driver)
        except ImportError as error:
            print(f'# {kind}: not installed ({error}); pip install "cartwire[{kind}]"\n')
        except DeviceLost as error:
            print(f"# {kind}: {error}\n")
        else:
            for what, keys in attached:
                lines = [f"# {what}", "[[driver]]", f'kind = "{kind}"', 'read_point = "till-1"']
                print("\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]) + "\n")
                if arguments.beep is not None and arguments.beep in what:
                    heard = True
                    _beep(driver, what, keys)
            if not attached:
                print(f"# {kind}: nothing attached\n")
    if not heard:
        raise Refused(f"devices --beep: nothing attached has {arguments.beep!r} in its name")
    return 0


def _attached(driver: ModuleType) -> list[tuple[str, dict[str, str]]]:
    """What a kind of driver finds; one that finds nothing by itself (a recording) has no `attached`."""
    found: list[tuple[str, dict[str, str]]] = driver.attached() if hasattr(driver, "attached") else []
    return found


def _beep(driver: ModuleType, what: str, keys: dict[str, str]) -> None:
    """One after the other, so that it can be heard which it was."""
    try:
        if not hasattr(driver, "beep"):
            raise DeviceLost("has no buzzer that is known")
        driver.beep(keys)
    except DeviceLost as error:
        print(f"# {what} does not beep: {error}\n", flush=True)
    else:
        print(f"# {what} beeps\n", flush=True)
        time.sleep(_BEEP)  # nothing else runs in this command


def rotate_key(arguments: argparse.Namespace) -> int:
    """Replaces the pseudonym key, and forgets the one before."""
    from edge import rotation

    try:
        if arguments.end:
            rotation.end(settings.load(arguments.config).store)
            print("the old key is gone; restart the daemon")
        elif arguments.file:
            rotation.begin(settings.load(arguments.config).store, arguments.file)
            print("restart the daemon; when the feed names nobody by the old key any more: cartwire rotate-key --end")
        else:
            raise Refused("rotate-key: name the file of the new key, or --end")
    except rotation.CannotRotate as error:
        raise Refused(f"rotate-key: {error}") from None
    return 0


def sign_configuration(arguments: argparse.Namespace) -> int:
    """Prints a remote configuration as gateways take it."""
    _needs_cryptography("sign-configuration")
    from edge import document, signing

    names = arguments.store, arguments.gateway, arguments.version
    try:
        print(signing.sign(arguments.file, arguments.key, *names))
    except document.Refused as error:
        raise Refused(f"sign-configuration: {error}") from None
    return 0


def signing_key(arguments: argparse.Namespace) -> int:
    """Makes a pair of keys."""
    _needs_cryptography("signing-key")
    from edge import document, signed

    try:
        public = signed.make_key(arguments.key)
    except document.Refused as error:
        raise Refused(f"signing-key: {error}") from None
    print(f"{arguments.key} signs: keep it off every gateway and off the platform\n{public} is for [remote] key_file")
    return 0


def _needs_cryptography(what: str) -> None:
    if importlib.util.find_spec("cryptography") is None:
        raise Refused(f'{what}: a library is missing; install it with: pip install "cartwire[remote]"')


def sandbox(arguments: argparse.Namespace) -> int:
    from edge.demo import sandbox

    return sandbox.main(arguments.rest)


def demo(arguments: argparse.Namespace) -> int:
    """A whole store on this machine."""
    from edge.demo import command

    try:
        return command.main(arguments)
    except command.CannotOpen as error:
        raise Refused(error) from None


def verify(arguments: argparse.Namespace) -> int:
    """Looks at somebody's platform."""
    from edge.verify import command

    try:
        return command.main(arguments)
    except command.WrongCall as error:
        raise Refused(error) from None


def _since(connection: sqlite3.Connection, text: str) -> int:
    name, _, seq = text.rpartition(":")
    if not seq.isdecimal() or len(seq) > 18 or text.startswith(":"):
        raise Refused(f"--since {text}: is not [JOURNAL:]SEQ; copy journal and seq of an event")
    if name and not journal.knows(connection, name):
        raise Refused(f"--since {text}: this database has no journal {name}")
    return int(seq)
