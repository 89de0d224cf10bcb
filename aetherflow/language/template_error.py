"""The error of a template that cannot be rendered: a value is missing, or is no date."""

from __future__ import annotations

from aetherflow.errors import AetherFlowError


class TemplateError(AetherFlowError):
    """A template cannot be rendered with the values of this run; rendering it again gives the same error."""

    default_code = "AF410"
