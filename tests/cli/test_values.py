"""Values between programs, conditions and lists, with the real command: what is written is what happens."""

from __future__ import annotations

import re

from tests.cli.command_line import CommandLine, Result


def run(
    cli: CommandLine, jobs: str, *options: str, flow: str = "id: f", env: dict[str, str] | None = None
) -> Result:
    """Run a flow of these jobs as run `r`."""
    cli.write("flow.yaml", f"version: 1\nflow: {{{flow}}}\njobs:\n{jobs}")
    return cli.run("run", "flow.yaml", "--run-id", "r", *options, env=env)


def told(result: Result) -> list[str]:
    """Return the lines of the log without their times."""
    return [line.partition(" ")[2] for line in result.err.splitlines()]


SAYS = """
  - id: probe
    steps:
      - {id: s, type: external.process, inputs: {command: [echo, %s], log: {stdout: capture}},
         outputs: {said: "{{result.stdout}}"}}
  - {id: next, when: '%s', steps: [{id: s, type: check_items, inputs: {items: [x]}}]}
"""


def test_a_printed_line_equals_the_same_text_and_the_same_number(cli: CommandLine) -> None:
    assert "INFO  next  SUCCESS" in told(run(cli, SAYS % ("ok", 'jobs.probe.outputs.said == "ok"')))
    flow = SAYS % ("10", 'jobs.probe.outputs.said > "9" and jobs.probe.outputs.said == 10.0')
    assert "INFO  next  SUCCESS" in told(run(cli, flow, "--run-id", "r2"))


def test_a_skip_shows_what_its_condition_saw_in_the_log_the_events_and_the_state(cli: CommandLine) -> None:
    result = run(cli, SAYS % ("3", "jobs.probe.outputs.said > 9 and env.HOST == null"), "--events", "e.jsonl")

    reason = "when: jobs.probe.outputs.said > 9 and env.HOST == null is false: jobs.probe.outputs.said is '3'"
    assert f"INFO  next  SKIPPED: {reason}" in told(result)
    assert reason in (cli.folder / "e.jsonl").read_text(encoding="utf-8")
    assert reason in cli.run("runs", "show", "r").out
    shown = cli.run("runs", "show", "r", "--json").json()
    assert reason in [job["reason"] for job in shown["jobs"]]


def test_what_a_condition_saw_is_masked(cli: CommandLine) -> None:
    secret = "hunter2-" + "x" * 80
    flow = SAYS % ("3", 'env.DB_PASSWORD == "a" or params.note == "b" or jobs.probe.outputs.said == "c"')
    result = run(
        cli,
        flow,
        "--param",
        f"note=see {secret}",
        flow="id: f, params: {note: {}}",
        env={"DB_PASSWORD": secret},
    )

    assert "hunter2" not in result.out + result.err
    assert "env.DB_PASSWORD is '***', params.note is 'see ***', jobs.probe.outputs.said is '3'" in result.err


def test_an_error_of_a_condition_shows_the_values(cli: CommandLine) -> None:
    result = run(cli, SAYS % ("three", "jobs.probe.outputs.said > 9"))

    assert (
        "ERROR next  FAILED: AF420: jobs.probe.outputs.said (a text) and 9 (a number) cannot be compared "
        "with >: jobs.probe.outputs.said is 'three'"
    ) in told(result)


def test_an_error_of_a_template_is_never_retried(cli: CommandLine) -> None:
    jobs = """
  - id: a
    retry: {max_attempts: 5, backoff_seconds: 60}
    steps:
      - {id: s, type: check_items, inputs: {items: "{{job.outputs.nothing}}"}}
  - id: b
    retry: {max_attempts: 5, backoff_seconds: 60}
    steps:
      - {id: s, type: check_items, inputs: {items: [x], min_count: "{{env.N}}"}}
"""
    lines = told(run(cli, jobs, env={"N": "many"}))

    assert [line for line in lines if "retry in" in line] == []
    assert sum("check_items FAILED in" in line for line in lines) == 2


def test_a_job_whose_list_never_came_is_blocked(cli: CommandLine) -> None:
    jobs = """
  - id: list
    steps:
      - {id: s, type: external.process, inputs: {command: ["false"], log: {stdout: capture}},
         outputs: {files: "{{result.stdout}}"}}
  - id: load
    for_each: "{{jobs.list.outputs.files}}"
    steps: [{id: s, type: check_items, inputs: {items: [x]}}]
"""
    lines = told(run(cli, jobs))

    assert "WARN  load  BLOCKED: for_each: job list is FAILED, there is no jobs.list.outputs.files" in lines


GIVES = """
  - id: give
    steps:
      - id: s
        type: external.process
        inputs:
          command: [sh, -c, 'printf "rows=12\\napi_token=hunter2-x\\n" >> "$AETHERFLOW_OUTPUT"']
        outputs: {rows: "{{result.rows}}", login: "{{result.api_token}}"}
  - id: locked
    steps:
      - id: s
        type: with_lock
        inputs:
          lock_key: k
          step: {type: external.process, inputs: {command: [printf, 'a\\n\\nb c\\n'], parse: lines}}
        outputs: {files: "{{result.parsed}}", count: "{{result.count}}"}
  - id: load
    when: jobs.give.outputs.rows > 9 and jobs.locked.outputs.count == 2
    for_each: "{{jobs.locked.outputs.files}}"
    steps:
      - id: s
        type: external.process
        inputs: {command: [sh, -c, 'echo "got $1"; test -e "$2"', sh, "{{item}}", "%s"]}
"""


def test_values_of_programs_reach_other_jobs_in_the_first_and_in_a_resumed_run(cli: CommandLine) -> None:
    go = cli.folder / "go"
    first = run(cli, GIVES % go)
    assert first.code == 1
    assert {"INFO  load[0].s | got a", "INFO  load[1].s | got b c"} <= set(told(first))
    assert "hunter2" not in cli.run("runs", "show", "r", "--json").out + first.err

    go.touch()
    again = cli.run("run", "flow.yaml", "--run-id", "r")
    assert again.code == 0
    assert {"INFO  load[0].s | got a", "INFO  load[1].s | got b c"} <= set(told(again))


def test_instances_are_shown_with_their_items(cli: CommandLine) -> None:
    jobs = """
  - id: load
    for_each: {matrix: {day: [mon, tue], api_token: [hunter2-abc]}, exclude: [{day: tue}]}
    steps: [{id: s, type: check_items, inputs: {items: [x]}}]
  - id: text
    for_each: [a.csv]
    steps: [{id: s, type: check_items, inputs: {items: [x]}}]
"""
    lines = told(run(cli, jobs))
    shown = cli.run("runs", "show", "r")

    assert "INFO  load[0]  started: day=mon api_token=***" in lines
    assert "INFO  text[0]  started: a.csv" in lines
    assert re.search(r"^    SUCCESS   load\[0\] \(day=mon api_token=\*\*\*\)  \d", shown.out, re.MULTILINE)
    assert "    SUCCESS   text[0] (a.csv)  " in shown.out
    assert [job["item"] for job in cli.run("runs", "show", "r", "--json").json()["jobs"]].count("a.csv") == 1
