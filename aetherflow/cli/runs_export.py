"""`aetherflow runs export`: write a run as a page, as JSON lines or as a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from aetherflow.admin.export_run import Exported, Format, Surroundings, export_run, write_run
from aetherflow.admin.named_run import named_run
from aetherflow.cli.environment_here import environment_here
from aetherflow.cli.options import Json, NamedRun
from aetherflow.cli.printing import print_line
from aetherflow.cli.report import failure_as_json, print_report
from aetherflow.cli.state_access import FlowOfState, State, named_state, state_path
from aetherflow.errors import UsageError
from aetherflow.observe.line_writer import writing_to
from aetherflow.plugin_output import real_stdout
from aetherflow.run_ids import folder_name
from aetherflow.store.database import Database
from aetherflow.store.run_rows import RunRow, runs_with_prefix

STDOUT = "-"


def export(
    run: NamedRun = "",
    *,
    html: Annotated[
        str | None,
        typer.Option("--html", metavar="[FILE]", help="A page that opens from the disk; default: RUN.html."),
    ] = None,
    jsonl: Annotated[
        str | None,
        typer.Option("--jsonl", metavar="[FILE]", help="The events as JSON lines; default: RUN.jsonl."),
    ] = None,
    parquet: Annotated[
        str | None,
        typer.Option(
            "--parquet", metavar="[FILE]", help="The events as a Parquet table; default: RUN.parquet."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is no export of this run.")
    ] = False,
    state: State = None,
    flow_yaml: FlowOfState = None,
    json: Json = False,
) -> None:
    """Write a run as a page, or its events as JSON lines or a table. FILE may be -: standard output."""
    given: dict[Format, str | None] = {"html": html, "jsonl": jsonl, "parquet": parquet}
    wanted = {format_: file for format_, file in given.items() if file is not None}
    with failure_as_json("runs.export", "", as_json=json):
        _check(wanted, as_json=json)
        # A machine without a run has nothing to look at, which is no error; here a file is missing.
        path = state_path(state, flow_yaml, may_guess=True)
        row, files = anyio.run(_exported, path, run, wanted, force)
    if json:
        print_report("runs.export", {"run_id": row.run_id, "status": row.status, "files": files})
        return
    for one in files:
        print_line(f"{one.path}: run {row.run_id}, {row.status}, {one.events:,} events")


def _check(wanted: dict[Format, str], *, as_json: bool) -> None:
    """Refuse what cannot be done.

    Raises:
        UsageError: no format was named, standard output was named for what it cannot take, or a file twice.
    """
    if not wanted:
        raise UsageError("name a format: --html, --jsonl or --parquet", hint="aetherflow runs export --html")
    if wanted.get("parquet") == STDOUT:
        raise UsageError("--parquet -: a Parquet table is written to a file", hint="name a file")
    to_stdout = [format_ for format_, file in wanted.items() if file == STDOUT]
    if len(to_stdout) > 1:
        raise UsageError("only one format can be written to standard output")
    if to_stdout and as_json:
        raise UsageError("--json prints on standard output too", hint="name a file in place of -")
    files = [Path(file) for file in wanted.values() if file and file != STDOUT]
    for twice in {file for file in files if files.count(file) > 1}:
        raise UsageError(f"{twice}: two formats cannot be written to one file", hint="name two files")


async def _exported(
    path: Path,
    name: str,
    wanted: dict[Format, str],
    force: bool,  # noqa: FBT001 - anyio.run passes positions
) -> tuple[RunRow, list[Exported]]:
    """Write the files.

    Raises:
        UsageError: there is no such run, or a file cannot be written.
    """
    environment = environment_here()
    around = Surroundings(environment.variables, environment.settings.file_access, named_state(path))
    database = await Database.open_to_look(path)
    try:
        row = await database.read(lambda raw: named_run(raw, path, name))
        if not name:
            await _refuse_run_as_file(database, wanted)
        return row, [
            one
            for format_, file in wanted.items()
            if (one := await _one(database, row.run_id, format_, file, around, force=force))
        ]
    finally:
        await database.aclose()


async def _one(
    database: Database, run_id: str, format_: Format, file: str, around: Surroundings, *, force: bool
) -> Exported | None:
    """Write one file; None if it is standard output."""
    if file == STDOUT and format_ != "parquet":
        out = real_stdout().buffer
        with writing_to(out, "standard output"):
            await write_run(database, run_id, format_, out, around)
            out.flush()
        return None
    path = Path(file or f"{folder_name(run_id)}.{format_}")
    return await export_run(database, run_id, format_, path, around, force=force)


async def _refuse_run_as_file(database: Database, wanted: dict[Format, str]) -> None:
    """Refuse `--html RUN`: the run would be taken for the file.

    Raises:
        UsageError: a file has the name of a run.
    """
    for format_, file in wanted.items():
        if not file or file == STDOUT:
            continue
        found: list[str] = await database.read(partial(runs_with_prefix, prefix=file, limit=1))
        if found:
            raise UsageError(
                f"--{format_} {file}: this is the id of a run, where a file is expected",
                hint=f"the run comes first: aetherflow runs export {file} --{format_}",
            )
