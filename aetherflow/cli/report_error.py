"""Print an error as a sentence with its code and hint, never as a traceback, and return its exit code."""

from __future__ import annotations

import signal
import traceback
from typing import Any

import typer

from aetherflow import exit_codes
from aetherflow.cli.os_errors import as_sentence
from aetherflow.cli.printing import print_error
from aetherflow.errors import AetherFlowError, UsageError
from aetherflow.task_errors import distinct_errors

READER_GONE = exit_codes.of_signal(signal.SIGPIPE)

SHOWN_BEFORE = 40
"""How many characters around a wrong one an error shows."""


def report_error(error: Exception, *, show_trace: bool) -> int:
    """Print an error on standard error, of a group each distinct one; return the exit code of the first."""
    codes = [_report(one, show_trace=show_trace) for one in distinct_errors(error)]
    return next((code for code in codes if code != READER_GONE), READER_GONE)


def _report(error: BaseException, *, show_trace: bool) -> int:
    if isinstance(error, BrokenPipeError):
        return READER_GONE
    if isinstance(error, OSError):
        if show_trace:
            _print_trace(error)
        error = as_sentence(error) or error
    if isinstance(error, UnicodeEncodeError):
        if show_trace:
            _print_trace(error)
        error = _not_utf8(error)
    if isinstance(error, AetherFlowError):
        if isinstance(error.__cause__, BrokenPipeError):
            return READER_GONE  # `| head` has seen enough: say nothing more, as other tools do
        print_error(error)
        return error.exit_code
    if not hasattr(error, "format_message"):
        return _report_bug(error, show_trace=show_trace)
    return _report_usage(error)


def _not_utf8(error: UnicodeEncodeError) -> UsageError:
    """Return the error of a text from an argument or a variable that cannot be stored or looked up."""
    text = error.object[max(error.start - SHOWN_BEFORE, 0) : error.end + SHOWN_BEFORE]
    return UsageError(
        f"this text is not UTF-8: {text!a}",
        hint="write arguments and environment variables in UTF-8; the locale is UTF-8 on most systems",
    )


def _report_usage(error: Any) -> int:
    """Print an error of the command line; for a command without arguments print its help."""
    message = error.format_message()
    if message.startswith("Usage:"):
        typer.echo(message, err=True)
    else:
        usage = getattr(error, "ctx", None)
        help_command = f"{usage.command_path} --help" if usage else "aetherflow --help"
        print_error(UsageError(message, hint=help_command))
    return UsageError.exit_code


def _report_bug(error: BaseException, *, show_trace: bool) -> int:
    """Show an error that AetherFlow did not foresee."""
    hint = "this is a bug in AetherFlow; aetherflow --debug COMMAND ... shows the traceback to report"
    if show_trace:
        _print_trace(error)
        hint = "this is a bug in AetherFlow; report this traceback"
    print_error(AetherFlowError(f"internal error: {type(error).__name__}: {error}", hint=hint, code="AF000"))
    return AetherFlowError.exit_code


def _print_trace(error: BaseException) -> None:
    typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
