"""Resume a run: after a kill -9 by `on_interrupt`, and by `runs retry` with what is on disk now."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, lives, no_trace
from tests.polling import wait_until

PAYING = """
version: 1
flow: {id: f}
jobs:
  - id: a
    steps:
      - id: before
        type: external.process
        inputs: {command: [sh, -c, 'echo before >> "$0"', "{{env.TRACE}}"]}
      - id: pay
        on_interrupt: POLICY
        type: external.process
        inputs:
          command:
            - sh
            - -c
            - echo "$AETHERFLOW_IDEMPOTENCY_KEY" >> "$0"; echo $$; until test -e "$1"; do sleep 0.02; done
            - "{{env.TRACE}}"
            - "{{env.GO}}"
      - id: after
        type: external.process
        inputs: {command: [sh, -c, 'echo after >> "$0"', "{{env.TRACE}}"]}
  - id: b
    depends_on: [a]
    steps:
      - {id: last, type: external.process, inputs: {command: [sh, -c, 'echo last >> "$0"', "{{env.TRACE}}"]}}
"""


def step(job: str, name: str, script: str) -> str:
    """Return a step that notes its name and then does what the script says."""
    return (
        f"      - {{id: {name}, type: external.process, inputs: {{command: [sh, -c, "
        f'\'echo {job}.{name} >> "$0"; {script}\', "{{{{env.TRACE}}}}", "{{{{env.GO}}}}"]}}}}\n'
    )


CHAIN = (
    "version: 1\nflow: {id: chain}\njobs:\n"
    "  - id: a\n    steps:\n" + step("a", "x", "true") + step("a", "y", "true") +
    "  - id: b\n    depends_on: [a]\n    steps:\n" + step("b", "s", 'test -e "$1"') +
    "  - id: c\n    depends_on: [b]\n    steps:\n" + step("c", "s", "true") +
    "  - id: free\n    steps:\n" + step("free", "s", "true")
)  # fmt: skip


class Place(CommandLine):
    """A folder whose steps note what they do, and continue when a file is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.trace, self.go = folder / "trace", folder / "go"
        self.env |= {"TRACE": str(self.trace), "GO": str(self.go)}

    def traced(self) -> list[str]:
        """Return what the steps have noted since the last time."""
        lines = self.trace.read_text().split() if self.trace.exists() else []
        self.trace.unlink(missing_ok=True)
        return lines

    def status(self, run_id: str) -> str:
        """Return the status of a run."""
        [(status,)] = self.query(f"select status from runs where run_id = '{run_id}'")
        return str(status)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def killed_while_paying(place: Place, policy: str) -> None:
    """Run the flow and kill the command with -9 while it pays; its children end by themselves."""
    place.write("flow.yaml", PAYING.replace("POLICY", policy))
    with place.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as running:
        child = int(running.event("step_output", step_id="pay")["text"])
        running.process.kill()
        running.end()
    wait_until(lambda: not lives(child))
    place.go.touch()
    assert place.traced() == ["before", "r/a/pay"]


def test_runs_show_names_the_step_that_was_interrupted(place: Place) -> None:
    killed_while_paying(place, "fail")
    shown = place.run("runs", "show", "r")
    assert "run r of f: INTERRUPTED" in shown.out
    assert "interrupted: a.pay\n" in shown.out
    assert "resume: aetherflow runs retry r --state /" in shown.out
    steps = place.run("runs", "show", "r", "--json").json()["steps"]
    assert {step["step_id"]: step["status"] for step in steps} == {"before": "SUCCESS", "pay": "INTERRUPTED"}


def test_after_a_kill_an_interrupted_step_runs_again_with_the_same_idempotency_key(place: Place) -> None:
    killed_while_paying(place, "rerun")
    done = place.run("run", "flow.yaml", "--run-id", "r")
    assert (done.code, no_trace(done)) == (0, True)
    assert place.traced() == ["r/a/pay", "after", "last"]
    assert "runs again: a.pay (INTERRUPTED)" in done.err


def test_after_a_kill_a_step_that_is_skipped_does_not_run_and_the_run_continues(place: Place) -> None:
    killed_while_paying(place, "skip")
    done = place.run("run", "flow.yaml", "--run-id", "r")
    assert (done.code, no_trace(done)) == (0, True)
    assert place.traced() == ["after", "last"]
    found = place.query("select status, reason from step_state where step_id = 'pay'")
    assert found == [("SKIPPED", "interrupted, on_interrupt: skip")]


