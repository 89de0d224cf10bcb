"""TRACEPARENT: programs continue the trace of their step, and a run the trace in which it was started."""

from __future__ import annotations

import pytest

from tests.cli.command_line import CommandLine

FLOW = """
version: 1
flow: {id: traced}
jobs:
- id: load
  for_each: [north, south]
  steps:
  - id: read
    type: external.process
    retry: {max_attempts: 2, backoff_seconds: 0}
    inputs:
      cwd: flow
      command: [sh, -c, 'echo "$TRACEPARENT/$TRACESTATE" >> seen; test -e go']
- id: own
  steps:
  - id: say
    type: external.process
    inputs: {cwd: flow, command: [sh, -c, 'echo "$TRACEPARENT/$TRACESTATE" > own'], env: {TRACEPARENT: mine}}
- id: locked
  steps:
  - id: outer
    type: with_lock
    inputs:
      lock_key: k
      step:
        id: inner
        type: external.process
        inputs: {command: [sh, -c, 'echo "$TRACEPARENT/$TRACESTATE"']}
"""
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OUTER = {"TRACEPARENT": f"00-{TRACE}-{SPAN}-00", "TRACESTATE": "congo=t61,rojo=1"}


@pytest.fixture
def traced(cli: CommandLine) -> CommandLine:
    cli.write("flow.yaml", FLOW)
    return cli


def seen(cli: CommandLine) -> list[str]:
    """Return what the programs of the mapped job found in their environment, sorted."""
    return sorted((cli.folder / "seen").read_text().split())


def test_a_program_has_the_trace_and_the_span_of_the_records_of_its_attempt(traced: CommandLine) -> None:
    done = traced.run("run", "flow.yaml", "--run-id", "r1", "--log-format", "json", "--debug")

    records = done.lines()
    assert done.code == 1
    started = [one for one in records if one["event"] == "step_started" and one["job_id"].startswith("load[")]
    assert sorted(one["attempt"] for one in started) == [1, 1, 2, 2]
    assert seen(traced) == sorted(f"00-{one['trace_id']}-{one['span_id']}-01/" for one in started)
    assert (traced.folder / "own").read_text() == "mine/\n"
    (line,) = [one for one in records if one["event"] == "step_output"]
    (outer,) = [one for one in records if one["event"] == "step_started" and one["step_id"] == "outer"]
    assert line["step_id"] == "outer.inner"
    assert line["text"] == f"00-{outer['trace_id']}-{outer['span_id']}-01/"
    assert line["span_id"] == outer["span_id"]
    assert not any("traceparent" in one for one in records)


def test_a_run_continues_the_trace_in_which_it_was_started_and_so_does_its_resume(
    traced: CommandLine,
) -> None:
    first = traced.run("run", "flow.yaml", "--run-id", "r1", "--log-format", "json", "--debug", env=OUTER)
    of_first = seen(traced)
    assert (traced.folder / "own").read_text() == "mine/\n"
    (traced.folder / "go").touch()
    (traced.folder / "seen").unlink()
    elsewhere = f"00-{'a' * 32}-{'b' * 16}-01"
    second = traced.run(
        *("runs", "retry", "r1", "--log-format", "json", "--debug"), env={"TRACEPARENT": elsewhere}
    )

    assert (first.code, second.code) == (1, 0)
    records = [*first.lines(), *second.lines()]
    assert {one["trace_id"] for one in records} == {TRACE}
    began, resumed = (one for one in records if one["event"] in ("run_started", "run_resumed"))
    assert (began["traceparent"], began["tracestate"]) == (OUTER["TRACEPARENT"], "congo=t61,rojo=1")
    assert (resumed["traceparent"], resumed["resumed_in"]) == (OUTER["TRACEPARENT"], elsewhere)
    started = [one for one in records if one["event"] == "step_started" and one["job_id"].startswith("load[")]
    expected = [f"00-{TRACE}-{one['span_id']}-00/congo=t61,rojo=1" for one in started]
    assert of_first == sorted(expected[:4])
    assert seen(traced) == sorted(expected[4:])
    assert len({one["span_id"] for one in started}) == len(started) == 6
    stored = traced.run("events", "r1").lines()
    shown = {one["seq"]: one for one in records if "sub_seq" not in one}
    assert [(one["trace_id"], one["span_id"]) for one in stored] == [
        (shown[one["seq"]]["trace_id"], shown[one["seq"]]["span_id"]) for one in stored
    ]
    of_resume = traced.run("events", "r1", "--from", str(stored[-1]["seq"])).lines()
    assert of_resume == stored[-1:]


@pytest.mark.parametrize("text", ["00-nothing", f"00-{'0' * 32}-{SPAN}-01"])
def test_an_invalid_trace_is_ignored_with_its_state(traced: CommandLine, text: str) -> None:
    (traced.folder / "go").touch()

    done = traced.run(
        *("run", "flow.yaml", "--run-id", "r1", "--log-format", "json"),
        env={"TRACEPARENT": text, "TRACESTATE": "congo=1"},
    )

    began = done.lines()[0]
    assert done.code == 0
    assert "traceparent" not in began
    assert "tracestate" not in began
    assert began["trace_id"] not in (TRACE, "0" * 32)
    assert {one[:36] + one[-1] for one in seen(traced)} == {f"00-{began['trace_id']}-/"}
