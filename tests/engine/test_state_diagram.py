from __future__ import annotations

import re

from aetherflow.engine.state_diagram import state_diagram
from aetherflow.engine.transitions import JOB_TABLE, RESUMED_JOBS, RESUMED_STEPS, RUN_TABLE, STEP_TABLE


def test_the_diagrams_draw_every_transition_of_the_tables_once() -> None:
    blocks = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)\n```", state_diagram(), re.DOTALL)
    assert len(blocks) == 3
    for block, table, resumed in zip(
        blocks, (RUN_TABLE, JOB_TABLE, STEP_TABLE), ({}, RESUMED_JOBS, RESUMED_STEPS), strict=True
    ):
        drawn = re.findall(r"(\w+) --> (\w+): (.*)", block)
        assert len({(status, after) for status, after, _ in drawn}) == len(drawn)
        found = {(status, event, after) for status, after, events in drawn for event in events.split(", ")}
        assert found == {
            (status, str(kind.__struct_config__.tag), after)
            for (status, kind), following in table.items()
            for after in following
        } | {
            (status, "run_resumed", after)
            for status, following in resumed.items()
            for after in following - {status}
        }


def test_a_diagram_begins_where_a_run_a_job_and_a_step_begin() -> None:
    assert re.findall(r"\[\*\] --> (\w+)", state_diagram()) == ["NEW", "PENDING", "PENDING"]