def test_after_a_kill_a_step_that_must_not_be_repeated_fails_until_a_person_resumes_once_more(
    place: Place,
) -> None:
    killed_while_paying(place, "fail")
    done = place.run("run", "flow.yaml", "--run-id", "r")
    assert (done.code, no_trace(done)) == (1, True)
    assert "AF713" in done.err
    assert "must not be repeated (on_interrupt: fail)" in done.err
    assert place.traced() == []
    assert place.query("select job_id, status from job_state order by 1") == [
        ("a", "FAILED"),
        ("b", "BLOCKED"),
    ]
    assert "does not run again: a.pay" in place.run("runs", "show", "r").out
    assert place.run("runs", "retry").code == 0
    assert place.traced() == ["r/a/pay", "after", "last"]


def chain_failed(place: Place) -> None:
    """Run the chain, whose job `b` fails while the file is not there; then put it there."""
    place.write("flow.yaml", CHAIN)
    assert place.run("run", "flow.yaml", "--run-id", "r").code == 1
    place.go.touch()
    assert sorted(place.traced()) == ["a.x", "a.y", "b.s", "free.s"]


def test_retry_without_a_name_resumes_the_last_run_that_did_not_end_well(place: Place) -> None:
    place.write("flow.yaml", CHAIN)
    assert place.run("run", "flow.yaml", "--run-id", "older").code == 1
    chain_failed_later = place.run("run", "flow.yaml", "--run-id", "r")
    assert chain_failed_later.code == 1
    place.go.touch()
    assert place.run("run", "flow.yaml", "--run-id", "fine").code == 0
    place.traced()
    done = place.run("runs", "retry")
    assert (done.code, no_trace(done)) == (0, True)
    assert "resuming run r of chain with flow.yaml" in done.err
    assert place.traced() == ["b.s", "c.s"]
    assert (place.status("r"), place.status("older")) == ("SUCCESS", "FAILED")


def test_retry_finds_a_run_whose_process_has_just_died(place: Place) -> None:
    killed_while_paying(place, "skip")
    listed = place.run("runs", "list", "--status", "interrupted").out.splitlines()
    assert listed[0].split() == ["STARTED", "STATUS", "TOOK", "RUN", "FLOW", "FIRED", "BY"]
    assert "INTERRUPTED" in listed[1]
    assert [line.index("  ") for line in listed[1:]] == [len("2026-01-01T00:00:00Z")] * len(listed[1:])
    assert place.run("runs", "list", "--status", "running").out == "no runs fit these options\n"
    done = place.run("runs", "retry")
    assert done.code == 0
    assert place.traced() == ["after", "last"]


def test_retry_says_when_there_is_nothing_to_retry(place: Place) -> None:
    place.go.touch()
    place.write("flow.yaml", CHAIN)
    assert place.run("run", "flow.yaml", "--run-id", "r").code == 0
    done = place.run("runs", "retry")
    assert done.code == 2
    assert "is FAILED, CANCELLED or INTERRUPTED" in done.err
    unknown = place.run("runs", "retry", "nobody")
    assert unknown.code == 2
    assert "there is no run 'nobody'" in unknown.err


def test_retry_finds_the_flow_file_from_another_directory(place: Place) -> None:
    chain_failed(place)
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    done = place.bash("cd elsewhere && aetherflow runs retry r --events e.jsonl")
    assert done.code == 0
    assert place.traced() == ["b.s", "c.s"]
    assert (elsewhere / "e.jsonl").exists()


def test_retry_fails_with_the_exit_code_of_the_run(place: Place) -> None:
    chain_failed(place)
    place.go.unlink()
    assert place.run("runs", "retry", "r").code == 1
    assert place.traced() == ["b.s"]


def test_retry_with_the_flow_named_takes_its_state_and_only_its_runs(place: Place) -> None:
    chain_failed(place)
    other = CHAIN.replace("id: chain", "id: other").replace("test -e", "false &&")
    place.write("other.yaml", other)
    assert place.run("run", "other.yaml", "--run-id", "later").code == 1
    place.traced()
    done = place.run("runs", "retry", "--flow-yaml", "flow.yaml")
    assert done.code == 0
    assert place.traced() == ["b.s", "c.s"]


def test_retry_from_a_step_runs_it_and_what_follows_it(place: Place) -> None:
    chain_failed(place)
    done = place.run("runs", "retry", "--from", "a.y")
    assert done.code == 0
    assert place.traced() == ["a.y", "b.s", "c.s"]
    assert "a.y (--from)" in done.err


def test_retry_only_runs_one_job_with_its_done_steps_and_nothing_after_it(place: Place) -> None:
    chain_failed(place)
    assert place.run("runs", "retry", "r").code == 0
    place.traced()
    assert place.run("runs", "retry", "r", "--only", "a").code == 0
    assert place.traced() == ["a.x", "a.y"]
    assert place.query("select distinct status from job_state") == [("SUCCESS",)]


