"""Print answers on standard output, and notes and errors on standard error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from aetherflow.errors import AetherFlowError, ConfigError, Diagnostic, InvalidInput
from aetherflow.observe.event_text import one_line
from aetherflow.observe.line_writer import LineWriter, OutputLostError
from aetherflow.plugin_output import real_stderr, real_stdout
from aetherflow.sdk.json_values import plain_json


def print_json(value: Any) -> None:
    """Print a value as indented JSON on standard output."""
    print_text(json_text(value))


def json_text(value: Any) -> str:
    """Return a value as indented JSON."""
    return msgspec.json.format(_json(value), indent=2).decode()


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON on standard output."""
    print_text(_json(value).decode())


def _json(value: Any) -> bytes:
    r"""Return a value as JSON; a text that is not UTF-8, as a file name, has `\\udcXX` in its place."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(plain_json(msgspec.to_builtins(value, enc_hook=str)))


def print_text(text: str) -> None:
    """Print a line on standard output.

    Raises:
        OutputLostError: standard output is closed or full.
    """
    LineWriter(real_stdout(), "standard output").write(text + "\n")


def print_line(text: str) -> None:
    """Print one line that holds what other people wrote: its control characters are shown as escapes.

    Raises:
        OutputLostError: standard output is closed or full.
    """
    print_text(one_line(text))


def print_note(text: str) -> None:
    """Print a line on standard error."""
    # There is no place left to report a lost standard error; the exit code still says how it ended.
    with suppress(OutputLostError):
        LineWriter(real_stderr(), "standard error").write(text + "\n")


def print_error(error: AetherFlowError) -> None:
    """Print an error as a sentence, with its code and hint."""
    if isinstance(error, InvalidInput):
        for diagnostic in error.diagnostics:
            print_note(str(diagnostic))
        print_note(count(list(error.diagnostics)))
        return
    print_note(f"error[{error.code}]: {error.message}")
    if error.hint:
        print_note(f"    hint: {error.hint}")


SURROUNDINGS = "environment"
"""The `file` of a diagnostic about settings, a provider or plugins, which are in no single file."""


def diagnostics_of(error: AetherFlowError, file: str) -> list[Diagnostic]:
    """Return an error as diagnostics, for a report in JSON; `file` is the file of the command."""
    if isinstance(error, InvalidInput):
        return list(error.diagnostics)
    place = SURROUNDINGS if isinstance(error, ConfigError) else file
    return [Diagnostic(code=error.code, message=error.message, file=place, hint=error.hint)]


def count(diagnostics: list[Diagnostic]) -> str:
    """Return `2 errors, 1 warning`."""
    words = []
    for severity in ("error", "warning"):
        number = sum(d.severity == severity for d in diagnostics)
        if number:
            words.append(f"{number} {severity}{'' if number == 1 else 's'}")
    return ", ".join(words) or "no errors or warnings"
