"""What schemathesis cannot know by itself: a body that says `Content-Encoding: gzip` is packed."""

from __future__ import annotations

import gzip
import json
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Pack the body."""
    if (case.headers or {}).get("Content-Encoding") == "gzip" and isinstance(case.body, dict | list):
        kwargs["data"] = gzip.compress(json.dumps(case.body).encode())
