"""The command `cartwire`: how it is called. What it does is in `edge.commands`, the daemon in `edge.process`.

Errors are one line on standard error: exit 2 for what is wrong with a configuration or a call, 3 if no daemon answers,
1 for a fault while running, 130 for what Ctrl-C has cut short.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from edge import commands as do
from edge import control, settings
from edge.database import DatabaseError
from edge.process import run
from edge.settings import SettingsError

_DATA = Path("/var/lib/cartwire")
_ENDLESS = (run, do.record, do.events, do.demo, do.sandbox)
"""What Ctrl-C is the end of."""
_INTERRUPTED = 130
"""As shells have it: 128 and the signal's number."""


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command is not do.sandbox:
        parser.error(f"unknown: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return int(arguments.command(arguments) or 0)
    except (SettingsError, DatabaseError, do.Refused, sqlite3.DatabaseError) as error:
        print(f"cartwire: {error}", file=sys.stderr)
        return 2
    except control.NoDaemon as error:
        print(f"cartwire: {error}", file=sys.stderr)
        return 3
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        sys.stderr.close()
        return 0 if arguments.command in _ENDLESS else _INTERRUPTED


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
    _init(
        command("init", do.init, "asks for what a new gateway needs, or takes it from flags, writes it and checks it")
    )
    command("check", do.check, "says of each driver, broker, platform, disk and clock whether it is usable")
    sub = command("devices", do.devices, "what is attached, and the configuration lines to copy")
    sub.add_argument("--beep", nargs="?", const="", metavar="NAME", help="each beeps, or those with NAME in their name")
    sub = command("status", do.status, "asks the running daemon: drivers, queues, held scans, space, clock")
    sub.add_argument("--json", action="store_true", help="one JSON object")
    sub = command("events", do.events, "prints the journal's events, with and without a running daemon")
    sub.add_argument("--follow", action="store_true", help="goes on with what comes")
    sub.add_argument("--since", metavar="[JOURNAL:]SEQ", default="0", help="only events after this one")
    sub.add_argument("--json", action="store_true", help="one envelope a line")
    sub = command("record", do.record, "writes what is read from now on into a file that the replay driver plays")
    sub.add_argument("file", type=Path, metavar="FILE", help="a new one; Ctrl-C ends it")
    sub = command("rejected", do.rejected, "what a sink refused, and why: list it, have it tried again, drop it")
    sub.add_argument("what", choices=("list", "retry", "drop"))
    sub.add_argument("ids", nargs="*", metavar="ID", help="of events; without any: all")
    sub.add_argument("--json", action="store_true", help="one object a line")
    sub = command("backup", do.backup, "makes a verified copy of journal and cache, with and without a daemon")
    sub.add_argument("folder", type=Path, metavar="DIR", help="where: outside of the data folder, best on another disk")
    sub = command("support-bundle", do.support_bundle, "one file for those who help from afar: no secrets, no persons")
    sub.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a new one; left out: named after store and time"
    )
    sub = command(
        "reset-staff", do.reset_staff, "the managers' PINs are lost: voids all of the staff's page, new setup code"
    )
    sub.add_argument("--yes", action="store_true", help="does not ask")
    sub = command("decommission", do.decommission, "wipes keys and data, for a machine that is to go; asks once")
    sub.add_argument("--yes", action="store_true", help="does not ask")
    sub.add_argument(
        "--backup", type=Path, metavar="DIR", help=f"copies that are wiped too (the package's: {settings.BACKUP})"
    )
    sub = command("rotate-key", do.rotate_key, "replaces the pseudonym key; the one before is tried second until --end")
    sub.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the chain's new key, as the platform has it")
    sub.add_argument("--end", action="store_true", help="the feed names nobody by the old key any more: it is wiped")
    sub = command(
        "signing-key", do.signing_key, "makes the keys that remote configurations are signed and believed with"
    )
    sub.add_argument("key", type=Path, metavar="KEY", help="a new file; the public key goes into KEY.pub")
    _sign(command("sign-configuration", do.sign_configuration, "prints a remote configuration, signed for one gateway"))
    sub = command("demo", do.demo, "a whole store on this machine, in a browser: no hardware, no root; Ctrl-C ends it")
    sub.add_argument("--language", choices=("ko", "en"), help="of terminal and page (as environment and browser say)")
    sub.add_argument("--listen", metavar="HOST:PORT", help="for other devices too, each by a link that works once")
    sub.add_argument("--no-browser", action="store_true", help="only print where the page is")
    _verify(commands)
    sub = commands.add_parser("sandbox-platform", help="a small platform that keeps the contract", add_help=False)
    sub.set_defaults(command=do.sandbox)
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
        epilog="""what the lines begin with:
  ok   is as the contract says
  BAD  is not: what it wants; what was answered
  !    a gateway can live with it, but look
  -    was not looked at: another check comes first, or the platform has nothing to look at
  ?    cannot be seen from outside, or needs an option

exit code: 0 all is ok, ! or ?, 1 something is BAD or -, 2 a call that makes no sense""",
    )
    sub.set_defaults(command=do.verify)
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


if __name__ == "__main__":
    sys.exit(main())
