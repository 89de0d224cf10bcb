"""The `on_late` steps of a scheduler file, read as a flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.server.item_flows import check_item_flows
from aetherflow.server.schedule_files import check_schedule_file
from aetherflow.spec.load import read_flow

FLOW = """\
version: 1
flow: {id: f}
jobs: [{id: a, steps: [{id: s, type: external.process, inputs: {command: ["true"]}}]}]
"""
SCHEDULER = """\
version: 1
id: night
items:
  - {id: plain, cron: "@daily", flow_yaml: flow.yaml}
  - id: load
    cron: "@daily"
    flow_yaml: flow.yaml
    on_late:
      - id: page
        type: external.process
        inputs: {command: [echo, "{{params.message}}"]}
  - id: copy
    cron: "@daily"
    flow_yaml: flow.yaml
    on_late:
      - {id: page, type: external.process, inputs: {command: [echo, "{{params.alert}}"]}}
"""


def write(folder: Path, text: str = SCHEDULER) -> Path:
    (folder / "flow.yaml").write_text(FLOW)
    path = folder / "scheduler.yaml"
    path.write_text(text)
    return path


def found(path: Path) -> list[tuple[int, int, str]]:
    checked = check_schedule_file(path)
    check_item_flows(checked, {})
    return [(one.line, one.column, one.code) for one in checked.diagnostics]


def test_each_item_with_steps_is_a_job_of_its_name(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert found(path) == []
    plan = load_checked_flow(path, {}).plan
    assert (plan.flow_id, [job.id for job in plan.jobs]) == ("night.on_late", ["load", "copy"])
    assert [job.id for job in load_checked_flow(path, {}, job="copy").plan.jobs] == ["copy"]
    assert plan.flow.params["alert"].is_required, "nobody runs the steps of all items by mistake"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("type: external.process\n", "type: external.proces\n", (10, 9)),
        ("params.message", "params.mesage", (11, 37)),
        ("params.alert", "params.alrt", (16, 72)),
        ('inputs: {command: [echo, "{{params.message}}"]}', "inputs: {comand: [echo]}", (11, 18)),
        ("      - id: page\n", "      - id: page\n        typ: a\n", (10, 9)),
    ],
)
def test_what_is_wrong_with_a_step_is_reported_at_its_place(
    tmp_path: Path, old: str, new: str, place: tuple[int, int]
) -> None:
    assert old in SCHEDULER
    places = [(line, column) for line, column, _ in found(write(tmp_path, SCHEDULER.replace(old, new)))]
    assert place in places


def test_they_are_checked_also_if_the_flow_of_an_item_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path, SCHEDULER.replace("type: external.process\n", "type: external.proces\n"))
    (tmp_path / "flow.yaml").write_text("jobs: [")
    codes = {(line, code) for line, _, code in found(path)}
    assert codes >= {(4, "AF207"), (10, "AF540")}


def test_what_is_wrong_is_reported_once(tmp_path: Path) -> None:
    wrong = found(
        write(tmp_path, SCHEDULER.replace("      - id: page\n", "      - id: page\n        typ: a\n"))
    )
    assert len(wrong) == len(set(wrong))


def test_two_steps_of_one_item_have_different_ids(tmp_path: Path) -> None:
    twice = SCHEDULER + "      - {id: page, type: external.process, inputs: {command: [echo]}}\n"
    assert (17, 10, "AF120") in found(write(tmp_path, twice))


def test_a_scheduler_file_without_such_steps_is_no_flow(tmp_path: Path) -> None:
    loaded, diagnostics = read_flow(write(tmp_path, SCHEDULER.split("    on_late", maxsplit=1)[0]))
    assert loaded is None
    assert [one.code for one in diagnostics] == ["AF110"]


def test_a_scheduler_file_with_errors_is_no_flow(tmp_path: Path) -> None:
    path = write(tmp_path, SCHEDULER + "    unknown: 1\n")
    with pytest.raises(InvalidInput, match="unknown"):
        load_checked_flow(path, {})


def test_the_text_in_force_counts_while_the_file_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path, "items: [")
    plan = load_checked_flow(path, {}, job="load", text=SCHEDULER.encode()).plan
    assert [job.id for job in plan.jobs] == ["load"]
