"""The floors do as much as a flow does: as many rows for each job."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.cli.command_line import CommandLine

FLOOR = Path(__file__).with_name("floors.py")
JOB = "\n  - {{id: j{}, steps: [{{id: s, type: check_items, inputs: {{items: [x]}}}}]}}"


def rows(cli: CommandLine, jobs: int) -> int:
    """Return how many rows a run of so many jobs leaves in the tables that grow with it."""
    flow = f"version: 1\nflow: {{id: f{jobs}}}\njobs:" + "".join(map(JOB.format, range(jobs)))
    cli.write("flow.yaml", flow)
    assert cli.run("run", "flow.yaml").code == 0
    tables = ("events", "job_state", "step_state")
    return sum(count for table in tables for (count,) in cli.query(f"select count(*) from {table}"))


def test_a_job_of_one_step_leaves_as_many_rows_as_the_floors_write(cli: CommandLine) -> None:
    two = rows(cli, 2)
    nine = rows(cli, 9) - two

    assert nine - two == 7 * runpy.run_path(str(FLOOR))["ROWS_PER_JOB"]
