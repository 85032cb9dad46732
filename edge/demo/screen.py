"""The demo's terminal: carts that fill, what waits, and which key cuts what. Korean or English.

Where the output is no terminal, a line for each item instead of a picture.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

from edge.demo.phone import Phone

_ROWS = 8
"""Items of a cart that are shown, the newest last; half of it where the carts stand in two rows."""
_LEAST, _MOST, _GAP = 30, 34, 2
"""Columns of the terminal that a cart has, and between two."""

_TEXTS = {
    "ko": {
        "starting": "매장을 여는 중입니다 …",
        "opened": (
            "매장이 열렸습니다. 녹화된 하루가 재생되고, 장바구니가 채워집니다.\n"
            "  직원 화면      {page}   설정 코드 {code}\n"
            "  이벤트 보기    cartwire events --follow --config {config}\n"
            "  상태 보기      cartwire status --config {config}\n"
            "  플랫폼         {platform}/sandbox/events\n"
            "  MQTT           127.0.0.1:{broker} (3.1.1)\n"
        ),
        "ended": "매장을 닫았습니다.",
        "keys": "[b] 브로커 끊기/연결   [p] 플랫폼 끊기/연결   [g] 게이트웨이 전원 끊고 다시 켜기   [q] 끝내기",
        "on": "연결됨",
        "off": "끊김",
        "broker": "브로커",
        "platform": "플랫폼",
        "gateway": "게이트웨이",
        "starting_up": "시작 중",
        "waiting": "대기: 앱 {cart} · 플랫폼 {platform} · 보류 {held}",
        "items": "{count}개 · {sum}원",
        "added": "{name}: {product} · {price}원",
    },
    "en": {
        "starting": "Opening the store …",
        "opened": (
            "The store is open: a recorded day is playing, the carts are filling.\n"
            "  staff's page   {page}   setup code {code}\n"
            "  see events     cartwire events --follow --config {config}\n"
            "  see its state  cartwire status --config {config}\n"
            "  platform       {platform}/sandbox/events\n"
            "  MQTT           127.0.0.1:{broker} (3.1.1)\n"
        ),
        "ended": "The store is closed.",
        "keys": "[b] cut/restore the broker   [p] cut/restore the platform   [g] power cut of the gateway   [q] quit",
        "on": "up",
        "off": "CUT",
        "broker": "broker",
        "platform": "platform",
        "gateway": "gateway",
        "starting_up": "starting",
        "waiting": "waiting: app {cart} · platform {platform} · held {held}",
        "items": "{count} items · {sum} KRW",
        "added": "{name}: {product} · {price} KRW",
    },
}


class Screen:
    """Shows the store in one language, `ko` or `en`."""

    def __init__(self, language: str) -> None:
        self._texts = _TEXTS[language]
        self._told: dict[str, int] = {}
        self._head = ""

    @property
    def starting(self) -> str:
        return self._texts["starting"]

    @property
    def ended(self) -> str:
        return self._texts["ended"]

    def opened(self, config: str, platform: str, broker: int, page: str, code: str) -> str:
        shown = {"config": config, "platform": platform, "broker": broker, "page": page, "code": code}
        self._head = self._texts["opened"].format(**shown)
        return self._head

    def show(self, phones: list[Phone], status: dict[str, Any] | None, *, broker: bool, platform: bool) -> None:
        """Draws the picture anew, or tells what is new."""
        state = self._state(status, broker=broker, platform=platform)
        if sys.stdout.isatty():
            picture = "\n".join([self._head, *self._carts(phones), "", state, self._texts["keys"]])
            sys.stdout.write("\x1b[H\x1b[J" + picture + "\n")
        else:
            for phone in phones:
                items = phone.snapshot()
                for item in items[self._told.get(phone.cart, 0) :]:
                    product, price = _product(item)
                    sys.stdout.write(self._texts["added"].format(name=phone.name, product=product, price=price) + "\n")
                self._told[phone.cart] = len(items)
        sys.stdout.flush()

    def _carts(self, phones: list[Phone]) -> Iterator[str]:
        """Side by side, as many as the terminal is wide for."""
        room = shutil.get_terminal_size().columns + _GAP
        beside = max(1, min(len(phones), room // (_LEAST + _GAP)))
        width, rows = min(_MOST, room // beside - _GAP), _ROWS if beside == len(phones) else _ROWS // 2
        for at in range(0, len(phones), beside):
            carts = [self._cart(phone, width, rows) for phone in phones[at : at + beside]]
            for line in zip(*carts, strict=True):
                yield (" " * _GAP).join(_padded(cell, width) for cell in line).rstrip()

    def _cart(self, phone: Phone, width: int, rows: int) -> list[str]:
        items = phone.snapshot()
        total = sum(int(_product(item)[1].replace(",", "")) for item in items)
        shown = ["{:>9}  {}".format(*reversed(_product(item))) for item in items[-rows:]]
        head = [phone.name, self._texts["items"].format(count=len(items), sum=f"{total:,}"), "─" * width]
        return head + shown + [""] * (rows - len(shown))

    def _state(self, status: dict[str, Any] | None, *, broker: bool, platform: bool) -> str:
        t = self._texts
        parts = [f"{t['broker']}: {t['on' if broker else 'off']}", f"{t['platform']}: {t['on' if platform else 'off']}"]
        if status is None:
            return "   ".join([*parts, f"{t['gateway']}: {t['starting_up']}"])
        sinks = {name: sink["queued"] for name, sink in status["sinks"].items()}
        return "   ".join([*parts, f"{t['gateway']}: {t['on']}", t["waiting"].format(held=status["held"], **sinks)])


def _product(item: dict[str, Any]) -> tuple[str, str]:
    product = item["data"]["product"]
    if not product:
        return item["data"]["gtin"], "0"
    return product["name"], f"{int(product['price']['amount']):,}"


def _padded(text: str, room: int) -> str:
    """Cut or filled to the column's width; Korean letters are two wide."""
    shown, width = "", 0
    for letter in text:
        wide = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width + wide > room:
            break
        shown, width = shown + letter, width + wide
    return shown + " " * (room - width)
