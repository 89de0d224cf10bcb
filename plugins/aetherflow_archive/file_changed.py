"""The error of a file that changes while it is packed."""

from __future__ import annotations

from pathlib import Path

from aetherflow import StepError


def file_changed(path: Path) -> StepError:
    """Return the error (AF395)."""
    return StepError(
        f"{path} changed while it was packed",
        hint="pack it when nothing writes to it any more",
        code="AF395",
    )
