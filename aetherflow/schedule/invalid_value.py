"""The error for a value of a scheduler file that cannot be used."""

from __future__ import annotations

from typing import ClassVar

from aetherflow import exit_codes
from aetherflow.errors import AetherFlowError


class ScheduleProblem(AetherFlowError):
    """An expression, instant, zone or calendar cannot be used (exit 2).

    Attributes:
        offset: where in the text it is, in characters from 0; a Diagnostic adds it to its column.
    """

    default_code: ClassVar[str] = "AF150"
    exit_code: ClassVar[int] = exit_codes.INVALID

    def __init__(self, message: str, *, hint: str = "", code: str = "", offset: int = 0) -> None:
        super().__init__(message, hint=hint, code=code)
        self.offset = offset