def test_retry_only_leaves_what_had_not_run_and_says_so(place: Place) -> None:
    chain_failed(place)
    done = place.run("runs", "retry", "r", "--only", "b")
    assert done.code == 0
    assert place.traced() == ["b.s"]
    assert "not run now: c (BLOCKED)" in done.err
    artifacts = place.state.parent / "work" / "chain" / "b" / "r" / "artifacts"
    assert artifacts.is_dir(), "c may need what b has made"
    assert place.run("runs", "retry", "r").code == 0
    assert place.traced() == ["c.s"]
    assert not artifacts.exists()


def test_retry_only_with_downstream_runs_what_follows_too(place: Place) -> None:
    chain_failed(place)
    assert place.run("runs", "retry", "r", "--only", "a", "--with-downstream").code == 0
    assert place.traced() == ["a.x", "a.y", "b.s", "c.s"]


def test_retry_keeps_to_the_jobs_that_flow_job_had_selected(place: Place) -> None:
    place.write("flow.yaml", CHAIN)
    assert place.run("run", "flow.yaml", "--run-id", "r", "--flow-job", "b").code == 1
    place.go.touch()
    place.traced()
    assert place.run("runs", "retry", "r", "--only", "a").code == 1, "b is still FAILED"
    assert place.run("runs", "retry", "r").code == 0
    assert place.traced() == ["a.x", "a.y", "b.s"]
    refused = place.run("runs", "retry", "r", "--from", "c")
    assert (refused.code, "the job c takes no part in this run" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        (["--only", "c"], "--only c: it needs the job b, which is FAILED"),
        (["--only", "zzz"], "--only zzz: the flow has no such job"),
        (["--from", "a.zzz"], "--from a.zzz: the flow has no such job or step"),
        (["--from", "a", "--only", "a"], "give --from or --only"),
        (["--with-downstream"], "--with-downstream belongs to --only"),
        (["--log-format", "xml"], "--log-format xml"),
    ],
)
def test_retry_refuses_what_makes_no_sense_and_runs_nothing(
    place: Place, options: list[str], reported: str
) -> None:
    chain_failed(place)
    done = place.run("runs", "retry", "r", *options)
    assert (done.code, no_trace(done)) == (2, True)
    assert reported in done.err
    assert place.traced() == []
    assert place.status("r") == "FAILED"


def test_retry_takes_the_flow_as_it_is_now_and_shows_what_it_leaves_valid(place: Place) -> None:
    chain_failed(place)
    changed = CHAIN.replace("echo b.s", "echo new.s").replace("echo a.x", "echo new.x")
    place.write("flow.yaml", changed)
    done = place.run("runs", "retry")
    assert done.code == 0
    assert place.traced() == ["new.s", "c.s"]
    assert "a.x is kept although the flow now defines it otherwise; --from a.x runs it again" in done.err
    shown = place.run("runs", "show", "r").out
    assert "kept: a.x (SUCCESS), a.y (SUCCESS), free.s (SUCCESS)" in shown
    assert "runs again: b.s (FAILED)" in shown
    assert "kept although the flow defines it differently now: a.x" in shown


def test_the_version_of_a_step_type_is_stored_with_each_step(place: Place) -> None:
    chain_failed(place)
    versions = place.query("select distinct payload ->> '$.version' from events where event = 'step_started'")
    assert len(versions) == 1
    assert versions[0][0].startswith("aetherflow ")


def resume_line(text: str) -> list[str]:
    """Return the words of the command after `resume: aetherflow`."""
    return shlex.split(
        next(one for one in text.splitlines() if "resume: " in one).partition("aetherflow ")[2]
    )


def test_the_resume_line_resumes_the_run_in_any_folder_and_any_environment(place: Place) -> None:
    place.write("flows/flow.yaml", CHAIN)
    failed = place.run("run", "flows/flow.yaml", "--run-id", "r", "--flow-job", "b")
    assert (failed.code, place.traced()) == (1, ["a.x", "a.y", "b.s"])
    place.go.touch()
    place.env["AETHERFLOW_STATE_ROOT"] = str(place.folder / "of another shell")
    place.folder = place.folder / "flows"

    again = place.run(*resume_line(failed.err))

    assert (again.code, place.traced()) == (0, ["b.s"]), again
    assert place.status("r") == "SUCCESS"


