"""`aetherflow logs`: print the output of the programs of a run, without control characters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from aetherflow.admin.queries import StateQueries
from aetherflow.cli.options import Json, RunId
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, ask_state, state_path
from aetherflow.cli_hints import show_command
from aetherflow.errors import UsageError
from aetherflow.observe.event_text import one_line
from aetherflow.observe.line_writer import writing_to
from aetherflow.plugin_output import real_stdout

PIECE_BYTES = 1 << 16
"""A longer line is shown in pieces."""


def logs(
    run: RunId,
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the bytes as they are, control characters too.")
    ] = False,
    json: Json = False,
) -> None:
    """Print the output of the programs of a run. With --json, only where it is stored."""
    path = state_path(state, flow_yaml)

    async def log_files(ask: StateQueries) -> list[Path]:
        await ask.run_history(run)  # refuses a run that does not exist
        return ask.step_logs(run)

    files = ask_state(path, log_files)
    if not files:
        raise UsageError(f"no step of run {run} wrote a log", hint=show_command(run, path))
    if json:
        print_report("logs", {"run_id": run, "logs": list(map(_described, files))})
        return
    for file in files:
        which = _described(file)
        print_text(one_line(f"== {which['job_id']}.{which['step_id']}, attempt {which['attempt']} ({file})"))
        with file.open("rb") as log, writing_to(real_stdout().buffer, "standard output"):
            if raw:
                shutil.copyfileobj(log, real_stdout().buffer)
                real_stdout().buffer.write(b"\n")
            else:
                real_stdout().buffer.writelines(_safe_lines(log))
            real_stdout().buffer.flush()


def _described(file: Path) -> dict[str, Any]:
    """Return which attempt wrote a log, and where it is."""
    step, _, attempt = file.stem.rpartition(".")
    return {
        "job_id": file.parent.name,
        "step_id": step,
        "attempt": int(attempt),
        "path": file,
        "size_bytes": file.stat().st_size,
    }


def _safe_lines(log: BinaryIO) -> Iterator[bytes]:
    """Iterate over the lines, without colours, with other control characters as escapes."""
    is_whole = True
    while piece := log.readline(PIECE_BYTES):
        is_whole = piece.endswith(b"\n")
        text = piece.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "replace")
        yield one_line(text).encode() + (b"\n" if is_whole else b"")
    if not is_whole:
        yield b"\n"
