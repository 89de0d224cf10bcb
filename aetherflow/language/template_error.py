"""The error of a template that cannot be rendered: a value is missing, or is no date."""

from __future__ import annotations

from msgspec.structs import replace

from aetherflow.errors import AetherFlowError, ErrorInfo


class TemplateError(AetherFlowError):
    """A template cannot be rendered with the values of this run."""

    default_code = "AF410"

    def info(self) -> ErrorInfo:
        """Return the error as data; it is final, as the next attempt sees the same values."""
        return replace(super().info(), is_final=True)
