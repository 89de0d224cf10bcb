"""Say a stored error in words: the same ones in `runs show`, `runs diff`, `explain` and the page of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def error_text(error: Mapping[str, Any]) -> str:
    """Return an error as `CODE: message`, which may have several lines."""
    return f"{error.get('code')}: {error.get('message')}"


def error_line(error: Mapping[str, Any] | None) -> str:
    """Return the first line of that; empty without an error."""
    return error_text(error).partition("\n")[0] if error else ""
