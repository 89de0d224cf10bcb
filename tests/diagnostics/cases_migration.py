"""AF17x and AF18x: what `migrate` finds in files of AetherFlow 0.0."""

from __future__ import annotations

from tests.diagnostics.case import OK, RUN, Case, Told, job, process, steps

SQL = "python -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])' \"$STATE\" "
OLD_STATE = SQL + (
    '"create table job_runs (x); create table locks (x); '
    "create table step_runs (job_id, run_id, step_id, status, updated_at); "
    "insert into step_runs values ('a', 'r', 's', 'SUCCESS', 1)\"; "
)
MIGRATE = "aetherflow migrate flow.yaml"
ITEM = "items:\n  - {id: i, cron: '%s', flow_yaml: other.yaml%s}\n"


def _flow(text: str) -> Case:
    return Case(text, MIGRATE)


CASES: dict[str, Case | Told] = {
    "AF170": _flow(job("depends_on: [a]")),
    "AF171": _flow(process("command: [echo, 010]")),
    "AF172": _flow(job("owner: me")),
    "AF173": _flow(job("when: jobs.a.outputs.flag == 'x'")),
    "AF174": _flow(process("command: [echo, '{{ env.X: none }}']")),
    "AF175": _flow(process("command: make")),
    "AF176": _flow(steps("{id: s, type: check_items, inputs: {items: [x]}}")),
    "AF177": _flow(ITEM % ("0 6 * * 1-5", "")),
    "AF178": Case(ITEM % ("0 6 * * *", ", flow_job: b"), MIGRATE, {"other.yaml": job("depends_on: [a]")}),
    "AF179": _flow(job("depends_on: [a]", "flow: {id: my flow}")),
    "AF180": _flow(steps("{id: s, type: check_items, inputs: {items: [x], min_count: '1'}}")),
    "AF181": _flow(steps("{id: s, type: sap_extract, inputs: {output: o.xlsx}}")),
    "AF185": Case(OK, f"{OLD_STATE} aetherflow run flow.yaml --run-id new"),
    "AF187": Case(OK, f"{OLD_STATE} {RUN}"),
    "AF182": _flow("bundle: {id: b, entry_flow: f.yaml, source: {base_path: src}}\n"),
}
