"""What a release is made of, as a CycloneDX 1.6 bill of materials: `sbom.py WHEELS OWN-WHEEL >sbom.cdx.json`.

Named are all wheels that are shipped, each with its SHA-256 and licence, the libraries and Go modules inside of them,
and the files of others in the `static/vendor` of our pages. The same wheels give the same bytes: the time is
SOURCE_DATE_EPOCH, the serial number a digest of the rest. Licences are those of `licences.toml`; one that is not there
is an error (exit 2).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tomllib
import uuid
import zipfile
from datetime import UTC, datetime
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

Component = dict[str, Any]
ROOT = Path(__file__).parent.parent
VENDORS = sorted((ROOT / "edge").glob("*/static/vendor"))
LICENCES = tomllib.loads((ROOT / "release" / "licences.toml").read_text("utf-8"))
NOT_SHIPPED = {"pip"}
"""In the lock, for sqlite-utils' command line wants it, and not in the package."""


class Unknown(Exception):
    """Nobody has looked at this part's licence, or not since it changed; one line."""


def licence(metadata: Message) -> str:
    """The licence of a wheel by what its METADATA says. Raises Unknown."""
    name = str(metadata["Name"]).lower().replace("_", "-")
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    says = metadata["License-Expression"] or metadata["License"] or "; ".join(classifiers)
    seen = LICENCES["wheels"].get(name, {})
    if not seen or seen.get("says", seen["spdx"]) != says:
        raise Unknown(f"release/licences.toml: {name} says {says!r}, which nobody has looked at; enter what it is")
    return str(seen["spdx"])


def _known(table: str, name: str) -> str:
    if name not in LICENCES[table]:
        raise Unknown(f"release/licences.toml: [{table}] has no {name}; look at its licence and enter it")
    return str(LICENCES[table][name])


def _component(
    kind: str, name: str, version: str, spdx: str, purl: str = "", content: bytes | None = None
) -> Component:
    made: Component = {"type": kind, "name": name, "version": version, "licenses": [{"expression": spdx}]}
    if purl:
        made |= {"purl": purl, "bom-ref": purl}
    if content is not None:
        made["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    return made


def wheel(path: Path, *, ours: bool = False) -> Component:
    """A wheel, and what was put into it of others. Raises Unknown."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(archive.namelist())
        (metadata_name,) = (name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        metadata = Parser().parsestr(archive.read(metadata_name).decode(), headersonly=True)
        inside = []
        for name in names:
            file = name.rpartition("/")[2]
            if re.search(r"\.libs/.*\.so", name):
                stem = re.match(r"[a-z_]+", file)
                library, version = stem[0] if stem else file, file.partition(".so.")[2]
                spdx = _known("libraries", library)
                inside.append(_component("library", library, version, spdx, content=archive.read(name)))
            elif name.endswith("/scripts/nats-server"):
                inside += _modules(archive.read(name))
    name, version = str(metadata["Name"]).lower().replace("_", "-"), str(metadata["Version"])
    spdx = str(metadata["License-Expression"]) if ours else licence(metadata)
    kind = "application" if ours else "library"
    made = _component(kind, name, version, spdx, f"pkg:pypi/{name}@{version}", path.read_bytes())
    return made | {"components": inside} if inside else made


def _modules(binary: bytes) -> list[Component]:
    """What a Go program says that it was built from."""
    found = sorted(set(re.findall(rb"dep\t([\w./-]+)\t(v[\w.+-]+)\t", binary)))
    modules = [(module.decode(), version.decode()) for module, version in found]
    return [
        _component("library", module, version, _known("modules", module), f"pkg:golang/{module}@{version}")
        for module, version in modules
    ]


def vendored() -> list[Component]:
    """The packages whose files our pages take, as their README and SHA256SUMS say."""
    return [component for vendor in VENDORS for component in _vendored(vendor)]


def _vendored(vendor: Path) -> list[Component]:
    sums = [line.split("  ") for line in (vendor / "SHA256SUMS").read_text("ascii").splitlines()]
    made = []
    readme = (vendor / "README.md").read_text("utf-8")
    for name, version, spdx in re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([^|]+) \|", readme, re.MULTILINE):
        folder = name.rpartition("/")[2].lower() + "/"
        files = [
            {"type": "file", "name": path, "hashes": [{"alg": "SHA-256", "content": digest}]}
            for digest, path in sums
            if path.startswith(folder)
        ]
        purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
        made.append(_component("library", name, version, spdx, purl) | {"components": files})
    return made


def bill(wheels: Path, own: Path) -> Component:
    """All of it. Raises Unknown, OSError."""
    lock = (ROOT / "requirements" / "all.txt").read_text("ascii")
    shipped = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)) - NOT_SHIPPED
    found = [path for path in sorted(wheels.glob("*.whl")) if _name(path) in shipped]
    main = wheel(own, ours=True)
    components = [wheel(path) for path in found] + vendored()
    time = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "1580601600")), UTC)
    content: Component = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": main},
        "components": components,
        "dependencies": [
            {"ref": main["bom-ref"], "dependsOn": [component["bom-ref"] for component in components]},
            *({"ref": component["bom-ref"]} for component in components),
        ],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return content | {"serialNumber": uuid.UUID(digest[:32], version=4).urn}


def _name(path: Path) -> str:
    return path.name.partition("-")[0].lower().replace("_", "-")


def main(words: list[str]) -> int:
    try:
        wheels, own = map(Path, words)
        json.dump(bill(wheels, own), sys.stdout, indent=1, ensure_ascii=False)
        print()
    except ValueError:
        print("sbom: call it as: sbom.py WHEELS OWN-WHEEL", file=sys.stderr)
        return 2
    except (Unknown, OSError) as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
