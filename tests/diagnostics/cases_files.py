"""AF0xx and AF1xx: the command, and the text and shape of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.cli import graph
from aetherflow.cli.main import run_command_line
from aetherflow.cli.printing import print_error
from aetherflow.errors import AetherFlowError, InvalidInput
from aetherflow.schedule.calendar import make_calendar
from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.trigger import parse_interval
from aetherflow.schedule.zone import load_zone
from tests.diagnostics.case import OK, Case, Told, job, process, resource, steps


def _bug(_: Path) -> None:
    """Let a command meet an error that nobody foresaw."""

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("x")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "load_graph", broken)
        assert run_command_line(["graph", "flow.yaml"]) == 1


NIGHT = {"AETHERFLOW_ENV_FILES_JSON": '[{"path": "night.env"}]'}

CASES: dict[str, Case | Told] = {
    "AF000": Told(_bug),
    "AF001": Told(lambda _: print_error(AetherFlowError("an error of a plugin, without a code of its own"))),
    "AF002": Case(script="aetherflow validate"),
    "AF003": Case(script="mkdir gone; cd gone; rmdir ../gone; aetherflow validate flow.yaml"),
    "AF891": Case(flow=OK, script="aetherflow run flow.yaml --log-format json --metrics-file gone/m.prom"),
    "AF892": Case(
        flow=OK,
        files={"m.prom": "aetherflow_runs_total{flow\n"},
        script="aetherflow run flow.yaml --log-format json --metrics-file m.prom",
    ),
    "AF100": Told(lambda _: InvalidInput([])),
    "AF101": Case(script="aetherflow validate nowhere.yaml"),
    "AF102": Case("version: 1\nflow: {id: f, description: a \x07 bell}\n"),
    "AF103": Case("version: 1\nflow: {id: f\n"),
    "AF104": Case("version: 1\nversion: 1\nflow: {id: f}\n"),
    "AF105": Case(OK + "---\nanother: document\n"),
    "AF106": Case("a: &a [*a]\n"),
    "AF107": Case("# nothing\n"),
    "AF110": Case(job("max_parallel: many")),
    "AF111": Case(job("depend_on: [a]")),
    "AF112": Case(steps("{id: s}")),
    "AF113": Case(job("max_parallel: 0")),
    "AF114": Case("defaults: {}\n" + OK + "<<: defaults\n"),
    "AF115": Case(job("depends_on: [a: b]")),
    "AF116": Case(job("timeout_seconds: 5min")),
    "AF120": Case(job("x: 1").replace("id: b, x: 1", "id: a")),
    "AF130": Case(job("depends_on: [b]").replace("{id: a,", "{id: a, depends_on: [b],")),
    "AF131": Case(job("depends_on: [aa]")),
    "AF140": Case(job("depends_on: [a]", "flow: {id: f, state: {path: ~nobody-of-that-name/x}}")),
    "AF141": Case(job("depends_on: [a]", "flow: {id: f, state: {path: $DATA/x}}")),
    "AF142": Case(job("depends_on: [a]", "flow: {id: f, workspace: {layout: {artifacts: ~/x}}}")),
    "AF143": Case(
        OK.replace("{id: f}", "{id: f, state: {path: state/x.sqlite}}"),
        "aetherflow run flow.yaml; mkdir sub; mv flow.yaml sub; aetherflow run sub/flow.yaml",
    ),
    "AF144": Case(
        resource("kind: db, driver: sqlite3, config: {path: orders.db}"),
        "touch orders.db; mkdir sub; mv flow.yaml sub; aetherflow run sub/flow.yaml --run-id r",
    ),
    "AF145": Case(process("command: [sh, count.sh]"), "touch count.sh; aetherflow validate flow.yaml"),
    "AF150": Told(lambda _: parse_cron("61 * * * *")),
    "AF151": Told(lambda _: parse_interval(0)),
    "AF152": Told(lambda _: load_zone("Europe/Berln")),
    "AF153": Told(lambda _: make_calendar("work", weekdays=["mo-fri"])),
    "AF161": Case(OK, files={"aetherflow.yaml": "version: 1\nsettings: {AETHERFLOW_LOG_LEVEL: DEBUG}\n"}),
    "AF162": Case(OK, files={"aetherflow.yaml": "version: 1\nprofiles: profile.yaml\n"}),
    "AF165": Case(OK, files={"night.env": "# night\nTODAY=$(date)\n"}, env=NIGHT),
    "AF166": Case(OK, files={"night.env": "# night\nDATA=${BASE}/data\n"}, env=NIGHT),
}
