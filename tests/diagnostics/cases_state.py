"""AF6xx: the state database, runs, locks; AF99x: high-water marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_host import RunHost
from aetherflow.runs.run_ticket import Refusal, RunTicket
from tests.cli.command_line import AETHERFLOW
from tests.diagnostics.case import MINE, OK, PLUGINS, RUN, Case, Told, job, plugin, process, resource, steps
from tests.warm_start import run

PYTHON = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])"
SQL = f"python -c '{PYTHON}' \"$STATE\" "
LOCKED = "{id: s, type: with_lock, inputs: {lock_key: '%s', step: {type: check_items, inputs: {items: []}}}}"
DIES = (
    "flow: {id: f}\njobs:\n  - id: a\n    steps:\n      - id: s\n        type: external.process\n"
    "        on_interrupt: %s\n        inputs: {command: [sh, -c, 'kill -9 $PPID; sleep 9']}\n"
)
MOVES = "from aetherflow import Mark, StepResult\nreturn StepResult(marks={'orders': Mark.of(%s)})"
POOL = "{id: s, type: check_items, inputs: {items: []}, pool: warehouse%s}"
FAILS = job("depends_on: [a]").replace("items: [x]}}", "items: [x], min_count: '{{env.N}}'}}", 1)


def _recovered(folder: Path, on_crash: str, times: int = 1) -> str:
    """Let a server find a run whose process has died, and return what it says."""
    flow = folder / "flow.yaml"
    flow.write_text("version: 1\n" + (DIES % "rerun").replace("{id: f}", f"{{id: f, on_crash: {on_crash}}}"))
    ticket = RunTicket(run_id="r", flow_file=flow, is_recovery=True)

    async def started() -> None:
        pass

    async def recover() -> Any:
        host = RunHost()
        for _ in range(times):
            outcome = await host.execute(ticket, RunControl(), started)
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AETHERFLOW_STATE_ROOT", str(folder))
        run([AETHERFLOW, "run", flow, "--run-id", "r"], capture_output=True, check=False)
        outcome = anyio.run(recover)
    hint = f"\n    hint: {outcome.hint}" if isinstance(outcome, Refusal) else ""
    return f"{outcome.code}: {outcome.reason}{hint}"


def watermark(keys: str, script: str = RUN, more: str = "") -> Case:
    """Return a run of one step that reads above a high-water mark."""
    inputs = (
        f'resource: r, sql: "select 1 as id where 1 > :watermark", output: o, watermark: {{{keys}}}{more}'
    )
    step = f"{{id: s, type: db_extract_stream, inputs: {{{inputs}}}}}"
    return Case(resource("kind: db, driver: sqlite3, config: {path: db.sqlite}", step), script)


CASES: dict[str, Case | Told] = {
    "AF601": Case(OK, f'mkdir -p "$STATE"; {RUN}'),
    "AF602": Case(OK, f"{SQL}'create table theirs (x)'; {RUN}"),
    "AF603": Case(OK, f"{SQL}'pragma application_id = 0x41457466; pragma user_version = 99'; {RUN}"),
    "AF604": Case(OK, f"{RUN}; {SQL}\"update events set payload = '{{}}' where seq = 1\"; {RUN}"),
    "AF605": Case(script="aetherflow runs list --state no.sqlite"),
    "AF614": Case(process("command: [sh, -c, 'rm \"$STATE\"; sleep 9']"), RUN),
    "AF622": Case(steps(LOCKED % "{{env.API_TOKEN}}"), RUN, env={"API_TOKEN": "correct horse"}),
    "AF630": Case(OK, f"{RUN}; sed -i 's/items: .x./items: [x, y]/' flow.yaml; {RUN}"),
    "AF631": Case(
        OK.replace("flow: {id: f}", "flow: {id: f, params: {day: {}}}"),
        f"{RUN} --param day=1; {RUN} --param day=2",
    ),
    "AF632": Case(MINE, f"{RUN}; echo '# newer' >> plugins/mine.py; {RUN}", plugin("return {}"), PLUGINS),
    "AF633": Case("version: 1\n" + DIES % "skip", f"{RUN}; {RUN}"),
    "AF868": Case(job("depends_on: [a]"), f"{RUN}; aetherflow runs retry r --only a"),
    "AF869": Case(
        job("depends_on: [a]", "flow: {id: f, on_stale: fail}"), f"{RUN}; aetherflow runs retry r --only a"
    ),
    "AF635": Case(OK, f"{RUN}; sed -n 's/id: s/id: t/p' flow.yaml >> flow.yaml; {RUN}"),
    "AF636": Case(OK, f"{RUN}; sed -i 's/id: s/id: t/' flow.yaml; {RUN}"),
    "AF640": Case(steps(POOL % ""), RUN),
    "AF641": Case(steps(POOL % ", slots: 3"), f"aetherflow pools set warehouse 2; {RUN}"),
    "AF644": Case(steps("{id: s, type: check_items, inputs: {items: []}, slots: 2}")),
    "AF655": Told(lambda folder: _recovered(folder, "fail", 2)),
    "AF657": Told(lambda folder: _recovered(folder, "leave")),
    "AF658": Told(lambda folder: _recovered(folder, "fail")),
    "AF990": Case(MINE, RUN, plugin(MOVES % "True"), PLUGINS),
    "AF991": Case(steps("{id: s, type: mine}", "{id: t, type: mine}"), RUN, plugin(MOVES % "7"), PLUGINS),
    "AF992": Case(
        MINE,
        f"aetherflow state set orders B2 --type text --flow f; {RUN}",
        plugin(MOVES % "7"),
        PLUGINS,
    ),
    "AF993": watermark("column: nix, initial: 0"),
    "AF994": watermark("column: id"),
    "AF995": watermark("column: id, overlap: 5m", f"aetherflow state set a.s x --type text --flow f; {RUN}"),
    "AF996": Case(
        watermark("column: id, initial: 0").flow.replace("- id: a", "- id: a\n    for_each: [x]"), RUN
    ),
    "AF998": watermark("column: id, initial: 0", more=", params: {watermark: 1}"),
    "AF634": Case(FAILS, f"{RUN}; aetherflow runs retry r --only a", env={"N": "x"}),
}
