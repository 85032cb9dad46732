"""`cartwire support-bundle`: one file that a technician sends, with what others need to find a fault from afar.

It is made from whatever still works: a part that cannot be had says so in its place. What might be a secret or a
person after all, in the words of a library or of the other side, is cut out of every part.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge import facts

_CUT = (
    (re.compile(r"(?<=://)[^/\s@\"']+@"), "(cut)@"),  # a user and password in an address
    (re.compile(r"(://[^\s\"'?]+)\?[^\s\"']*"), r"\1?(cut)"),  # what is asked of one may hold a token
    (re.compile(r"(?i)(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])"), "(64 hex digits)"),  # a pseudonym, or a key
    (re.compile(r"(setup code\D+)\d{4}\D\d{4}"), r"\1(cut)"),
)
_SHORTEST = 4
"""Characters of what is cut wherever it stands: less is no secret, and stands in half of the words."""
_INTRODUCTION = """\
A support bundle of cartwire, made {at}.

What is in it is text and may be looked through before it is sent. It holds no keys, tokens, passwords, no names,
customers, bands or carts, and nothing that anybody bought: rows are counted, and secrets are named by their paths.

"""


class CannotBundle(Exception):
    """Why, on one line."""


def bundle(config: Path, to: Path | None) -> Iterator[str]:
    """Writes it to a new file, in this folder if `to` names none; a line as each part is there. Raises CannotBundle."""
    where, at = facts.where(config), time.gmtime()
    name = f"{where.config.store.id}-{where.config.store.gateway}" if where.config else "unknown"
    path = to or Path(time.strftime(f"cartwire-{name}-%Y%m%dT%H%M%SZ.tar.gz", at))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CannotBundle(f"{path} is there already; name a new file") from None
    except OSError as error:
        raise CannotBundle(f"{path}: {error.strerror}; name a file in a folder that can be written") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield from _filled(file, where, at)
            size = file.tell()
    except BaseException as error:  # half of it would pass for all of it
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CannotBundle(f"{path}: {error.strerror}; name a file where there is room") from None
        raise
    yield f"{path}: {size // 1000 + 1} kB, readable by its owner alone; look through it before it is sent"


def _filled(file: io.BufferedWriter, where: facts.Where, at: time.struct_time) -> Iterator[str]:
    hidden = facts.withheld(where)
    contents = _INTRODUCTION.format(at=time.strftime("%Y-%m-%d %H:%M:%S UTC", at))
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, (what, make) in facts.PARTS.items():
            try:
                text, failed = cut(make(where), hidden), ""
            except Exception as error:  # whatever is broken here is why somebody asks for help
                failed = cut(_why(error), hidden)
                text = f"not there: {failed}\n"
            line = f"{name:<20}  {what}" + (f": NOT THERE: {failed}" if failed else "")
            contents += f"{line}\n"
            _add(archive, name, text, at)
            yield line
        _add(archive, "README.txt", contents, at)


def cut(text: str, hidden: Sequence[str] = ()) -> str:
    """The text without what is `hidden` and whatever might be a secret or a person."""
    if long := sorted((each for each in hidden if len(each) >= _SHORTEST), key=len, reverse=True):
        text = re.sub("|".join(map(re.escape, long)), "(not shown)", text)  # at once: what is put in is not looked at
    for pattern, instead in _CUT:
        text = pattern.sub(instead, text)
    return text


def _why(error: Exception) -> str:
    match error:
        case subprocess.TimeoutExpired():
            return f"no answer within {error.timeout:.0f} s"
        case FileNotFoundError() if error.filename:
            return f"there is no {error.filename}"
        case _:
            return " ".join(str(error).split()) or type(error).__name__


def _add(archive: tarfile.TarFile, name: str, text: str, at: time.struct_time) -> None:
    content = text.encode(errors="replace")
    entry = tarfile.TarInfo(f"cartwire-support/{name}")
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.mktime(at) - time.timezone)
    archive.addfile(entry, io.BytesIO(content))
