"""`aetherflow explain-code`: explain an error code."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec.structs import asdict

from aetherflow.cli import completers
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.errors import UsageError
from aetherflow.manual.error_codes import all_codes, entry_of


def explain_code(
    code: Annotated[
        str, typer.Argument(metavar="CODE", help="An error code, as AF111.", autocompletion=completers.codes)
    ] = "",
    *,
    every: Annotated[bool, typer.Option("--list", help="List all codes.")] = False,
    json: Json = False,
) -> None:
    """Explain an error code, and what to do about it."""
    if bool(code) == every:
        raise UsageError("name one code: aetherflow explain-code AF111 (or --list)")
    if every:
        _list_codes(as_json=json)
    else:
        _explain(code, as_json=json)


def _explain(code: str, *, as_json: bool) -> None:
    """Print what one code means.

    Raises:
        UsageError: there is no such code.
    """
    known = code.strip().upper()
    known = known if known.startswith("AF") else f"AF{known}"
    entry = entry_of(known)
    if entry is None:
        raise UsageError(f"there is no code {code!r}", hint="aetherflow explain-code --list names them all")
    if as_json:
        print_report("explain-code", {"code": known, **asdict(entry)})
        return
    print_text(f"{known}: {entry.meaning}\n  for example: {entry.example}\n  what to do:  {entry.remedy}")


def _list_codes(*, as_json: bool) -> None:
    """Print every code with its meaning."""
    if as_json:
        codes = [{"code": code, **asdict(entry)} for code, entry in all_codes().items()]
        print_report("explain-code", {"codes": codes})
        return
    for code, entry in all_codes().items():
        print_text(f"{code}  {entry.meaning}")
