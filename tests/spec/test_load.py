"""The flow file and the profiles file, from a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from aetherflow.errors import InvalidInput
from aetherflow.spec.document import parse_document
from aetherflow.spec.flow import FlowFile, ProfileSpec, RetrySpec
from aetherflow.spec.load import load_flow, load_profiles, read_flow, read_schedule

FULL = """\
version: 1
flow:
  id: demo_flow
  description: everything that may be written
  workspace:
    root: /tmp/work
    cleanup_policy: on_success
    layout: {artifacts: artifacts, scratch: scratch, manifests: manifests, extra: kept}
  state: {backend: sqlite, path: /tmp/state/state.db, synchronous: full}
  locks: {scope: none, ttl_seconds: 600}
  params:
    day: {type: date, default: "2026-01-01", description: text, required: false, enum: []}
    limit: {type: int, default: 3, enum: [1, 2, 3]}
  max_parallel_jobs: 8
  fail_fast: false
  timeout_seconds: 3600
  retry: {max_attempts: 1, retry_on: [timeout, connection]}
  on_success: []
  on_failure: [{id: tell, type: mail_send, inputs: {resource: mail, to: a@b.c}}]
  on_exit: []
resources:
  db: {kind: db, driver: sqlalchemy, profile: main, config: {url: "{{env.DB_URL}}"}, options: {}, decode: {}}
jobs:
  - id: extract
    description: text
    depends_on: [probe]
    when: jobs.probe.outputs.has_data == true
    for_each: "{{jobs.list.outputs.files}}"
    max_parallel: 4
    timeout_seconds: 600
    retry: {max_attempts: 2}
    steps:
      - id: pull
        type: db_extract
        description: text
        inputs: {resource: db, nested: {list: [1, two, null]}}
        outputs: {rows: "{{result.rows}}"}
        on_no_data: skip_job
        timeout_seconds: 60
        retry:
          max_attempts: 3
          backoff_seconds: 5
          backoff_multiplier: 2
          max_backoff_seconds: 60
          jitter: true
          retry_on: [any]
        continue_on_error: false
        on_interrupt: rerun
  - {id: probe, when: true, steps: [{id: check, type: check_items}]}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_text(text)
    return path


def complaint(tmp_path: Path, text: str) -> str:
    path = write(tmp_path, text)
    with pytest.raises(InvalidInput) as raised:
        load_flow(path)
    without_excerpts = [str(replace(one, excerpt="")) for one in raised.value.diagnostics]
    return "\n".join(without_excerpts).replace(f"{tmp_path}/", "")


def test_a_flow_with_every_key_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path, FULL)
    loaded = load_flow(path)
    spec = loaded.spec
    assert loaded.path == path
    assert loaded.document.file == str(path)
    assert spec.flow.workspace.layout["extra"] == "kept"
    assert spec.flow.params["day"].default == "2026-01-01"
    assert spec.flow.params["limit"].enum == [1, 2, 3]
    assert spec.flow.on_failure[0].id == "tell"
    assert spec.resources["db"].config == {"url": "{{env.DB_URL}}"}
    assert spec.jobs[0].steps[0].inputs["nested"] == {"list": [1, "two", None]}
    assert spec.jobs[0].steps[0].retry == RetrySpec(
        max_attempts=3, backoff_seconds=5, backoff_multiplier=2, max_backoff_seconds=60, retry_on=["any"]
    )
    assert spec.jobs[1].when is True


def test_the_least_flow_gets_the_defaults(tmp_path: Path) -> None:
    spec = load_flow(
        write(tmp_path, "version: 1\nflow: {id: a}\njobs: [{id: b, steps: [{id: c, type: t}]}]\n")
    ).spec
    assert spec.flow.workspace.cleanup_policy == "on_success"
    assert spec.flow.locks.scope == "none"
    assert spec.flow.retry is None
    assert RetrySpec().retry_on == ["any"]
    assert spec.jobs[0].steps[0].on_interrupt == "rerun"
    assert spec.resources == {}


def test_a_megabyte_of_text_is_loaded(tmp_path: Path) -> None:
    sql = "x" * 2**20
    flow = FULL.replace("{resource: db, nested", f"{{resource: db, sql: {sql}, nested")
    assert load_flow(write(tmp_path, flow)).spec.jobs[0].steps[0].inputs["sql"] == sql


