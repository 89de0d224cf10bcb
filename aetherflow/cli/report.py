"""Print the report of a command as JSON: every one is an object that begins with `schema` and `ok`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import indent
from typing import Any

import msgspec
import typer

from aetherflow import exit_codes
from aetherflow.cli.printing import diagnostics_of, json_text, print_json, print_json_line, print_text
from aetherflow.errors import AetherFlowError, Diagnostic, InvalidInput

VERSION = 1
"""The version of every report; a key that gets another meaning or goes away raises it."""


def print_report(command: str, report: Any, *, code: int = exit_codes.SUCCESS, as_line: bool = False) -> int:
    """Print the report of a command on standard output, and return the exit code.

    Args:
        command: the words of the command, joined by dots: `runs.list`.
        report: a Struct or mapping, the keys of the command.
        code: the exit code of the command; `ok` says whether it is 0.
        as_line: print it as one line, beside other JSON lines.

    Raises:
        OutputLostError: standard output is closed or full.
    """
    keys = msgspec.structs.asdict(report) if isinstance(report, msgspec.Struct) else dict(report)
    head = {"schema": f"aetherflow.{command}/{VERSION}", "ok": code == exit_codes.SUCCESS}
    (print_json_line if as_line else print_json)(head | keys)
    return code


def print_long_report(command: str, key: str, rows: Iterable[Any]) -> None:
    """Print a report with one key, a list, row by row as they come: it needs no more memory for a long one.

    Raises:
        OutputLostError: standard output is closed or full.
    """
    print_text(f'{{\n  "schema": "aetherflow.{command}/{VERSION}",\n  "ok": true,\n  "{key}": [')
    before = ""
    for row in rows:
        text = json_text(row)
        if before:
            print_text(f"{before},")
        before = indent(text, "    ")
    print_text(f"{before}\n  ]\n}}" if before else "  ]\n}")


def print_failure(command: str, errors: Sequence[AetherFlowError], code: int, *, file: str = "") -> None:
    """Print that a command failed, as its report: the first error, others, and their diagnostics.

    Raises:
        OutputLostError: standard output is closed or full.
    """
    report: dict[str, Any] = {"error": _error(errors[0])}
    if file:
        report["file"] = file
    if others := [_error(error) for error in errors[1:]]:
        report["other_errors"] = others
    placed = [error for error in errors if file or isinstance(error, InvalidInput)]
    report["diagnostics"] = [one for error in placed for one in diagnostics_of(error, file)]
    print_report(command, report, code=code)


def _error(error: AetherFlowError) -> dict[str, Any]:
    if isinstance(error, InvalidInput):  # its message is all of them; they are in `diagnostics`, too
        first = min(error.diagnostics, key=lambda one: one.severity != "error")
        return {"code": first.code, "message": first.message, "hint": first.hint}
    info = error.info()
    more = {"detail": info.detail} if info.detail else {}
    return {"code": info.code, "message": info.message, "hint": info.hint, **more}


@contextmanager
def failure_as_json(
    command: str, file: str, *, as_json: bool, exit_code: int | None = None
) -> Iterator[None]:
    """With `as_json`, report an error of the block and end the command: with its exit code or this."""
    try:
        yield
    except AetherFlowError as error:
        if not as_json:
            raise
        code = error.exit_code if exit_code is None else exit_code
        print_failure(command, [error], code, file=file)
        raise typer.Exit(code) from None


def as_findings(diagnostics: Iterable[Diagnostic]) -> list[dict[str, str]]:
    """Return diagnostics in the short form of AetherFlow 0.0: code, place, message."""
    return [
        {"code": one.code, "loc": f"{one.file}:{one.line}:{one.column}", "msg": one.message}
        for one in diagnostics
    ]
