"""A person at a terminal: in which language they read, and what they answer."""

from __future__ import annotations

import os
import sys


class NobodyThere(Exception):
    """There is no terminal to ask at."""


def language() -> str:
    """`ko` or `en`, as the environment says."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return "ko" if next(filter(None, map(os.environ.get, names)), "").startswith("ko") else "en"


def ask(question: str, default: str = "") -> str:
    """The answer, or the default for none. Raises NobodyThere, also for who hangs up with Ctrl-D."""
    if not sys.stdin.isatty():
        raise NobodyThere
    try:
        return input(f"{question} [{default}]: " if default else f"{question}: ").strip() or default
    except EOFError:
        print()
        raise NobodyThere from None
