"""Build the diagnostic of a plugin that cannot be loaded: file, line, and what to do."""

from __future__ import annotations

from collections.abc import Container
from types import TracebackType

from aetherflow.errors import AetherFlowError, Diagnostic
from aetherflow.plugin_errors import named
from aetherflow.sdk.registration import DeclarationError

_REPAIR = "repair the plugin, or set AETHERFLOW_PLUGIN_STRICT=false to continue without it"


def plugin_diagnostic(error: BaseException, files: Container[str], *, default: str) -> Diagnostic:
    """Return the diagnostic of a plugin, at the deepest line of its files that the error passed.

    Args:
        error: what importing it raised.
        files: the names of its files, as tracebacks have them.
        default: the file to name when the error passed none of them.
    """
    if isinstance(error, DeclarationError):
        return Diagnostic(error.code, error.problem, error.file, error.line, hint=error.hint)
    if isinstance(error, SyntaxError) and error.filename in files:
        line, column = error.lineno or 1, max(error.offset or 1, 1)
        return Diagnostic("AF581", f"this is not Python: {error.msg}", str(error.filename), line, column)
    file, line = _place(error.__traceback__, files) or (default, 1)
    if isinstance(error, AetherFlowError):
        return Diagnostic(error.code, error.message, file, line, hint=error.hint)
    if isinstance(error, ModuleNotFoundError) and error.name:
        if error.name.startswith("aetherflow."):
            message = f"the plugin imports {error.name!r}, which AetherFlow does not have"
            hint = "plugins import from aetherflow, those of AetherFlow 0.0.x from aetherflow.core.api"
            return Diagnostic("AF583", message, file, line, hint=hint)
        message = f"the plugin needs the module {error.name!r}, which is not installed"
        return Diagnostic("AF583", message, file, line, hint="install the package that brings it")
    return Diagnostic("AF582", f"the plugin cannot be loaded: {named(error)}", file, line, hint=_REPAIR)


def _place(step: TracebackType | None, files: Container[str]) -> tuple[str, int] | None:
    place = None
    while step is not None:
        if step.tb_frame.f_code.co_filename in files:
            place = step.tb_frame.f_code.co_filename, step.tb_lineno
        step = step.tb_next
    return place
