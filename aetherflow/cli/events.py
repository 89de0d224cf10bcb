"""`aetherflow events`: print the stored events of a run as JSON lines, and those that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
import typer

from aetherflow.admin.run_events import find_run_id, is_left, stored_events
from aetherflow.cli.options import LineFormat, NamedRun
from aetherflow.cli.printing import print_note
from aetherflow.cli.state_access import FlowOfState, State, history_path, named_state
from aetherflow.errors import UsageError
from aetherflow.events.run_events import TRANSIENT
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.line_writer import LineWriter
from aetherflow.observe.sink import Sink
from aetherflow.plugin_output import real_stdout
from aetherflow.store.database import Database


def events(
    run: NamedRun = "",
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for further events, until the run ends.")
    ] = False,
    since: Annotated[
        int, typer.Option("--from", metavar="SEQ", min=1, help="Leave out the events before this number.")
    ] = 1,
    line_format: LineFormat = "json",
    state: State = None,
    flow_yaml: FlowOfState = None,
) -> None:
    """Print the stored events of a run as JSON lines. The lines that programs wrote are in `logs`."""
    path = history_path(state, flow_yaml, run)
    if line_format not in ("json", "cloudevents"):
        raise UsageError(f"--log-format {line_format}: it is json or cloudevents")
    if path is None or not anyio.run(_print_events, path, run, since, follow, line_format == "cloudevents"):
        print_note("there are no runs yet")  # not where others look for JSON lines: it is no error


async def _print_events(path: Path, run: str, since: int, follow: bool, as_cloud_events: bool) -> bool:  # noqa: FBT001 - anyio.run passes positions
    """Print the events of a run; return whether there is one."""
    recorder = Recorder("cloudevents" if as_cloud_events else "json")
    writer, sink = LineWriter(real_stdout().buffer, "standard output"), Sink()
    database = await Database.open_to_look(path)
    last, is_any = 0, False
    try:
        if not (run := await find_run_id(database, run)):
            return False
        is_usual = not named_state(path)
        async for batch in stored_events(database, run, follow=follow, is_usual_state=is_usual):
            lines = bytearray()
            for event in batch.events:
                last = max(last, event.seq)
                if event.seq < since or isinstance(event, TRANSIENT):
                    recorder.skip(event)
                else:
                    lines += recorder.line(event)
            if lines:
                is_any = True
                await sink.call(writer.write, bytes(lines))
            elif follow:
                writer.raise_if_unread()
            if follow and is_left(batch.status):
                print_note(f"run {run} is {batch.status}: the process that executed it has died")
        if not is_any and since > 1:
            print_note(f"run {run} has no event from {since} on: its last one is {last}")
        return True
    finally:
        await database.aclose()
