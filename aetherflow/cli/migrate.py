"""`aetherflow migrate`: show what differs for a file of AetherFlow 0.0, and write what does the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import asdict

from aetherflow import exit_codes
from aetherflow.admin import migrated_file
from aetherflow.admin.migrated_file import WrittenFile
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_note, print_text
from aetherflow.cli.report import failure_as_json, print_report
from aetherflow.errors import UsageError
from aetherflow.migration.migrate_file import Migration


def migrate(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A flow, a scheduler file or a bundle manifest of 0.0.")
    ],
    *,
    write: Annotated[
        Path | None,
        typer.Option(metavar="NEW", help="Write the file that does the same; NEW must not exist."),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Write it in place of FILE, which is kept as FILE.orig.")
    ] = False,
    json: Json = False,
) -> int:
    """Show what means something else in a file of AetherFlow 0.0. --write writes what does the same here."""
    if write is not None and in_place:
        raise UsageError("give --write NEW or --in-place, not both")
    with failure_as_json("migrate", str(file), as_json=json):
        migration = migrated_file.migrate(file, (write or file).parent, os.environ)
        written = None
        if write is not None:
            written = migrated_file.write_beside(migration, write, os.environ)
        elif in_place and migration.differences:
            written = migrated_file.write_in_place(migration, file, os.environ)
    errors = [d for d in written.diagnostics if d.severity == "error"] if written else []
    code = exit_codes.FAILURE if migration.needs_a_person or errors else exit_codes.SUCCESS
    if json:
        return print_report("migrate", _report(file, migration, written), code=code)
    _print(file, migration, written)
    return code


def _report(file: Path, migration: Migration, written: WrittenFile | None) -> dict[str, Any]:
    return {
        "file": str(file),
        "kind": migration.kind,
        "needs_a_person": migration.needs_a_person,
        "differences": list(map(asdict, migration.differences)),
        "written": written.path if written else None,
        "original": written.original if written else None,
        "diagnostics": list(map(asdict, written.diagnostics)) if written else [],
    }


def _print(file: Path, migration: Migration, written: WrittenFile | None) -> None:
    for diagnostic in migrated_file.diagnostics_of(migration, file):
        print_note(str(diagnostic))
    for diagnostic in written.diagnostics if written else ():
        print_note(str(diagnostic))
    by_hand = sum(difference.by_hand for difference in migration.differences)
    number = len(migration.differences)
    found = f"{number} {'difference' if number == 1 else 'differences'}" if number else "nothing to migrate"
    print_text(f"{file}: {found}" + (f", {by_hand} for a person to decide" if by_hand else ""))
    if written is not None:
        kept = f"; {written.original} is the file as it was" if written.original else ""
        print_text(f"{written.path}: written{kept}")
    elif migration.differences:
        print_text("nothing was written: --write NEW or --in-place writes the file that does the same")
