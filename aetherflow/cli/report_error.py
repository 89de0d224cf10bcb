"""Print an error as a sentence with its code and hint, never as a traceback, and return its exit code."""

from __future__ import annotations

import re
import signal
import traceback
from typing import Any

import typer

from aetherflow import exit_codes
from aetherflow.cli.os_errors import as_sentence
from aetherflow.cli.printing import print_error
from aetherflow.cli.report import print_failure
from aetherflow.errors import AetherFlowError, UsageError
from aetherflow.observe.line_writer import OutputLostError
from aetherflow.task_errors import distinct_errors

READER_GONE = exit_codes.of_signal(signal.SIGPIPE)

SHOWN_BEFORE = 40
"""How many characters around a wrong one an error shows."""


def report_error(error: Exception, *, show_trace: bool, report: str = "") -> int:
    """Print an error, of a group each distinct one; return the exit code of the first.

    Args:
        error: what a command raised.
        show_trace: also print the traceback of what may be a bug.
        report: the command whose report the errors are, as JSON on standard output; else standard error.
    """
    found = [_shown(one, show_trace=show_trace) for one in distinct_errors(error)]
    errors = [one for one in found if one is not None]
    if not errors:
        return READER_GONE
    code = errors[0].exit_code
    if not report:
        for one in errors:
            _print(one)
        return code
    try:
        print_failure(report, errors, code)
    except OutputLostError as lost:
        return report_error(lost, show_trace=show_trace)
    return code


def _shown(error: BaseException, *, show_trace: bool) -> AetherFlowError | None:
    """Return an error as an AetherFlowError; None if it says only that the reader of the output left."""
    if isinstance(error, BrokenPipeError):
        return None
    if isinstance(error, OSError):
        if show_trace:
            _print_trace(error)
        error = as_sentence(error) or error
    if isinstance(error, UnicodeEncodeError):
        if show_trace:
            _print_trace(error)
        error = _not_utf8(error)
    if isinstance(error, AetherFlowError):
        # `| head` has seen enough: say nothing more, as other tools do
        return None if isinstance(error.__cause__, BrokenPipeError) else error
    if not hasattr(error, "format_message"):
        return _bug(error, show_trace=show_trace)
    return _usage_error(error)


def _not_utf8(error: UnicodeEncodeError) -> UsageError:
    """Return the error of a text from an argument or a variable that cannot be stored or looked up."""
    text = error.object[max(error.start - SHOWN_BEFORE, 0) : error.end + SHOWN_BEFORE]
    return UsageError(
        f"this text is not UTF-8: {text!a}",
        hint="write arguments and environment variables in UTF-8; the locale is UTF-8 on most systems",
    )


def _print(error: AetherFlowError) -> None:
    if error.message.startswith("Usage:"):
        typer.echo(error.message, err=True)
    else:
        print_error(error)


def _usage_error(error: Any) -> UsageError:
    """Return an error of the command line; of a command without arguments it is the help."""
    usage = getattr(error, "ctx", None)
    hint = f"{usage.command_path} --help" if usage else "aetherflow --help"
    if usage and re.match(r"-\.?\d", getattr(error, "option_name", "")):
        hint = f"put values that begin with - behind all options, after --: {usage.command_path} ... -- -5"
    return UsageError(error.format_message(), hint=hint)


def _bug(error: BaseException, *, show_trace: bool) -> AetherFlowError:
    """Return an error that AetherFlow did not foresee."""
    hint = "this is a bug in AetherFlow; aetherflow --debug COMMAND ... shows the traceback to report"
    if show_trace:
        _print_trace(error)
        hint = "this is a bug in AetherFlow; report this traceback"
    return AetherFlowError(f"internal error: {type(error).__name__}: {error}", hint=hint, code="AF000")


def _print_trace(error: BaseException) -> None:
    typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
