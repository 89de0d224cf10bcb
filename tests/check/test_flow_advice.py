"""Warnings with their places: jobs that never run, `${VAR}`, secrets that show, missing variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow import StepContext, step
from aetherflow.registry import STEP as STEP_TYPE
from aetherflow.runs.load_flow import load_checked_flow


@step("mail_send", visible={"subject": "mail subject"})
async def mail_send(context: StepContext, inputs: dict[str, Any]) -> None:
    """Send nothing: a step whose subject others see."""
    raise NotImplementedError(context, inputs)


@step("remote.program", visible={"argv": "process list"}, program_inputs=("argv", "script"))
async def remote_program(context: StepContext, inputs: dict[str, Any]) -> None:
    """Do nothing: a step of a plugin that runs a program."""
    raise NotImplementedError(context, inputs)


@step("guarded", contains="step")
async def guarded(context: StepContext, inputs: dict[str, Any]) -> None:
    """Do nothing: a step of a plugin that contains a step."""
    raise NotImplementedError(context, inputs)


STEP = "{id: s, type: check_items, inputs: {items: [a]}}"
GATED = (
    "- {{id: a, steps: [{step}]}}\n- {{id: b, depends_on: [a], steps: [{step}]}}\n"
    "- {{id: c, {keys}, steps: [{step}]}}"
)


def shown(tmp_path: Path, text: str, **env: str) -> list[str]:
    path = tmp_path / "flow.yaml"
    path.write_text(text)
    given = {(STEP_TYPE, one.name): one for one in (mail_send, remote_program, guarded)}
    checked = load_checked_flow(path, {"AETHERFLOW_STATE_ROOT": str(tmp_path), **env}, given=given)
    return [f"{d.line}:{d.column} {d.severity}[{d.code}] {d.message}" for d in checked.diagnostics]


def place(text: str, piece: str) -> str:
    """Return where a piece stands in a text; `^` in the piece marks the character itself."""
    before, _, after = piece.rpartition("^")
    at = text.index(before + after) + len(before)
    return f"{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}"


def jobs(text: str, head: str = "") -> str:
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    return f"version: 1\nflow: {{id: f}}\n{head}jobs:\n{indented}"


def steps(*lines: str, head: str = "") -> str:
    return jobs("- id: a\n  steps:\n" + "".join(f"    - {line}\n" for line in lines), head)


def process(inputs: str) -> str:
    return steps(f"{{id: s, type: external.process, inputs: {{{inputs}}}}}")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("when: false", "false whatever happens"),
        ("when: 1 == 2", "false whatever happens"),
        ("depends_on: [a], when: jobs.a.status == 'FAILED'", "false whatever happens"),
        ("when: jobs.a.status == 'SUCESS'", "false whatever happens"),
        ("when: jobs.a.status == 'FAILED' and jobs.a.status == 'SKIPPED'", "false whatever happens"),
        ("when: jobs.b.status == 'RUNNING' and jobs.a.outputs.x", "false whatever happens"),
        ("for_each: []", "for_each has no items"),
    ],
)
def test_a_job_that_is_proved_never_to_run_is_reported(tmp_path: Path, keys: str, expected: str) -> None:
    (warning,) = (
        line for line in shown(tmp_path, jobs(GATED.format(step=STEP, keys=keys))) if "AF434" in line
    )
    assert warning.startswith("6:")
    assert "warning[AF434] the job 'c' never runs: " in warning
    assert warning.endswith(expected)


@pytest.mark.parametrize(
    "keys",
    [
        "when: true",
        "when: ''",
        "when: jobs.a.status == 'FAILED'",
        "depends_on: [b], when: jobs.a.status == 'SUCCESS'",
        "depends_on: [b], when: jobs.b.status != 'FAILED'",
        "when: env.X == 'never' and 1 == 2",
        "for_each: [1]",
        "for_each: '{{jobs.a.status}}'",
    ],
)
def test_a_job_that_may_run_is_not_reported(tmp_path: Path, keys: str) -> None:
    assert shown(tmp_path, jobs(GATED.format(step=STEP, keys=keys))) == []


def test_jobs_behind_one_that_never_runs_are_reported_too_but_not_those_that_only_look_at_it(
    tmp_path: Path,
) -> None:
    text = jobs(
        f"- {{id: d, depends_on: [c], steps: [{STEP}]}}\n"
        f"- {{id: b, when: false, steps: [{STEP}]}}\n"
        f"- {{id: c, depends_on: [b], steps: [{STEP}]}}\n"
        f"- {{id: e, when: jobs.b.status == 'SKIPPED', steps: [{STEP}]}}\n"
    )
    assert shown(tmp_path, text) == [
        "4:13 warning[AF434] the job 'd' never runs: it needs 'c' to succeed, which never runs",
        "5:13 warning[AF434] the job 'b' never runs: its condition is false whatever happens",
        "6:13 warning[AF434] the job 'c' never runs: it needs 'b' to succeed, which never runs",
    ]


@pytest.mark.parametrize(
    ("inputs", "at"),
    [
        ("command: [echo, '${HOME}']", "${HOME}"),
        ("command: ['sh', x.sh], cwd: 'a/${HOME}/b'", "${HOME}"),
        ("command: [sh, -c, 'echo ${A}'], env: {X: '${Y:-3}'}", "${Y:"),
        ("command: [sh, -c, 'echo ${A}'], log: {file_path: 'x${Y}'}", "${Y}"),
    ],
)
def test_a_shell_variable_that_no_shell_reads_is_reported_at_its_dollar(
    tmp_path: Path, inputs: str, at: str
) -> None:
    text = process(inputs)
    (warning,) = shown(tmp_path, text)
    assert warning.startswith(f"{place(text, at)} warning[AF431] ${{")


@pytest.mark.parametrize(
    "inputs",
    [
        "command: [sh, -c, 'echo ${A}']",
        "command: 'echo ${A}', shell: true",
        "command: [/bin/bash, -s], stdin: 'echo ${A}'",
        "command: [python3, -c, 'print(\"${A}\")']",
        "command: [echo, '$A', '${}', '$ {A}', '${1}']",
        "command: [node, -e, 'console.log(`${process.pid}`)']",
        "command: [envsubst], stdin: 'Dear ${USER}'",
        "command: [sed, -i, 's/${VERSION}/1.2/', deploy.conf]",
        "command: [timeout, 5, sh, -c, 'echo ${A}']",
    ],
)
def test_what_a_shell_or_a_script_reads_is_not_reported(tmp_path: Path, inputs: str) -> None:
    assert shown(tmp_path, process(inputs)) == []


def test_a_variable_for_a_program_on_another_host_has_a_hint_for_that_host(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(
        "version: 1\nflow: {id: f}\n"
        "resources: {r: {kind: sftp, driver: asyncssh, config: {host: h, user: u}}}\n"
        "jobs:\n  - id: a\n    steps:\n"
        "      - {id: s, type: ssh.process,"
        " inputs: {resource: r, command: [ls, '${HOME}'], env: {A: '${B}'}}}\n"
        "      - {id: t, type: ssh.process, inputs: {resource: r, command: [sh, -c, 'ls ${HOME}']}}\n"
    )
    checked = load_checked_flow(path, {"AETHERFLOW_STATE_ROOT": str(tmp_path)})
    assert [d.hint for d in checked.diagnostics if d.code == "AF431"] == [
        "its value there: command: [sh, -c, '... $HOME ...']; its value here: {{env.HOME}}",
        "its value there: command: [sh, -c, '... $B ...']; its value here: {{env.B}}",
    ]


def test_shell_variables_are_found_in_outputs_locked_steps_resources_and_the_workspace(
    tmp_path: Path,
) -> None:
    text = (
        "version: 1\nflow: {id: f, workspace: {root: '${A}'}, state: {path: 'x${B}'}}\n"
        "resources:\n  r: {kind: db, driver: sqlite3, config: {path: '${C}'}}\n"
        "jobs:\n  - id: a\n    steps:\n"
        "      - id: s\n        type: with_lock\n        inputs:\n          lock_key: '${D}'\n"
        "          step: {type: check_items, inputs: {items: ['${E}'], resource: r}}\n"
        "        outputs: {o: '${F}'}\n"
    )
    found = [line for line in shown(tmp_path, text) if "AF431" in line]
    assert [line.split()[0] for line in found] == [place(text, f"${{{name}}}") for name in "CDEF"]
    refused = [line for line in shown(tmp_path, text) if "error[AF141]" in line]
    assert len(refused) == len("AB")  # paths of the flow itself are no advice


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ("command: [curl, '{{env.API_TOKEN:x}}']", "{{env.API_TOKEN}}"),
        ("command: [curl], args: ['-u', 'me:{{env.PASSWORD:x}}']", "{{env.PASSWORD}}"),
        ("command: 'curl {{env.DB_PASSWORD:x}}', shell: true", "{{env.DB_PASSWORD}}"),
        ("command: [mysql, --password, hunter2]", "the value of --password"),
        ("command: [mysql, '--password={{env.X:y}}']", "the value of --password"),
        ("command: [psql, 'postgresql://me:hunter2@host/db']", "a value that is known to be secret"),
    ],
)
def test_a_secret_in_a_command_line_is_reported_once_and_not_shown(
    tmp_path: Path, inputs: str, reason: str
) -> None:
    (warning,) = [one for one in shown(tmp_path, process(inputs)) if "AF438" not in one]
    assert warning.endswith(f"warning[AF432] the command line shows a secret: {reason}")
    assert "hunter2" not in warning


@pytest.mark.parametrize(
    "inputs",
    [
        "command: [curl], env: {TOKEN: '{{env.API_TOKEN:x}}'}",
        "command: [curl, --password-file, pw.txt]",
        "command: [gpg, --passphrase-fd, 0]",
        "command: [openssl, enc, -pass, 'env:SECRET_NAME']",
        "command: [sh, -c, 'curl -u me:$PASSWORD']",
        "command: [tool, --tokens-per-minute, 5]",
        "command: [tool, --password, --verbose]",
    ],
)
def test_a_command_line_without_secrets_is_not_reported(tmp_path: Path, inputs: str) -> None:
    assert shown(tmp_path, process(inputs)) == []


def test_a_step_of_a_plugin_declares_what_the_checks_must_know(tmp_path: Path) -> None:
    inner = "{type: remote.program, inputs: {argv: [login, --password, abc], note: '${HOME}'}}"
    text = steps(f"{{id: s, type: guarded, inputs: {{step: {inner}}}}}")
    assert [line.partition(" ")[2] for line in shown(tmp_path, text)] == [
        "warning[AF432] the command line shows a secret: the value of --password",
        "warning[AF431] ${HOME} stays as it is written: no shell reads this text",
    ]
    inner = "{type: remote.program, inputs: {argv: [sh, run.sh], script: 'echo ${HOME}'}}"
    assert shown(tmp_path, steps(f"{{id: s, type: guarded, inputs: {{step: {inner}}}}}")) == []
    inner = "{type: check_items, inputs: {items: [x], min_cuont: 1}}"
    (error,) = shown(tmp_path, steps(f"{{id: s, type: guarded, inputs: {{step: {inner}}}}}"))
    assert "check_items has no input 'min_cuont'" in error


def test_a_secret_in_the_subject_of_a_mail_is_reported(tmp_path: Path) -> None:
    text = steps(
        "{id: s, type: mail_send,"
        " inputs: {resource: m, to: x, subject: 'pin {{env.PIN:1}} {{env.MY_SECRET:1}}'}}"
    )
    found = [line for line in shown(tmp_path, text) if "AF433" in line]
    at = place(text, "subject: '^pin")
    assert found == [f"{at} warning[AF433] the subject of the mail shows a secret: {{{{env.MY_SECRET}}}}"]


def test_a_value_that_the_secrets_provider_brought_is_known_in_a_command_line(tmp_path: Path) -> None:
    provider = tmp_path / "provider.py"
    provider.write_text("def expand_env(env):\n    return {'MY_PASSWORD': 'correct horse'}\n")
    text = process("command: [login, 'correct horse']")
    (warning,) = shown(tmp_path, text, AETHERFLOW_SECRETS_PATH=str(provider))
    assert warning.endswith("a value that is known to be secret")


MISSING = (
    "version: 1\nflow: {id: f, workspace: {root: '/tmp/{{env.ROOT_DIR}}'}}\njobs:\n"
    "  - id: a\n    for_each: ['{{env.ITEM}}']\n    when: env.GATE == null\n    steps:\n"
    "      - id: s\n        type: check_items\n"
    "        inputs: {items: ['a {{env.HERE}}', '{{env.GIVEN:x}}']}\n"
    "        outputs: {o: '{{env.OUT}}'}\n"
)


def test_a_variable_that_is_missing_is_reported_where_it_is_read(tmp_path: Path) -> None:
    assert shown(tmp_path, MISSING, OUT="") == [
        f"{place(MISSING, 'env.ROOT_DIR')} warning[AF430] the environment variable ROOT_DIR is not set",
        f"{place(MISSING, 'env.ITEM')} warning[AF430] the environment variable ITEM is not set",
        f"{place(MISSING, 'env.HERE')} warning[AF430] the environment variable HERE is not set",
        f"{place(MISSING, 'env.OUT')} warning[AF430] the environment variable OUT is empty",
    ]


def test_a_variable_that_is_missing_is_an_error_when_it_is_asked_for(tmp_path: Path) -> None:
    found = shown(tmp_path, MISSING, AETHERFLOW_VALIDATE_ENV_STRICT="true", ROOT_DIR="r", ITEM="i", OUT="o")
    at = place(MISSING, "env.HERE")
    assert found == [f"{at} error[AF430] the environment variable HERE is not set"]


@pytest.mark.parametrize("written", ["${%s}", "{{env.%s}}"])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("AETHERFLOW_RUN_ID", "write {{run.id}}"),
        ("AETHERFLOW_JOB_ID", "write {{job.id}}"),
        ("AETHERFLOW_FLOW_ID", "write {{flow.id}}"),
        ("AETHERFLOW_SCHEDULED_AT", "write {{run.scheduled_at}}"),
        (
            "AETHERFLOW_OUTPUT",
            "only programs have it: a script reads it as $AETHERFLOW_OUTPUT, as in command: [sh, -c, '...']",
        ),
    ],
)
def test_a_variable_that_only_programs_have_is_named_as_a_template(
    tmp_path: Path, name: str, hint: str, written: str
) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(process(f'command: [echo, "{written % name}"]'))
    (warning,) = load_checked_flow(path, {"AETHERFLOW_STATE_ROOT": str(tmp_path)}).diagnostics
    assert warning.hint == hint


def test_a_mistyped_key_hides_nothing(tmp_path: Path) -> None:
    text = jobs(
        "- id: a\n  depend_on: [zz]\n  step: [{id: s, type: check_itms, input: {}}]\n"
        f"- {{id: b, when: nonsense, timeout_seconds: x, steps: [{STEP}]}}\n"
    )
    assert shown(tmp_path, text) == [
        "5:5 error[AF111] unknown key 'depend_on' in a job",
        "5:17 error[AF131] job 'a' depends on 'zz', which is no job of this flow",
        "6:5 error[AF111] unknown key 'step' in a job",
        "6:20 error[AF540] unknown step type 'check_itms'",
        "6:38 error[AF111] unknown key 'input' in a step",
        "7:19 error[AF422] 'nonsense' is not known in a condition: a path begins with jobs, params or env",
        "7:29 error[AF116] 'timeout_seconds': 'x' is no duration",
    ]
