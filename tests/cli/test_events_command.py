"""`aetherflow events`, descriptors and CloudEvents: the same record, read by jq and checked by its schema."""

from __future__ import annotations

import json
import os
import shutil

import jsonschema
import pytest

from aetherflow.admin.event_schema import event_schema
from tests.cli.command_line import OK, SECONDS, CommandLine

WAITS = """
version: 1
flow: {id: waits}
jobs:
- id: a
  steps:
  - {id: s, type: external.process, inputs: {command: [sh, -c, "until [ -e FILE ]; do sleep 0.02; done"]}}
"""
BAD = """
version: 1
flow: {id: bad}
jobs:
- id: load
  for_each: [north, "sou\\u0000th ü"]
  steps:
  - {id: read, type: external.process, inputs: {command: [sh, -c, "echo 'a\\tb \\"ü\\"'; exit 3"]}}
"""


def test_the_stored_events_of_a_run_are_the_same_records(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.run("run", "flow.yaml", "--run-id", "r1", "--events", "events.jsonl")
    stored = [
        line
        for line in (cli.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        if "sub_seq" not in json.loads(line)
    ]

    assert cli.run("events", "r1").out.splitlines() == stored
    assert cli.run("events", "--from", "3").out.splitlines() == stored[2:]
    assert cli.run("events", "r1", "--follow").out.splitlines() == stored
    assert cli.bash("aetherflow events | head -1").out.splitlines() == stored[:1]
    assert cli.run("events", "r").out.splitlines() == stored
    missing = cli.run("events", "nobody")
    assert (missing.code, missing.out) == (2, "")
    assert "there is no run 'nobody'" in missing.err


def test_a_machine_without_a_run_says_so_and_prints_no_line(cli: CommandLine) -> None:
    nothing = cli.run("events")

    assert (nothing.code, nothing.out, nothing.err) == (0, "", "there are no runs yet\n")


def test_a_run_that_is_followed_is_shown_to_its_end(cli: CommandLine) -> None:
    cli.write("flow.yaml", WAITS.replace("FILE", str(cli.folder / "go")))
    with cli.start("run", "flow.yaml", "--run-id", "r1", "--log-format", "json") as run:
        run.event("step_started")
        with cli.start("events", "r1", "--follow", "--from", "2") as follower:
            assert follower.event("job_started")["seq"] == 2
            (cli.folder / "go").touch()
            assert follower.event("run_summary") == run.event("run_summary")
            assert follower.end().code == run.end().code == 0


def test_a_number_behind_the_last_event_is_noted(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    assert cli.run("run", "flow.yaml", "--run-id", "r1").code == 0

    result = cli.run("events", "r1", "--from", "999")

    assert (result.code, result.out) == (0, "")
    assert result.err == "run r1 has no event from 999 on: its last one is 6\n"


def test_who_follows_ends_when_its_reader_leaves_and_not_only_at_the_next_event(cli: CommandLine) -> None:
    cli.write("flow.yaml", WAITS.replace("FILE", str(cli.folder / "go")))
    with cli.start("run", "flow.yaml", "--run-id", "r1", "--log-format", "json") as run:
        run.event("step_started")
        with cli.start("events", "r1", "--follow") as follower:
            follower.event("step_started")
            assert follower.process.stdout is not None
            follower.process.stdout.close()
            follower.process.wait(timeout=SECONDS)
        (cli.folder / "go").touch()
        assert run.end().code == 0


def test_events_go_to_a_descriptor_that_the_shell_opened(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)

    assert cli.bash("aetherflow run flow.yaml --events fd:3 3>got 2>/dev/null").code == 0
    assert json.loads((cli.folder / "got").read_text().splitlines()[-1])["event"] == "run_summary"
    for number, why in (
        ("9", "Bad file descriptor"),
        ("9" * 20, "no such descriptor"),
        ("x", "not the number"),
        ("4", "for reading only"),
    ):
        refused = cli.bash(f"aetherflow run flow.yaml --events fd:{number} 4<flow.yaml")
        assert (refused.code, why in refused.err) == (2, True)
    both = cli.run("run", "flow.yaml", "--events", "fd:1", "--log-format", "json")
    assert "would both write to standard output" in both.err


def test_every_record_fits_the_schema_and_a_cloud_event_holds_it(cli: CommandLine) -> None:
    cli.write("flow.yaml", BAD)
    options = ("--debug", "--events", "events.jsonl", "--run-id", "r1")
    result = cli.run("run", "flow.yaml", "--log-format", "cloudevents", *options)
    envelopes = result.lines()
    check = jsonschema.Draft7Validator(event_schema(), format_checker=jsonschema.FormatChecker())

    assert result.out == (cli.folder / "events.jsonl").read_text(encoding="utf-8")
    for one in envelopes:
        check.validate(one["data"])
        assert {"specversion", "id", "source", "type"} <= one.keys()
        assert one["specversion"] == "1.0"
        assert one["type"] == f"aetherflow.{one['data']['event']}"
        assert one["time"] == one["data"]["timestamp"]
        assert one["traceparent"] == f"00-{one['data']['trace_id']}-{one['data']['span_id']}-01"
    assert len({one["id"] for one in envelopes}) == len(envelopes)
    assert {one["source"] for one in envelopes} == {"/aetherflow/flows/bad"}
    assert {one.get("subject") for one in envelopes} >= {"load", "load[1]", "load[1]/read"}
    again = cli.run("events", "r1", "--log-format", "cloudevents").lines()
    assert again == [one for one in envelopes if "sub_seq" not in one["data"]]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed: apt-get install jq")
def test_jq_reads_every_line_and_the_failures_of_the_summary(cli: CommandLine) -> None:
    cli.write("flow.yaml", BAD)
    read = (
        "jq -r 'select(.event == \"run_summary\") | .failures[] | [.job_id, .error.code // .reason] | @tsv'"
    )

    result = cli.bash(f"aetherflow run flow.yaml --run-id r1 --log-format json | tee got | {read}")
    texts = cli.bash("jq -rj 'select(.event == \"step_output\") | .text' got")
    ecs = cli.bash(
        'aetherflow events r1 | jq -c \'{"@timestamp": .timestamp, "log.level": .level, message, '
        '"trace.id": .trace_id, labels: {flow_id, run_id, job_id, step_id} | with_entries(select(.value))}\''
    )

    assert sorted(result.out.splitlines()) == [
        "load[0]\tAF732",
        "load[1]\tAF732",
    ]
    assert texts.out.count("ü") == 2
    assert json.loads(ecs.out.splitlines()[-1])["labels"] == {"flow_id": "bad", "run_id": "r1"}


@pytest.mark.parametrize("options", [("--log-format", "json"), ("--events", "-")])
def test_a_reader_that_reads_nothing_does_not_stop_a_run(cli: CommandLine, options: tuple[str, ...]) -> None:
    cli.write("flow.yaml", OK)
    reader, writer = os.pipe()
    try:
        # The pipe is full already, so that the first line waits.
        os.set_blocking(writer, False)
        while True:
            try:
                os.write(writer, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(writer, True)
        result = cli.run("run", "flow.yaml", "--run-id", "r1", *options, stdout=writer)
    finally:
        os.close(writer)
        os.close(reader)

    assert result.code == 0
    assert "is incomplete: " in result.err
    assert f"hint: aetherflow events r1 --state {cli.state} prints all that are stored" in result.err
    assert cli.query("SELECT status FROM runs") == [("SUCCESS",)]