def test_the_resume_line_asks_for_secret_parameters_and_for_no_others(place: Place) -> None:
    place.write(
        "flow.yaml",
        """
version: 1
flow:
  id: f
  params:
    token: {type: string, required: true}
    api_key: {type: string, default: none_needed}
    day: {type: date, default: "2026-01-01"}
jobs:
  - id: a
    steps:
      - {id: s, type: external.process, inputs: {command: [test, -e, "{{env.GO}}"]}}
""",
    )
    failed = place.run("run", "flow.yaml", "--run-id", "r", "--param", "token=hush-hush")
    shown = place.run("runs", "show", "r").out
    place.go.touch()

    assert "hush" not in failed.err + shown
    assert resume_line(failed.err)[-2:] == ["--param", "token=VALUE"]
    assert "api_key" not in " ".join(resume_line(failed.err))
    assert resume_line(shown)[-2:] == ["--param", "token=VALUE"]
    assert "api_key" not in " ".join(resume_line(shown))
    words = [word.replace("VALUE", "hush-hush") for word in resume_line(failed.err)]
    assert place.run(*words).code == 0


def test_a_step_that_was_added_to_a_finished_job_is_reported_and_runs_when_it_is_named(place: Place) -> None:
    chain_failed(place)
    place.write("flow.yaml", CHAIN.replace("  - id: b\n", step("a", "added", "true") + "  - id: b\n", 1))
    done = place.run("runs", "retry", "r")
    assert done.code == 0
    assert place.traced() == ["b.s", "c.s"]
    assert "AF635: not run, its job had already ended: a.added; --from a.added runs it" in done.err
    assert "not run, its job had already ended: a.added" in place.run("runs", "show", "r").out
    done = place.run("runs", "retry", "r", "--from", "a.added")
    assert done.code == 0
    assert "runs again: a.added (--from), b.s (--from), c.s (--from)" in done.err
    assert place.traced() == ["a.added", "b.s", "c.s"]
    assert place.query("select distinct status from step_state") == [("SUCCESS",)]


def test_retry_only_leaves_a_failure_where_it_is(place: Place) -> None:
    chain_failed(place)
    place.go.unlink()
    done = place.run("runs", "retry", "r", "--only", "free")
    assert done.code == 1
    assert place.traced() == ["free.s"]
    assert "not run now: b (FAILED), c (BLOCKED)" in done.err
    assert place.status("r") == "FAILED"
    assert place.query("select job_id, status, error is null from job_state order by 1") == [
        ("a", "SUCCESS", 1),
        ("b", "FAILED", 0),
        ("c", "BLOCKED", 1),
        ("free", "SUCCESS", 1),
    ]


FANNED = """
version: 1
flow: {id: fanned}
jobs:
  - id: each
    for_each: [good, bad]
    steps:
      - id: s
        type: external.process
        inputs:
          command: [sh, -c, 'echo "$1" >> "$0"; test "$1" != bad', "{{env.TRACE}}", "{{item}}"]
"""


def test_what_changed_of_a_fan_is_reported_and_the_commands_that_are_reported_work(place: Place) -> None:
    place.write("flow.yaml", FANNED)
    assert place.run("run", "flow.yaml", "--run-id", "r").code == 1
    assert sorted(place.traced()) == ["bad", "good"]
    place.write("flow.yaml", FANNED.replace("[good, bad]", "[good, better]").replace("; test", " ; test"))
    done = place.run("runs", "retry", "r")
    assert done.code == 1
    assert place.traced() == ["bad"]
    assert (
        "each.s is kept although the flow now defines it otherwise; --from each.s runs it again" in done.err
    )
    reported = "the for_each of each has changed, its earlier result is kept; --from each evaluates it again"
    assert reported in done.err
    assert place.run("runs", "retry", "r", "--from", "each[1].s").code == 1
    assert place.traced() == ["bad"]
    assert place.run("runs", "retry", "r", "--from", "each").code == 0
    assert sorted(place.traced()) == ["better", "good"]


def test_what_the_flow_has_no_more_leaves_nothing_pending_behind(place: Place) -> None:
    place.write("flow.yaml", FANNED)
    assert place.run("run", "flow.yaml", "--run-id", "r").code == 1
    place.write("flow.yaml", FANNED.replace("    for_each: [good, bad]\n", "").replace("{{item}}", "plain"))
    done = place.run("runs", "retry", "r")
    assert done.code == 0
    assert "AF636: no longer in the flow: each[0] (SUCCESS), each[1] (FAILED)" in done.err
    assert place.query("select job_id, status from job_state") == [("each", "SUCCESS")]
    assert place.query("select job_id, step_id, status from step_state") == [("each", "s", "SUCCESS")]