# each case: what is replaced in the full flow, by what, and the whole complaint
CHANGED: dict[str, tuple[str, str, str]] = {
    "another version": (
        "version: 1",
        "version: 2",
        "flow.yaml:1:1: error[AF113]: 'version': expected 1, got the number 2\n    hint: write 1",
    ),
    "no version": (
        "version: 1\n",
        "",
        "flow.yaml:1:1: error[AF112]: missing key 'version' in the flow file\n    hint: add 'version: 1'",
    ),
    "an unknown key of the file": (
        "resources:",
        "resource:",
        (
            "flow.yaml:21:1: error[AF111]: unknown key 'resource' in the flow file\n"
            "    hint: did you mean 'resources'?"
        ),
    ),
    "an unknown key of the flow": (
        "  fail_fast:",
        "  failfast:",
        "flow.yaml:15:3: error[AF111]: unknown key 'failfast' in 'flow'\n    hint: did you mean 'fail_fast'?",
    ),
    "an unknown key of the workspace": (
        "    root:",
        "    rot:",
        "flow.yaml:6:5: error[AF111]: unknown key 'rot' in 'workspace'\n    hint: did you mean 'root'?",
    ),
    "an unknown key of the state": (
        "backend:",
        "zzz: 1, backend:",
        (
            "flow.yaml:9:11: error[AF111]: unknown key 'zzz' in 'state'\n"
            "    hint: known keys: backend, path, synchronous"
        ),
    ),
    "an unknown key of the locks": (
        "{scope:",
        "{ttl: 3, scope:",
        (
            "flow.yaml:10:11: error[AF111]: unknown key 'ttl' in 'locks'\n"
            "    hint: known keys: scope, ttl_seconds"
        ),
    ),
    "an unknown key of a parameter": (
        "required:",
        "require:",
        (
            "flow.yaml:12:65: error[AF111]: unknown key 'require' in a parameter\n"
            "    hint: did you mean 'required'?"
        ),
    ),
    "an unknown key of a resource": (
        "driver:",
        "drivers:",
        (
            "flow.yaml:22:18: error[AF111]: unknown key 'drivers' in a resource\n"
            "    hint: did you mean 'driver'?"
        ),
    ),
    "an unknown key of a job": (
        "depends_on:",
        "depend_on:",
        (
            "flow.yaml:26:5: error[AF111]: unknown key 'depend_on' in a job\n"
            "    hint: did you mean 'depends_on'?"
        ),
    ),
    "an unknown key of a step": (
        "        inputs:",
        "        with:",
        "flow.yaml:36:9: error[AF111]: unknown key 'with' in a step\n    hint: did you mean 'inputs'?",
    ),
    "an unknown key of a retry": (
        "          max_attempts:",
        "          attempts:",
        (
            "flow.yaml:41:11: error[AF111]: unknown key 'attempts' in 'retry'\n"
            "    hint: did you mean 'max_attempts'?"
        ),
    ),
    "an unknown key of a hook's step": (
        "{id: tell,",
        "{id: tell, shell: x,",
        (
            "flow.yaml:19:27: error[AF111]: unknown key 'shell' in a step\n"
            "    hint: a step that runs a program is: type: external.process, and under it inputs: "
            "{command: [PROGRAM, ARGUMENT]}, or inputs: {shell: true, command: 'a | b'}"
        ),
    ),
    "a wrong type at depth": (
        "jitter: true",
        "jitter: yes",
        (
            "flow.yaml:45:11: error[AF110]: 'jitter': expected true or false, got the text 'yes'\n"
            "    hint: write true or false, without quotes"
        ),
    ),
    "a wrong word at depth": (
        "retry_on: [any]",
        "retry_on: [timeout, exitcode]",
        (
            "flow.yaml:46:31: error[AF113]: item 2 of 'retry_on': the text 'exitcode' is not allowed\n"
            "    hint: did you mean 'exit_code'? allowed: any, connection, exit_code, lost, timeout"
        ),
    ),
    "a text for a list": (
        "depends_on: [probe]",
        "depends_on: probe",
        (
            "flow.yaml:26:5: error[AF110]: 'depends_on': expected a list, got the text 'probe'\n"
            "    hint: write it as a list: [probe]"
        ),
    ),
    "a key without a value": (
        "outputs: {rows",
        "outputs:\n        inputs2: {rows",
        (
            "flow.yaml:37:9: error[AF110]: 'outputs': expected a mapping, got nothing\n"
            "    hint: indent what belongs to it deeper than the key itself, or remove the key\n"
            "flow.yaml:38:9: error[AF111]: unknown key 'inputs2' in a step\n"
            "    hint: an input of the step's type belongs under `inputs:`, indented; "
            "known keys: id, type, description, inputs, outputs, on_no_data, timeout_seconds, "
            "retry, continue_on_error, on_interrupt, pool, slots, "
            "executor, resources, runs_on"
        ),
    ),
    "an id that is no name": (
        "- id: extract",
        "- id: .1st extract",
        (
            "flow.yaml:24:5: error[AF113]: 'id': '.1st extract' is not allowed\n"
            "    hint: write a name of letters, digits, '_', '.' and '-', with no '.' or '-' first"
        ),
    ),
    "an id that ends with a line feed": (
        "- id: extract",
        '- id: "extract\\n"',
        (
            "flow.yaml:24:5: error[AF113]: 'id': 'extract\\n' is not allowed\n"
            "    hint: write a name of letters, digits, '_', '.' and '-', with no '.' or '-' first"
        ),
    ),
    "an id that is too long": (
        "id: demo_flow",
        f"id: {'x' * 129}",
        ("flow.yaml:3:3: error[AF113]: 'id': may have at most 128 characters, has 129\n    hint: shorten it"),
    ),
    "a time limit without an end": (
        "ttl_seconds: 600",
        "ttl_seconds: .inf",
        (
            "flow.yaml:10:24: error[AF113]: 'ttl_seconds': the number inf is out of range\n"
            "    hint: write a number that is at most 315360000"
        ),
    ),
    "a job without steps": (
        "steps: [{id: check, type: check_items}]",
        "steps: []",
        ("flow.yaml:49:29: error[AF113]: 'steps': needs at least 1 item, has 0\n    hint: add 1 item"),
    ),
    "two jobs of one id": (
        "- {id: probe",
        "- {id: extract",
        (
            "flow.yaml:49:6: error[AF120]: duplicate job id 'extract': it is already on line 24\n"
            "    hint: give each job its own id"
        ),
    ),
    "two steps of one id": (
        "[{id: check, type: check_items}]",
        "[{id: s, type: t}, {id: o, type: t}, {type: t, id: s}]",
        (
            "flow.yaml:49:83: error[AF120]: duplicate step id 's': it is already on line 49\n"
            "    hint: give each step its own id"
        ),
    ),
    "two hook steps of one id": (
        "on_exit: []",
        "on_exit: [{id: a, type: t}, {id: a, type: t}]",
        (
            "flow.yaml:20:32: error[AF120]: duplicate step id 'a': it is already on line 20\n"
            "    hint: give each step its own id"
        ),
    ),
    "a duplicate key": (
        "    max_parallel: 4\n",
        "    max_parallel: 4\n    max_parallel: 5\n",
        (
            "flow.yaml:30:5: error[AF104]: duplicate key 'max_parallel': it is already on line 29\n"
            "    hint: remove one of the two"
        ),
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_one_slip_in_a_full_flow_gives_one_complaint(case: str, tmp_path: Path) -> None:
    before, after, expected = CHANGED[case]
    assert FULL.count(before) >= 1
    assert complaint(tmp_path, FULL.replace(before, after, 1)) == expected


def test_the_same_step_id_in_two_jobs_is_fine(tmp_path: Path) -> None:
    jobs = "".join(f"  - {{id: j{n}, steps: [{{id: s, type: t}}]}}\n" for n in range(3))
    assert len(load_flow(write(tmp_path, f"version: 1\nflow: {{id: a}}\njobs:\n{jobs}")).spec.jobs) == 3


def test_a_third_job_of_one_id_names_the_first(tmp_path: Path) -> None:
    jobs = "".join(f"  - id: a\n    steps: [{{id: s{n}, type: t}}]\n" for n in range(3))
    lines = complaint(tmp_path, f"version: 1\nflow: {{id: a}}\njobs:\n{jobs}").splitlines()
    assert [line for line in lines if "AF120" in line] == [
        "flow.yaml:6:5: error[AF120]: duplicate job id 'a': it is already on line 4",
        "flow.yaml:8:5: error[AF120]: duplicate job id 'a': it is already on line 4",
    ]


def test_errors_of_shape_and_duplicate_ids_are_reported_together_in_order(tmp_path: Path) -> None:
    text = """\
version: 3
flow: {id: a, failfast: true}
jobs:
  - {id: x, steps: [{id: s, type: t}, {id: s, type: [5]}]}
  - {id: x, steps: {}}
  - {id: -, need: [x], steps: [{id: s}]}
  - text
"""
    places = [line.split(" error")[0] for line in complaint(tmp_path, text).splitlines() if "error[" in line]
    assert places == [
        "flow.yaml:1:1:",
        "flow.yaml:2:15:",
        "flow.yaml:4:40:",
        "flow.yaml:4:47:",
        "flow.yaml:5:6:",
        "flow.yaml:5:13:",
        "flow.yaml:6:6:",
        "flow.yaml:6:13:",
        "flow.yaml:6:32:",
        "flow.yaml:7:5:",
    ]


def test_the_error_carries_its_findings_as_data(tmp_path: Path) -> None:
    path = write(tmp_path, "version: 2\n")
    with pytest.raises(InvalidInput) as raised:
        load_flow(path)
    assert [d.code for d in raised.value.diagnostics] == ["AF113", "AF112", "AF112"]
    assert {d.file for d in raised.value.diagnostics} == {str(path)}
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "got"),
    [("- a\n- b\n", "a list"), ("just text\n", "the text 'just text'"), ("5\n", "the number 5")],
)
def test_a_flow_that_is_no_mapping_says_what_belongs_there(text: str, got: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, text) == (
        f"flow.yaml:1:1: error[AF110]: the file: expected a mapping, got {got}\n"
        "    hint: known keys: version, flow, jobs, resources"
    )


