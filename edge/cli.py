"""The command `cartwire`. Errors are one line on standard error: exit 2 for what is wrong with a configuration
or a call, 3 if no daemon answers, 1 for a fault while running."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib.util
import json
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from edge import aside, control, following, journal, journald, notify, readable, settings
from edge.database import FILE, Broken, DatabaseError, reader
from edge.ports import DeviceLost
from edge.settings import SettingsError

_DATA = Path("/var/lib/cartwire")
_ENDS = (signal.SIGTERM, signal.SIGINT)
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


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command is not sandbox:
        parser.error(f"unknown: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return int(arguments.command(arguments) or 0)
    except (SettingsError, DatabaseError, Refused, sqlite3.DatabaseError) as error:
        print(f"cartwire: {error}", file=sys.stderr)
        return 2
    except control.NoDaemon as error:
        print(f"cartwire: {error}", file=sys.stderr)
        return 3
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()
        return 0


def run(arguments: argparse.Namespace) -> int:
    """The daemon."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until it runs there is nothing to stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    logging.basicConfig(level=logging.INFO, handlers=[journald.handler()])
    from edge import daemon, plan, standing

    os.umask(0o077)
    try:
        with standing.started(arguments.config) as (made, state):
            again = asyncio.run(_until_ended(partial(daemon.run, made, state)))
    except plan.CannotStart as error:
        print(f"cartwire: {error}", file=sys.stderr)
        return 2
    except Broken as error:
        print(f"cartwire: the disk failed ({error}); start again, which checks the journal", file=sys.stderr)
        os._exit(1)  # an ordinary end would close the database, and so touch it once more
    return _start_again() if again else 0


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

    try:
        made = backup.backup(settings.read(arguments.config).store.data, arguments.folder)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cartwire", description="The in-store edge gateway for connected retail.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        sub.add_argument(
            "--config", type=Path, default=settings.DEFAULT, metavar="FILE", help="the configuration (%(default)s)"
        )
        return sub

    command("run", run, "the daemon; SIGTERM or Ctrl-C stops it")
    _init(command("init", init, "asks for what a new gateway needs, or takes it from flags, writes it and checks it"))
    command("check", check, "says of each driver, broker, platform, disk and clock whether it is usable")
    sub = command("devices", devices, "what is attached, and the configuration lines to copy")
    sub.add_argument("--beep", nargs="?", const="", metavar="NAME", help="each beeps, or those with NAME in their name")
    sub = command("status", status, "asks the running daemon: drivers, queues, held scans, space, clock")
    sub.add_argument("--json", action="store_true", help="one JSON object")
    sub = command("events", events, "prints the journal's events, with and without a running daemon")
    sub.add_argument("--follow", action="store_true", help="goes on with what comes")
    sub.add_argument("--since", metavar="[JOURNAL:]SEQ", default="0", help="only events after this one")
    sub.add_argument("--json", action="store_true", help="one envelope a line")
    sub = command("record", record, "writes what is read from now on into a file that the replay driver plays")
    sub.add_argument("file", type=Path, metavar="FILE", help="a new one; Ctrl-C ends it")
    sub = command("rejected", rejected, "what a sink refused, and why: list it, have it tried again, drop it")
    sub.add_argument("what", choices=("list", "retry", "drop"))
    sub.add_argument("ids", nargs="*", metavar="ID", help="of events; without any: all")
    sub.add_argument("--json", action="store_true", help="one object a line")
    sub = command("backup", backup, "makes a verified copy of journal and cache, with and without a daemon")
    sub.add_argument("folder", type=Path, metavar="DIR", help="where: outside of the data folder, best on another disk")
    sub = command("support-bundle", support_bundle, "one file for those who help from afar: no secrets, no persons")
    sub.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a new one; left out: named after store and time"
    )
    sub = command(
        "reset-staff", reset_staff, "the managers' PINs are lost: voids all of the staff's page, new setup code"
    )
    sub.add_argument("--yes", action="store_true", help="does not ask")
    sub = command("decommission", decommission, "wipes keys and data, for a machine that is to go; asks once")
    sub.add_argument("--yes", action="store_true", help="does not ask")
    sub.add_argument(
        "--backup", type=Path, default=settings.BACKUP, metavar="DIR", help="what is wiped too (%(default)s)"
    )
    sub = command("rotate-key", rotate_key, "replaces the pseudonym key; the one before is tried second until --end")
    sub.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the chain's new key, as the platform has it")
    sub.add_argument("--end", action="store_true", help="the feed names nobody by the old key any more: it is wiped")
    sub = command("signing-key", signing_key, "makes the keys that remote configurations are signed and believed with")
    sub.add_argument("key", type=Path, metavar="KEY", help="a new file; the public key goes into KEY.pub")
    _sign(command("sign-configuration", sign_configuration, "prints a remote configuration, signed for one gateway"))
    sub = command("demo", demo, "a whole store on this machine, in a browser: no hardware, no root; Ctrl-C ends it")
    sub.add_argument("--language", choices=("ko", "en"), help="of terminal and page (as environment and browser say)")
    sub.add_argument("--listen", metavar="HOST:PORT", help="for other devices too, each by a link that works once")
    sub.add_argument("--no-browser", action="store_true", help="only print where the page is")
    _verify(commands)
    sub = commands.add_parser("sandbox-platform", help="a small platform that keeps the contract", add_help=False)
    sub.set_defaults(command=sandbox)
    sub.add_argument("--config", help=argparse.SUPPRESS)  # as with every command; there is nothing in it for this one
    return parser


