"""`--params-file`: parameters from a file, checked against the flow; and those of a run that is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, has_place, no_trace

FLOW = """
version: 1
flow:
  id: f
  params:
    day: {type: date, required: true}
    rows: {type: int, default: 3}
    tags: {type: json, default: []}
    api_token: {type: string, required: false}
jobs:
  - id: a
    steps:
      - id: say
        type: check_items
        inputs: {items: "{{params.tags}}"}
        outputs: {said: "{{params.day}} {{params.rows}}"}
      - {id: try, type: external.process, inputs: {command: [test, -e, "{{env.GO}}"]}}
"""


@pytest.fixture
def place(tmp_path: Path) -> CommandLine:
    found = CommandLine(tmp_path)
    found.env["GO"] = str(tmp_path)
    found.write("flow.yaml", FLOW)
    return found


def said(place: CommandLine) -> str:
    """Return what the run of this test has stored of its parameters."""
    [(outputs,)] = place.query("select outputs from job_state where job_id = 'a'")
    return str(outputs)


@pytest.mark.parametrize(
    "text",
    ["day: 2026-02-01\nrows: 7\ntags: [x]\n", '{"day": "2026-02-01", "rows": 7, "tags": ["x"]}'],
    ids=["yaml", "json"],
)
def test_parameters_come_from_a_yaml_or_json_file(place: CommandLine, text: str) -> None:
    place.write("params", text)
    done = place.run("run", "flow.yaml", "--params-file", "params")
    assert (done.code, no_trace(done)) == (0, True)
    assert "2026-02-01 7" in said(place)


def test_param_wins_over_the_file(place: CommandLine) -> None:
    place.write("p.yaml", "day: 2026-02-01\nrows: 7\n")
    assert place.run("run", "flow.yaml", "--params-file", "p.yaml", "--param", "rows=8").code == 0
    assert "2026-02-01 8" in said(place)


def test_a_null_in_the_file_says_no_more_than_leaving_it_out(place: CommandLine) -> None:
    place.write("p.yaml", "day: 2026-02-01\nrows: null\n")
    assert place.run("run", "flow.yaml", "--params-file", "p.yaml").code == 0
    assert "2026-02-01 3" in said(place)


def test_everything_wrong_with_the_file_is_reported_with_its_place_before_anything_runs(
    place: CommandLine,
) -> None:
    place.write("p.yaml", "day: someday\nrowz: 1\nrows: many\n")
    done = place.run("run", "flow.yaml", "--params-file", "p.yaml")
    assert done.code == 2
    for line in ("1:1", "2:1", "3:1"):
        assert has_place(done.err, "p.yaml", line, "AF562")
    assert "did you mean 'rows'?" in done.err
    assert no_trace(done)
    assert not place.state.exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [("[1, 2]", "AF562"), ("day: 1\nday: 2\n", "AF1"), ("a: [", "AF103"), ("just text", "AF562")],
)
def test_a_file_that_is_no_mapping_is_refused(place: CommandLine, text: str, code: str) -> None:
    place.write("p.yaml", text)
    done = place.run("run", "flow.yaml", "--params-file", "p.yaml")
    assert done.code == 2
    assert f"error[{code}" in done.err
    assert "p.yaml:" in done.err
    assert no_trace(done)


def test_a_file_that_is_not_there_is_named(place: CommandLine) -> None:
    done = place.run("run", "flow.yaml", "--params-file", "none.yaml")
    assert done.code == 2
    assert "none.yaml" in done.err


@pytest.mark.parametrize("text", ["# nothing yet\n", "{}\n", "null\n"])
def test_a_file_without_parameters_runs_nothing_that_requires_one(place: CommandLine, text: str) -> None:
    place.write("p.yaml", text)
    done = place.run("run", "flow.yaml", "--run-id", "r", "--params-file", "p.yaml")
    assert (done.code, no_trace(done)) == (2, True)
    assert "the file is empty" in done.err or "the parameter 'day' is required" in done.err
    assert not place.state.exists()


def test_a_resumed_run_has_its_parameters_and_needs_none(place: CommandLine) -> None:
    place.write("p.yaml", "day: 2026-02-01\nrows: 7\n")
    place.env["GO"] = str(place.folder / "no")
    assert place.run("run", "flow.yaml", "--run-id", "r", "--params-file", "p.yaml").code == 1
    place.env["GO"] = str(place.folder)
    done = place.run("run", "flow.yaml", "--run-id", "r", "--rerun", "a.say")
    assert done.code == 0
    assert "2026-02-01 7" in said(place)


def test_another_value_for_a_resumed_run_has_no_effect_and_says_so(place: CommandLine) -> None:
    assert place.run("run", "flow.yaml", "--run-id", "r", "--param", "day=2026-02-01").code == 0
    done = place.run("run", "flow.yaml", "--run-id", "r", "--param", "day=2026-03-01", "--rerun", "a")
    assert done.code == 0
    assert "AF631" in done.err
    assert "2026-02-01 3" in said(place)


def test_an_unknown_parameter_is_refused_when_a_run_is_resumed(place: CommandLine) -> None:
    assert place.run("run", "flow.yaml", "--run-id", "r", "--param", "day=2026-02-01").code == 0
    done = place.run("run", "flow.yaml", "--run-id", "r", "--param", "dya=2026-03-01")
    assert done.code == 2
    assert "did you mean 'day'?" in done.err


def test_what_the_flow_has_come_to_require_is_missing_when_a_run_is_resumed(place: CommandLine) -> None:
    assert place.run("run", "flow.yaml", "--run-id", "r", "--param", "day=2026-02-01").code == 0
    place.write(
        "flow.yaml", FLOW.replace("  params:\n", "  params:\n    more: {type: int, required: true}\n")
    )
    done = place.run("run", "flow.yaml", "--run-id", "r", "--rerun", "a")
    assert done.code == 2
    assert "the parameter 'more' is required" in done.err
    assert place.run("run", "flow.yaml", "--run-id", "r", "--rerun", "a", "--param", "more=1").code == 0


def test_a_secret_parameter_is_given_again_and_a_retry_can_do_so(place: CommandLine) -> None:
    place.env["GO"] = str(place.folder / "no")
    token = "api_token=canary-4711"  # noqa: S105 - a canary, no password
    begun = place.run("run", "flow.yaml", "--run-id", "r", "--param", "day=2026-02-01", "--param", token)
    assert begun.code == 1
    place.env["GO"] = str(place.folder)
    refused = place.run("runs", "retry")
    assert (refused.code, "error[AF561]" in refused.err) == (2, True)
    assert place.run("runs", "retry", "--param", token).code == 0
    assert b"canary-4711" not in place.state.read_bytes()
