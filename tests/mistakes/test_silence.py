"""What looks like a mistake and is none: nothing is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mistakes.mistake import flow, process
from tests.mistakes.test_mistakes import found

PARAMS = (
    "flow: {id: f, params: {msg: {default: x}, n: {type: int, default: 1}, "
    "d: {type: date, default: 2026-01-01}, e: {type: enum, enum: [a], default: a}}}"
)


@pytest.mark.parametrize(
    "inputs",
    [
        'command: [sh, -c, "echo {{params.n}} {{params.d}} {{params.e}} {{run.date}} {{run_id}}"]',
        'command: [sh, -c, "echo {{jobs.a.outputs.n}} {{jobs.a.status}}"]',
        "command: [sh, -c, 'echo \"$1\"', sh, '{{params.msg}}']",
        "command: [bash, script.sh, '{{params.msg}}']",
        "command: [sh, deploy.sh, -c, '{{params.msg}}']",
        "command: [python3, script.py, -c, '{{params.msg}}']",
        "command: [tar, -c, '{{params.msg}}']",
        "command: '/opt/My Tools/run.sh'",
        "command: ls",
        "command: '{{params.msg}}'",
        "command: '{{env.TOOLS:/opt}}/bin/run'",
        "command: [grep, 'a|b', x]",
        "command: [awk, '{print $1 > 2}']",
        "command: [sed, 's/$x//']",
        "command: [expr, 1, '>', 2]",
        "command: [ssh, host, a, '|', b]",
        "command: [find, ., -name, '*.csv', -exec, rm, '{}', ';']",
        "command: [echo, $, $5, $$]",
        "command: [sh, -c, 'params=1; echo $params.day']",
        "command: [python3, -c, 'print(f\"{params.day}\")']",
        "command: [sh, -c, 'for f in ${files}; do echo $f; done']",
    ],
)
def test_a_command_that_is_right_has_no_warning(inputs: str, tmp_path: Path) -> None:
    assert list(map(str, found(process(inputs, PARAMS), tmp_path, is_schedule=False))) == []


STEPS = "steps: [{id: t, type: external.process, inputs:"


def test_items_that_are_written_in_the_flow_change_no_script(tmp_path: Path) -> None:
    text = process("command: [sh, -c, 'echo {{item}}']").replace("depends_on: [a]", "for_each: [x.csv, y z]")

    assert found(text, tmp_path, is_schedule=False) == []
    told = found(text.replace("y z", "y;z"), tmp_path, is_schedule=False)
    assert [one.code for one in told] == ["AF438"]


MAKE = """\
- id: make
  steps:
    - id: s
      type: external.process
      inputs: {command: [touch, FILE], success: {require_files: [FILE]}}
"""


@pytest.mark.parametrize(
    ("file", "use"),
    [
        ("x", "- {id: use, STEPS {command: [cat, y]}}]}"),
        ("/d/x", "- {id: use, depends_on: [make], STEPS {command: [cat, /d/x]}}]}"),
        ("/d/x", "- {id: use, when: jobs.make.status != '', STEPS {command: [cat, /d/x]}}]}"),
        (
            "x",
            """\
- id: use
  steps:
    - {id: t, type: external.process, inputs: {command: [touch, x]}}
    - {id: u, type: external.process, inputs: {command: [cat, x]}}""",
        ),
        ("x", "- {id: use, STEPS {command: [cp, y, x]}}]}"),
        ("x", "- {id: use, STEPS {command: [cat, x], cwd: /d}}]}"),
    ],
)
def test_a_file_that_the_job_may_have_has_no_warning(file: str, use: str, tmp_path: Path) -> None:
    text = flow(MAKE.replace("FILE", file) + use.replace("STEPS", STEPS))

    assert list(map(str, found(text, tmp_path, is_schedule=False))) == []


def test_a_comment_behind_a_password_is_a_comment(tmp_path: Path) -> None:
    text = process(
        "command: [env]\nenv:\n  DB_PASSWORD: 'abc #d'  #quoted\n  TOKEN: abc # as usual\n  NAME: x #y"
    )

    assert list(map(str, found(text, tmp_path, is_schedule=False))) == []


@pytest.mark.parametrize(
    "command", ["curl -u me:hunter2x --password=hunter2x x", "[curl, '--password=hunter2x', '>', x]"]
)
def test_a_secret_in_a_command_line_is_not_repeated(command: str, tmp_path: Path) -> None:
    told = found(process(f"command: {command}"), tmp_path, is_schedule=False)

    assert {"AF436", "AF437"} & {one.code for one in told}
    assert "hunter2x" not in "".join(map(str, told))
