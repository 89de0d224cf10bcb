"""Check the flows of the schedule items once when a server starts, before the first tick finds them wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aetherflow.errors import AetherFlowError, Diagnostic
from aetherflow.server.item_flows import check_item_flows
from aetherflow.server.schedule_files import check_schedule_file
from aetherflow.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from aetherflow.server.open_server import Server

_threads = WorkerThreads("flows of schedule items", 1)


async def check_first(server: Server) -> None:
    """Report the items whose flow is wrong, or lacks a parameter; the server serves the others meanwhile."""
    for schedule in server.scheduler.schedules.values():
        found = await _threads.run(_errors, schedule.file, dict(os.environ), abandon_on_cancel=True)
        for one in found:
            hint = f" ({one.hint})" if one.hint else ""
            place = f"{one.file}:{one.line}:{one.column}"
            server.report(f"{place}: {one.message}{hint}", level="warning", code=one.code)


def _errors(file: Path, env: Mapping[str, str]) -> list[Diagnostic]:
    """Return the errors at the items of a scheduler file; those inside a flow have their own command."""
    if not file.is_file():
        return []  # opening what became a pipe might never end; the reload reports it
    try:
        checked = check_schedule_file(file)
        check_item_flows(checked, env)
    except AetherFlowError:
        return []  # the file changed and is wrong now, which its reload reports
    name = checked.sink.document.file
    return [one for one in checked.diagnostics if one.severity == "error" and one.file == name]
