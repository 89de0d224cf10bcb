"""`aetherflow migrate`: what is printed and written, and that the written flow does what 0.0 did."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine

FLOW = """\
flow:
  id: night
  owner: me  # 0.0 ignored it
  workspace: {root: ./work, cleanup_policy: never}
  state: {path: ./state/s.sqlite}
jobs:
  - id: probe
    steps:
      - id: check
        type: check_items
        inputs: {items: "a,b,c", min_count: "2"}
        outputs: {has_data: "{{result.has_data}}", n: "{{result.count}}"}
  - id: two
    when: jobs.probe.outputs.n == 0x3 and jobs.probe.outputs.has_data
    steps:
      - id: words
        type: external.process
        inputs:
          command: [sh, -c, 'echo "$@" "[$D]" "[$N]" "[$Z]"', sh, true, 3.10, 007, ~, yes, 1:30,
            "{{ env.NOPE: x }}"]
          args: [2026-01-01, 1e3, 0x1F, 1_000, .5, null, [1, a]]
          env: {D: on, N: ~, Z: 012}
          log: {stdout: file, file_path: out.txt}
  - id: fails
    steps:
      - id: s
        type: external.process
        inputs: {command: [sh, -c, "echo try >> tries.txt; exit 3"], retry: {max_attempts: 3}}
  - id: never
    steps: [{id: s, type: external.process, inputs: {command: [touch, never.txt]}}]
"""
PRINTED_BY_0_0 = "True 3.1 7 None True 90  x  2026-01-01 1e3 31 1000 0.5 None [1, 'a'] [True] [] [10]\n"
"""What AetherFlow 0.0.14 wrote to out.txt when it ran this flow."""

BY_HAND = FLOW.replace("jobs.probe.outputs.n == 0x3", "jobs.probe.status")
SAME = """\
version: 1
flow: {id: f, max_parallel_jobs: 1}
jobs: [{id: a, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}]
"""


def test_the_written_flow_does_what_0_0_did(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)

    assert cli.run("migrate", "flow.yaml", "--in-place").code == 0
    assert cli.run("validate", "flow.yaml").code == 0
    ended = cli.run("run", "flow.yaml", "--run-id", "r")

    assert ended.code == 1, ended.err
    printed = cli.folder / "work/night/two/r/artifacts/out.txt"
    assert printed.read_text() == PRINTED_BY_0_0
    assert (cli.folder / "tries.txt").read_text() == "try\n"
    assert not (cli.folder / "never.txt").exists()
    assert (cli.folder / "state/s.sqlite").exists()


def test_a_report_writes_nothing(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)

    result = cli.run("migrate", "flow.yaml")

    assert result.code == 0
    assert "flow.yaml:3:3: warning[AF172]: 0.0: the key 'owner' in 'flow' is ignored" in result.err
    assert "  3 |   owner: me  # 0.0 ignored it" in result.err
    assert result.out.splitlines()[-1].startswith("nothing was written: --write NEW or --in-place")
    assert (cli.folder / "flow.yaml").read_text() == FLOW
    assert [path.name for path in cli.folder.glob("*.yaml*")] == ["flow.yaml"]


def test_in_place_keeps_the_old_file_and_its_mode_and_is_done_once(cli: CommandLine) -> None:
    cli.write("real.yaml", FLOW)
    path = cli.folder / "flow.yaml"
    path.symlink_to("real.yaml")
    os.chmod(cli.folder / "real.yaml", 0o640)  # noqa: PTH101 - as a shell would

    first, second = (
        cli.run("migrate", "flow.yaml", "--in-place"),
        cli.run("migrate", "flow.yaml", "--in-place"),
    )

    assert (first.code, second.code) == (0, 0), second.err
    assert path.is_symlink()
    assert (cli.folder / "real.yaml.orig").read_text() == FLOW
    assert (cli.folder / "real.yaml").stat().st_mode & 0o777 == 0o640
    assert second.out == "flow.yaml: nothing to migrate\n"
    assert sorted(path.name for path in cli.folder.glob("*real*")) == ["real.yaml", "real.yaml.orig"]


@pytest.mark.parametrize(
    ("arguments", "there"), [(["--write", "new.yaml"], "new.yaml"), (["--in-place"], "flow.yaml.orig")]
)
def test_nothing_is_overwritten(cli: CommandLine, arguments: list[str], there: str) -> None:
    cli.write("flow.yaml", FLOW)
    cli.write(there, "precious")

    result = cli.run("migrate", "flow.yaml", *arguments)

    assert result.code == 2
    assert "is there already" in result.err
    assert (cli.folder / there).read_text() == "precious"
    assert (cli.folder / "flow.yaml").read_text() == FLOW


def test_paths_are_those_of_the_folder_that_the_new_file_is_in(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)
    (cli.folder / "flows").mkdir()

    assert cli.run("migrate", "flow.yaml", "--write", "flows/new.yaml").code == 0

    text = (cli.folder / "flows/new.yaml").read_text()
    assert 'root: "../work"' in text
    assert 'cwd: "{{flow.dir}}/.."' in text
    assert cli.run("validate", "flows/new.yaml").code == 0


def test_what_a_person_has_to_decide_ends_with_1(cli: CommandLine) -> None:
    cli.write("flow.yaml", BY_HAND.replace("jobs.probe.status and", "jobs.probe.skip_reason == 'x' and"))

    result = cli.run("migrate", "flow.yaml")

    assert result.code == 1
    assert "1 for a person to decide" in result.out
    assert "by hand:" in result.err


def test_a_report_in_json(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)

    report = cli.run("migrate", "flow.yaml", "--write", "new.yaml", "--json").json()

    assert (report["schema"], report["ok"], report["kind"]) == ("aetherflow.migrate/1", True, "flow")
    assert (report["written"], report["original"], report["diagnostics"]) == ("new.yaml", None, [])
    owner = next(one for one in report["differences"] if one["line"] == 3)
    assert owner == {
        "code": "AF172",
        "line": 3,
        "column": 3,
        "there": "the key 'owner' in 'flow' is ignored",
        "here": "it is an error, or has an effect",
        "written": "left out",
        "by_hand": False,
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [("a: [", "AF103"), ("- a\n", "AF110"), ("a: 1\n", "AF110"), ("a: \x07", "AF102"), ("", "AF110")],
)
def test_what_is_no_file_of_0_0_is_refused(cli: CommandLine, text: str, code: str) -> None:
    cli.write("flow.yaml", text)

    result = cli.run("migrate", "flow.yaml", "--in-place")

    assert result.code == 2
    assert code in result.err
    assert [path.name for path in cli.folder.glob("flow*")] == ["flow.yaml"]


def test_a_file_of_this_version_has_nothing_to_migrate(cli: CommandLine) -> None:
    cli.write("flow.yaml", SAME)

    result = cli.run("migrate", "flow.yaml", "--in-place")

    assert (result.code, result.out) == (0, "flow.yaml: nothing to migrate\n")
    assert not Path(cli.folder / "flow.yaml.orig").exists()


def test_a_value_that_may_be_a_secret_is_not_shown(cli: CommandLine) -> None:
    resources = "resources:\n  db: {kind: db, driver: sqlite3, config: {\n    password: 0777123}}\n"
    cli.write("flow.yaml", FLOW + resources)

    result = cli.run("migrate", "flow.yaml", "--json")

    assert "0777123" not in result.out
    assert str(0o777123) not in result.out
    assert f"password: {0o777123}" in _migrated(cli)


def _migrated(cli: CommandLine) -> str:
    cli.run("migrate", "flow.yaml", "--write", "new.yaml")
    return (cli.folder / "new.yaml").read_text()
