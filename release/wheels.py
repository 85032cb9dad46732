"""What a release is made of: a folder of wheels, each checked against the locks in `requirements/`.

    wheels.py collect DIR           downloads and builds all that the locks name, for this Python and machine
    wheels.py list DIR LOCK         checks the folder, and prints what of the lock is in it, as pip takes it

`DIR/SHA256SUMS` lists all wheels, `DIR/built.sha256` those that were built here, because their project publishes only
its source: that was checked against the lock, and the wheel can be recognised by this list alone. Whoever carries the
folder to another machine compares the SHA-256 of `built.sha256`, which is printed. Errors are one line; exit 2.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).parent.parent / "requirements"
TOGETHER = ("all", "build")
"""Those that the folder holds: what is shipped, and what builds it."""


class NotOurs(Exception):
    """Why the folder cannot be used, on one line."""


def locked(name: str) -> dict[str, set[str]]:
    """The hashes that a lock admits, by `name==version`."""
    found: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\S)", (LOCKS / f"{name}.txt").read_text("ascii")):
        if not entry.startswith("#"):
            found[entry.split()[0]] = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


def collect(folder: Path) -> None:
    """Fills the folder anew. Raises NotOurs, CalledProcessError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--require-hashes", "--no-deps", "--no-build-isolation"]
    locks = [word for name in TOGETHER for word in ("--requirement", LOCKS / f"{name}.txt")]
    # Not from the cache, which may hold what was built in another way; without traces of when and where it is built.
    how = {"CFLAGS": "-g0", "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "1580601600")}
    how["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where swig is
    subprocess.run([*pip, "--no-cache-dir", "--wheel-dir", folder, *locks], check=True, env={**os.environ, **how})
    admitted = set().union(*(hashes for name in TOGETHER for hashes in locked(name).values()))
    sums = {wheel.name: _hash(wheel) for wheel in sorted(folder.glob("*.whl"))}
    _write(folder / "SHA256SUMS", sums)
    _write(folder / "built.sha256", {name: digest for name, digest in sums.items() if digest not in admitted})


def requirements(folder: Path, lock: str) -> list[str]:
    """What of the lock is in the folder, as pip takes it: `NAME==VERSION --hash=sha256:…`. Raises NotOurs."""
    admitted = locked(lock)
    built = _read(folder / "built.sha256")
    anything = set().union(*(hashes for name in TOGETHER for hashes in locked(name).values()))
    found = []
    for wheel in sorted(folder.glob("*.whl")):
        digest = _hash(wheel)
        if digest not in anything and built.get(wheel.name) != digest:
            raise NotOurs(f"{wheel}: no lock and no built.sha256 has its SHA-256; make the folder anew: make wheels")
        name, version = wheel.name.split("-")[:2]
        if (entry := f"{name.replace('_', '-').lower()}=={version}") in admitted:
            found.append(f"{entry} --hash=sha256:{digest}")
    if not found:
        raise NotOurs(f"{folder}: holds no wheels of requirements/{lock}.txt; fill it with: make wheels")
    return found


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(sums: Path) -> dict[str, str]:
    try:
        lines = sums.read_text("utf-8").splitlines()
    except OSError as error:
        raise NotOurs(f"{sums}: {error.strerror}; make the folder anew: make wheels") from None
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _write(path: Path, sums: dict[str, str]) -> None:
    path.write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), "utf-8")


def main(words: list[str]) -> int:
    try:
        match words:
            case ["collect", folder]:
                collect(Path(folder))
                print(f"{_hash(Path(folder, 'built.sha256'))}  {folder}/built.sha256")
            case ["list", folder, lock]:
                print("\n".join(requirements(Path(folder), lock)))
            case _:
                raise NotOurs("call it as: wheels.py collect DIR | wheels.py list DIR LOCK")
    except NotOurs as error:
        print(f"wheels: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError:
        print("wheels: pip could not get or build all that the locks name; what it says stands above", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