def test_no_file_and_a_directory_are_reported(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.yaml", "there is no such file"), (tmp_path, "this is a directory")):
        with pytest.raises(InvalidInput) as raised:
            load_flow(path)
        assert str(raised.value).startswith(f"{path}:1:1: error[AF101]: {words}")


def test_a_large_flow_is_loaded_whole(tmp_path: Path) -> None:
    jobs = "".join(
        f"  - id: job_{n}\n    depends_on: [{f'job_{n - 1}' if n else ''}]\n"
        f"    steps: [{{id: s, type: check_items, inputs: {{items: [a, b]}}}}]\n"
        for n in range(5000)
    )
    loaded = load_flow(write(tmp_path, f"version: 1\nflow: {{id: big}}\njobs:\n{jobs}"))
    assert isinstance(loaded.spec, FlowFile)
    assert loaded.spec.jobs[4999].depends_on == ["job_4998"]
    assert loaded.document.position(("jobs", 4999, "depends_on")).line == 4 + 3 * 4999 + 1


def test_profiles_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "profiles.yaml"
    path.write_text('main:\n  config: {url: "{{env.URL}}"}\n  decode: {config: {password: true}}\nnone: {}\n')
    assert load_profiles(path) == {
        "main": ProfileSpec(config={"url": "{{env.URL}}"}, decode={"config": {"password": True}}),
        "none": ProfileSpec(),
    }


def test_profiles_are_taken_from_a_document() -> None:
    document = parse_document('{"a": {"options": {"pool": 3}}}', "AETHERFLOW_PROFILES_JSON")
    assert load_profiles(document) == {"a": ProfileSpec(options={"pool": 3})}


def test_all_that_is_wrong_with_profiles_is_reported_with_places(tmp_path: Path) -> None:
    path = tmp_path / "profiles.yaml"
    path.write_text("a:\n  confg: {}\nb: text\nc:\n  options: [x]\n")
    with pytest.raises(InvalidInput) as raised:
        load_profiles(path)
    assert str(raised.value).replace(f"{tmp_path}/", "") == (
        "profiles.yaml:2:3: error[AF111]: unknown key 'confg' in a profile\n"
        "    hint: did you mean 'config'?\n"
        "profiles.yaml:3:1: error[AF110]: 'b': expected a mapping, got the text 'text'\n"
        "    hint: known keys: config, options, decode\n"
        "profiles.yaml:5:3: error[AF110]: 'options': expected a mapping, got a list\n"
        "    hint: write 'key: value' lines"
    )


def test_a_list_of_profiles_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"^p:1:1: error\[AF110\]: the file: expected a mapping, got a list"
    ):
        load_profiles(parse_document("- a\n", "p"))


def test_a_flow_and_a_scheduler_file_that_are_mixed_up_are_named(tmp_path: Path) -> None:
    flow, schedule = tmp_path / "flow.yaml", tmp_path / "scheduler.yaml"
    flow.write_text("version: 1\nflow: {id: f}\njobs: [{id: a, steps: []}]\n")
    schedule.write_text("version: 1\ntimezone: UTC\nitems: []\n")

    (not_a_flow,) = read_flow(schedule)[1]
    (not_a_schedule,) = read_schedule(flow)[1]

    assert not_a_flow.message == "this is a scheduler file, not a flow"
    assert not_a_flow.hint == f"aetherflow serve {schedule} runs it"
    assert not_a_schedule.message == "this is a flow, not a scheduler file"
    assert not_a_schedule.hint == (
        f"aetherflow run {flow} runs it; a scheduler file has items: aetherflow help schedules"
    )