def _sign(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", type=Path, metavar="FILE", help="the tables that lie over the gateway's own, as TOML")
    sub.add_argument("--key", type=Path, metavar="KEY", required=True, help="the private key")
    sub.add_argument("--store", metavar="ID", required=True, help="the store that it is for")
    sub.add_argument("--gateway", metavar="ID", required=True, help="its gateway")
    sub.add_argument("--version", type=_version, metavar="N", required=True, help="above those it had before")


def _version(text: str) -> int:
    from edge.document import NEWEST

    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:20]) <= NEWEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {NEWEST}")
    return int(text)


def _init(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--store", metavar="ID", help="this store's name: a-z, 0-9 and -")
    sub.add_argument("--gateway", metavar="ID", help="this gateway's, unique within the store (gw-1)")
    sub.add_argument("--language", metavar="L", help="of the store, such as ko (as the environment says)")
    sub.add_argument("--timezone", metavar="TZ", help="such as Asia/Seoul (the machine's)")
    sub.add_argument("--data", type=Path, metavar="DIR", default=_DATA, help="journal and cache (%(default)s)")
    sub.add_argument(
        "--key-file", type=Path, metavar="F", help="the chain's pseudonym key; left out: a new one is made"
    )
    sub.add_argument("--platform", metavar="URL", help="the platform; left out, if nobody can be asked: none")
    sub.add_argument("--token-file", type=Path, metavar="F", help="its token")
    sub.add_argument("--broker", metavar="URL", help='the MQTT broker, or "embedded"; as with the platform')
    sub.add_argument("--username", metavar="NAME", help="for the broker")
    sub.add_argument("--password-file", type=Path, metavar="F", help="for the broker")


def _verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "asks a platform as gateways do and says what is wrong with its answers, a line a check"
    sub = commands.add_parser(
        "verify-platform",
        help=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"""{text}.

It sends events, some of them odd on purpose, and they stay on that platform. All name the store of --store and
gateways, customers and carts called verify-XXXXXXXX-…, new with each call; their product is GS1's own example.""",
        epilog="""ok   is as the contract says
BAD  is not: what it wants; what was answered
!    a gateway can live with it, but look
-    was not looked at: another check comes first, or the platform has nothing to look at
?    cannot be seen from outside, or needs an option

exit code: 0 all is ok, ! or ?, 1 something is BAD or -, 2 a call that makes no sense""",
    )
    sub.set_defaults(command=verify)
    sub.add_argument("--config", help=argparse.SUPPRESS)
    sub.add_argument("url", metavar="URL", help="as in [platform] url: https://HOST; http:// to this machine only")
    sub.add_argument("--token-file", type=Path, metavar="F", help="the bearer token of a gateway")
    sub.add_argument("--ca-file", type=Path, metavar="F", help="certificates to trust instead of the system's")
    sub.add_argument("--cert-file", type=Path, metavar="F", help="with --key-file: a certificate for mutual TLS")
    sub.add_argument("--key-file", type=Path, metavar="F", help="its key")
    sub.add_argument("--store", default="verify", metavar="ID", help="a store that the platform knows (%(default)s)")
    sub.add_argument(
        "--restart-command", metavar="CMD", help="restarts the platform, best the hard way: is what it accepted kept?"
    )
    sub.add_argument("--json", action="store_true", help="one JSON object at the end instead of lines")


async def _until_ended(daemon: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> bool:
    """The first signal ends it, more change nothing; it may ask to be ended. Whether it is to be started again."""
    loop, stopped, asked = asyncio.get_running_loop(), False, False

    def end() -> None:
        if not task.cancelling():  # a second time it would cut off what it does at its end
            task.cancel()

    def restart() -> None:
        nonlocal asked
        asked = True
        notify.tell("STATUS=starts anew")
        end()

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        for name in _ENDS:
            signal.signal(name, signal.SIG_IGN)
        notify.tell("STOPPING=1", "STATUS=stops")
        loop.call_soon_threadsafe(end)

    task = asyncio.ensure_future(daemon(restart))
    for name in _ENDS:
        signal.signal(name, stop)
    try:
        await task
    except asyncio.CancelledError:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # one that comes from now on is the next start's
        logging.getLogger(__name__).info("stopped")
    return asked and not stopped


def _start_again() -> int:
    """The same process begins anew: systemd sees no end, waits no RestartSec, and at a terminal it works as well."""
    sys.stdout.flush()
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # our own call again
    except OSError as error:  # an upgrade has taken it away; whoever has started us does it again
        print(f"cartwire: {sys.executable} cannot be started again: {error.strerror}", file=sys.stderr)
    return 1


def _since(connection: sqlite3.Connection, text: str) -> int:
    name, _, seq = text.rpartition(":")
    if not seq.isdecimal() or len(seq) > 18 or text.startswith(":"):
        raise Refused(f"--since {text}: is not [JOURNAL:]SEQ; copy journal and seq of an event")
    if name and not journal.knows(connection, name):
        raise Refused(f"--since {text}: this database has no journal {name}")
    return int(seq)


if __name__ == "__main__":
    sys.exit(main())
