"""The version of all of this: pyproject.toml takes it from here.

Asked of importlib.metadata it would cost a start 0.8 MB.
"""

from __future__ import annotations

VERSION = "0.1.0"
