"""One record in every channel: the log as JSON, `--events` and the numbers of a resumed run."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from tests.cli.command_line import CommandLine

TWO = """
version: 1
flow: {id: two}
jobs:
- id: load
  for_each: [north, south]
  steps:
  - {id: read, type: external.process, inputs: {command: [test, -e, "FOLDER/{{item}}"]}}
- id: say
  steps:
  - {id: hello, type: external.process, inputs: {command: [echo, hello]}}
"""


def numbers(records: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return the places of records in the history of their run."""
    return [(record["seq"], record.get("sub_seq", 0)) for record in records]


def test_a_record_is_the_same_in_every_channel_and_its_number_continues_in_a_resume(cli: CommandLine) -> None:
    cli.write("flow.yaml", TWO.replace("FOLDER", str(cli.folder)))
    (cli.folder / "north").touch()
    options = ("--log-format", "json", "--debug", "--events", "events.jsonl")

    first = cli.run("run", "flow.yaml", "--run-id", "r1", *options)
    (cli.folder / "south").touch()
    second = cli.run("runs", "retry", "r1", *options)

    assert (first.code, second.code) == (1, 0)
    assert first.out + second.out == (cli.folder / "events.jsonl").read_text(encoding="utf-8")
    records = [*first.lines(), *second.lines()]
    assert all(one < other for one, other in pairwise(numbers(records)))
    stored = cli.query("SELECT seq, event FROM events WHERE run_id = 'r1' ORDER BY seq")
    shown = [(one["seq"], one["event"]) for one in records if "sub_seq" not in one]
    assert [(seq, name.replace("run_finished", "run_summary")) for seq, name in stored] == shown
    summary = first.lines()[-1]
    assert [event["seq"] for event in records if event["event"] == "run_resumed"] == [summary["seq"] + 1]
    (failure,) = summary["failures"]
    assert (failure["job_id"], failure["step_id"], failure["item"]) == ("load[1]", "read", "south")
    assert failure["place"].startswith("flow.yaml:")
    assert summary["resume"] == f"aetherflow runs retry r1 --state {cli.state}"
    assert {one["trace_id"] for one in records} == {records[0]["trace_id"]}
    steps = [one for one in records if one["event"] == "step_started"]
    assert {(one["job_id"], one.get("item"), one["attempt"]) for one in steps} == {
        ("load[0]", "north", 1),
        ("load[1]", "south", 1),
        ("say", None, 1),
    }
    spans = {one["step_id"] + one["job_id"]: one["span_id"] for one in steps}
    assert len(set(spans.values())) == len(spans) == 3
    assert '"-"' not in json.dumps(records)
