"""`python -m bench [--quick] [SECTION …]`: measures, prints one table, keeps all in `dist/bench`.

`--markdown` only writes what was measured before as the README has it. A section that was not asked for keeps its
figures of the last time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from bench import report
from bench.runs import ROOT, say
from bench.scale import QUICK, Scale

SECTIONS = ("noise", "latency", "drain", "growth", "footprint", "instructions")
APART = ("peer",)


def main() -> int:
    """Measure the sections that are named, or all but the peer."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join((*SECTIONS, *APART)))
    parser.add_argument("--quick", action="store_true", help="a few seconds a section; for work on the bench itself")
    parser.add_argument("--markdown", action="store_true", help="measure nothing; the last figures for the README")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "bench", metavar="DIR")
    arguments = parser.parse_args()
    wanted = arguments.sections or SECTIONS
    if unknown := set(wanted) - {*SECTIONS, *APART}:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join((*SECTIONS, *APART))}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each start compiles all of it anew, which no shop's does
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / ("quick.json" if arguments.quick else "bench.json")
    known = json.loads(path.read_text()) if path.exists() else {}
    if arguments.markdown:
        print(report.table(known))
        return 0
    for name in wanted:
        say(f"{name} …")
        module = importlib.import_module(f"bench.{name}")
        result = module.measure(QUICK if arguments.quick else Scale())
        known[name] = result.as_json()
        path.write_text(json.dumps(known, ensure_ascii=False, indent=1))
        print(report.section(known[name]), flush=True)
    report.write(path.with_suffix(".md"), known)
    say(f"all of it is in {path} and {path.with_suffix('.md')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
