"""`cartwire decommission`: keys and data are wiped, so that the machine may go elsewhere. The configuration stays.

The keys go last, so a call that was cut short can be repeated. They are what the configuration names, and what lies in
the folder for keys beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge import plan, settings, terminal
from edge.wipe import empty, wipe

_TEXTS = {
    "en": {
        "what": "{store}/{gateway}: all in {data}{backup}, and these secrets, will be overwritten, for ever:",
        "ask": "What the platform does not have yet is lost. Type {gateway} to go on",
        "not": "Nothing was wiped.",
        "done": "Wiped. {path} stays; it holds no secret.",
    },
    "ko": {
        "what": "{store}/{gateway}: {data}{backup}의 모든 것과 아래 비밀 파일을 덮어써서 영원히 지웁니다:",
        "ask": "플랫폼에 아직 전달되지 않은 것은 사라집니다. 계속하려면 {gateway}를 입력하세요",
        "not": "아무것도 지우지 않았습니다.",
        "done": "지웠습니다. {path}는 남으며 비밀은 들어 있지 않습니다.",
    },
}


def decommission(path: Path, backup: Path | None, *, sure: bool) -> bool:
    """Asks once, unless `sure`; whether it was done. Raises CannotStart, SettingsError, NobodyThere, OSError.

    `backup`: where copies of the database are; None: where the package has them, for the package's configuration.
    """
    config = settings.read(path)
    texts, store = _TEXTS[terminal.language()], config.store
    if backup is None and path == settings.DEFAULT:
        backup = settings.BACKUP
    also = [backup] if backup and backup.exists() else []
    with plan.locked(path, store.data):
        named = dict.fromkeys([*_left(path.absolute().parent), *settings.secrets(config)])
        secrets = [file for file in named if file.exists()]
        where = "".join(f", {folder}" for folder in also)
        print(texts["what"].format(store=store.id, gateway=store.gateway, data=store.data, backup=where))
        print("".join(f"  {file}\n" for file in secrets), end="", flush=True)
        if not sure and terminal.ask(texts["ask"].format(gateway=store.gateway)) != store.gateway:
            print(texts["not"])
            return False
        for folder in (store.data, *also):
            empty(folder)
        for file in filter(Path.exists, secrets):  # one may have two names
            wipe(file)
    print(texts["done"].format(path=path))
    return True


def _left(base: Path) -> Iterator[Path]:
    """Also what no configuration names any more, and what an `init` or `rotate-key` that was cut short has left."""
    for folder in (base / "credentials", *base.glob(f"{settings.BESIDE}*/credentials")):
        yield from (file for file in folder.glob("*") if file.is_file())
