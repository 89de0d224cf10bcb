"""Each difference between 0.0 and this version: what is found, and what is written."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.migration.migrate_file import Migration, migrate_text
from aetherflow.migration.surroundings import Surroundings
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.server.schedule_files import check_schedule_file
from tests.migration.cases import CONDITIONS, HEAD, JOB, MANIFESTS, MARK, PROCESSES, SCHEDULES, STEPS, Row

STEP_TYPES = ("check_items", "with_lock", "external.process", "db_extract")
HERE = Surroundings("/project", "/project", STEP_TYPES, lambda _: None)


def migrated(text: str, around: Surroundings = HERE) -> Migration:
    return migrate_text(text, "old.yaml", around)


def codes_of(migration: Migration) -> str:
    return " ".join(f"{found.code}{'!' * found.by_hand}" for found in migration.differences)


def ids(row: Row) -> str:
    return row.about


@pytest.mark.parametrize("row", [*STEPS, *PROCESSES, *CONDITIONS], ids=ids)
def test_a_part_of_a_flow(row: Row) -> None:
    migration = migrated(HEAD + JOB + row.old)

    assert migration.text == HEAD + MARK + JOB + row.new
    assert codes_of(migration) == f"AF170 {row.codes}".strip()


@pytest.mark.parametrize("row", [*SCHEDULES, *MANIFESTS], ids=ids)
def test_a_scheduler_file_or_a_manifest(row: Row) -> None:
    migration = migrated(row.old)

    assert migration.text == row.new
    assert codes_of(migration) == row.codes


@pytest.mark.parametrize("row", [*STEPS, *PROCESSES, *CONDITIONS, *SCHEDULES, *MANIFESTS], ids=ids)
def test_migrating_again_finds_nothing_but_what_a_person_has_to_decide(row: Row) -> None:
    is_part = row not in (*SCHEDULES, *MANIFESTS)
    first = migrated((HEAD + JOB if is_part else "") + row.old)

    again = migrated(first.text)

    assert again.text == first.text
    assert {found.by_hand for found in again.differences} <= {True}


def test_a_flow_that_says_nothing_gets_the_places_of_0_0() -> None:
    migration = migrated("flow: {id: f}\n" + JOB)

    assert migration.text == (
        "version: 1\nflow: {id: f, max_parallel_jobs: 1, fail_fast: true, workspace: {root: /tmp/work}, "
        "state: {path: /tmp/state/aetherflow.sqlite}}\n" + JOB
    )


def test_locks_that_had_no_effect_have_none() -> None:
    migration = migrated(HEAD + "  locks: {scope: job, ttl_seconds: 9}\n" + JOB)

    assert "locks: {scope: none, ttl_seconds: 9}" in migration.text


def test_a_program_runs_where_0_0_was_started() -> None:
    step = "      - {id: p, type: external.process, inputs: {command: ls}}\n"
    elsewhere = Surroundings("/project/flows", "/project", STEP_TYPES, lambda _: None)

    assert "{command: ls, cwd: flow}" in migrated(HEAD + JOB + step).text
    assert '{command: ls, cwd: "{{flow.dir}}/.."}' in migrated(HEAD + JOB + step, elsewhere).text


def test_relative_places_begin_at_the_file() -> None:
    elsewhere = Surroundings("/project/flows", "/project", STEP_TYPES, lambda _: None)
    head = HEAD.replace("/srv/work", "work").replace("/srv/state.sqlite", "state/x.sqlite")

    text = migrated(head + JOB, elsewhere).text

    assert '{root: "../work"}' in text
    assert '{path: "../state/x.sqlite"}' in text


def test_a_path_of_a_schedule_begins_at_the_file_unless_it_is_found_as_before() -> None:
    text = "version: 1\ntimezone: UTC\nitems:\n  - {id: i, cron: 0 6 * * *, flow_yaml: flows/f.yaml}\n"

    def migrated_with(*files: str) -> str:
        around = Surroundings("/p/etc", "/p", STEP_TYPES, lambda path: "" if path in files else None)
        return migrated(text, around).text

    assert 'flow_yaml: "../flows/f.yaml"' in migrated_with("/p/flows/f.yaml")
    assert migrated_with("/p/etc/flows/f.yaml") == text


def test_a_job_that_is_fired_alone_is_looked_at_in_its_flow() -> None:
    schedule = (
        "version: 1\ntimezone: UTC\nitems:\n  - {id: i, cron: 0 6 * * *, flow_yaml: f.yaml, flow_job: b}\n"
    )
    alone = "jobs:\n  - {id: a, steps: []}\n  - {id: b, steps: []}\n"

    def codes_with(flow: str) -> str:
        return codes_of(migrated(schedule, Surroundings("/p", "/p", STEP_TYPES, lambda _: flow)))

    assert codes_with(alone) == ""
    assert codes_with(alone.replace("id: b", "id: b, depends_on: [a]")) == "AF178!"


def test_a_step_type_that_is_not_installed_is_for_a_person() -> None:
    migration = migrated(HEAD + JOB.replace("check_items", "sap_extract"))

    assert "AF181!" in codes_of(migration).split()


def test_comments_blank_lines_and_line_ends_stay() -> None:
    text = ("# top\n" + HEAD + "\n# jobs\n" + JOB).replace("\n", "\r\n")

    assert migrated(text).text == ("# top\n" + HEAD + MARK + "\n# jobs\n" + JOB).replace("\n", "\r\n")


@pytest.mark.parametrize("start", ["\ufeff", "---\n", "%YAML 1.1\n---\n", "# a\n\n---\n"])
def test_what_is_before_the_first_key_stays(start: str) -> None:
    text = start + HEAD.removeprefix("version: 1\n") + JOB

    assert migrated(text).text == start + HEAD + MARK + JOB
    assert migrated(text.replace("\n", "\r\n")).text == (start + HEAD + MARK + JOB).replace("\n", "\r\n")


def test_merged_and_aliased_parts_are_written_once() -> None:
    steps = (
        "      - &one {id: p, type: external.process, inputs: &in {cwd: /, command: [e, yes]}}\n"
        "      - {<<: *one, id: q}\n"
    )

    migration = migrated(HEAD + JOB + steps)

    assert migration.text == HEAD + MARK + JOB + steps.replace("yes", '"True"')


@pytest.mark.parametrize(
    "text",
    [
        HEAD + MARK + JOB + "    timeout_seconds: 5\n",
        HEAD + "  params: {day: {}}\n" + JOB + "    timeout_seconds: 5\n",
        HEAD + JOB + "    for_each: [1, 2]\n    timeout_seconds: 5\n",
    ],
)
def test_keys_of_a_flow_that_was_written_for_this_version_stay(text: str) -> None:
    assert migrated(text).text == text
    assert migrated(text).differences == ()


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 9999,
        "flow: {id: f}\njobs:\n  - &a {id: a, steps: [*a], password: [*a]}\n",
        "flow: {id: f}\njobs: [{id: a, steps: [{id: s, type: external.process, inputs: {args: &b [*b]}}]}]\n",
        "jobs: [{id: a, steps: [&s {id: s, type: with_lock, inputs: {lock_key: k, step: *s}}]}]\n",
        "flow: &f {id: f, <<: *f}\njobs: []\n",
    ],
)
def test_a_file_that_holds_itself_ends_the_command_too(text: str) -> None:
    with suppress(InvalidInput):
        migrated(text)


def test_anchors_in_a_key_that_is_left_out_move_to_their_first_use() -> None:
    old = (
        "x-shared:\n  - &in\n    cwd: /  # root\n    command: [e, yes, 'a, b']\n"
        "  - &other {<<: *in, shell: off}\n# the flow\n"
        + HEAD
        + JOB
        + "      - id: p\n        type: external.process\n        inputs:\n          <<: *in\n"
        "      - {id: q, type: external.process, inputs: *in}\n"
        "      - {id: r, type: external.process, inputs: *other}\n"
    )

    assert migrated(old).text == (
        "# the flow\n"
        + HEAD
        + MARK
        + JOB
        + "      - id: p\n        type: external.process\n        inputs:\n"
        '          <<: &in {cwd: /, command: [e, "True", "a, b"]}\n'
        "      - {id: q, type: external.process, inputs: *in}\n"
        "      - {id: r, type: external.process, inputs: "
        '&other {<<: {cwd: /, command: [e, "True", "a, b"]}, shell: false}}\n'
    )


@pytest.mark.parametrize("row", [*STEPS, *PROCESSES, *CONDITIONS], ids=ids)
def test_a_written_flow_is_valid(row: Row, tmp_path: Path) -> None:
    flow = tmp_path / "new.yaml"
    flow.write_text(migrated(HEAD + JOB + row.old).text)

    checked = load_checked_flow(flow, {"HOME": str(tmp_path)})

    wrong = [f"{one.code} {one.message}" for one in checked.diagnostics if one.severity == "error"]
    assert wrong == [] or "!" in row.codes


@pytest.mark.parametrize("row", SCHEDULES, ids=ids)
def test_a_written_scheduler_file_is_valid(row: Row, tmp_path: Path) -> None:
    for name in ("f.yaml", "b.yaml"):
        (tmp_path / name).write_text(HEAD + JOB)
    schedule = tmp_path / "new.yaml"
    schedule.write_text(migrated(row.old).text)

    checked = check_schedule_file(schedule)

    assert [str(one) for one in checked.diagnostics if one.severity == "error"] == []
