"""The errors of a template or a condition that the values of a run do not fit: one is missing, or no date."""

from __future__ import annotations

from msgspec.structs import replace

from aetherflow.errors import AetherFlowError, ErrorInfo


class TemplateError(AetherFlowError):
    """A template cannot be rendered with the values of this run."""

    default_code = "AF410"

    def info(self) -> ErrorInfo:
        """Return the error as data; it is final, as the next attempt sees the same values."""
        return replace(super().info(), is_final=True)


class ConditionError(AetherFlowError):
    """A condition cannot be decided: it orders null, or values that have no common order."""

    default_code = "AF420"
