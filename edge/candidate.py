"""`python -m edge.candidate CONFIG NEWEST < JWS`: whether a document may be put on trial, as one JSON object.

A process of its own: it loads what checks signatures, and makes what the document asks for, so that one which kills
or hangs it kills or hangs nothing else. What it judges by is what `cartwire check` judges by, but for what no document
decides: that a broker, a platform or a device is away now, or the clock not set, says nothing about it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from edge import check, plan, settings, signed, standing
from edge.adopted import Adopted, Refusal, Verdict, fingerprint
from edge.document import LONGEST, Refused
from edge.plan import CannotStart
from edge.settings import Store
from edge.space import used


def judge(path: Path, newest: int, jws: bytes) -> Verdict:
    """Raises CannotStart, SettingsError: the machine's own configuration is wrong, so nothing can be said."""
    config = settings.load(path)
    plan.make(path)
    assert config.remote
    try:
        document, key = signed.verified(jws, config.remote.keys)
        standing.fits(document, config)
        if document.version < newest:
            raise Refused(f"version {document.version} is not above {newest}")
    except Refused as refused:
        return Verdict(refused=Refusal(str(refused)))
    if document.version == newest:
        return Verdict()
    try:
        made = plan.make(path, document)
        disk = check.disk(made)
        if not disk.usable:
            raise Refused(disk.text)
        _room(standing.looked_at(path)[0].config.store, made.config.store)
    except (CannotStart, Refused) as error:
        return Verdict(refused=Refusal(str(error).removeprefix(f"{path}: "), document.version))
    return Verdict(usable=Adopted(document, fingerprint(key)))


def _room(now: Store, then: Store) -> None:
    """Whether it would have taps and scans refused at once, for want of room that there is now. Raises Refused."""
    share, in_use = then.capacity - then.reserve, used(then.data)
    if in_use >= share < now.capacity - now.reserve:
        what = f"[store] capacity: without the reserve {share // 10**6} MB, and {in_use // 10**6} MB are in use"
        raise Refused(f"{what}; allow more, or have less kept (retention) first")


def main() -> int:
    path, newest = sys.argv[1:]
    try:
        verdict = judge(Path(path), int(newest), sys.stdin.buffer.read(LONGEST + 1))
    except (CannotStart, settings.SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    sys.stdout.buffer.write(msgspec.json.encode(verdict))
    return 0


if __name__ == "__main__":
    sys.exit(main())
