"""A flow says what it means: texts in real runs are what was written, from the file to the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine

PRINT = (
    "import json, os, sys\n"
    "seen = {k: v for k, v in os.environ.items() if k.startswith('T_')}\n"
    "open(sys.argv[1], 'a').write(json.dumps([sys.argv[2:], seen]) + '\\n')\n"
)
HEAD = "version: 1\nflow:\n  id: f\n"
ARGUMENTS = (
    "3.10, 007, ~, -1, 1e3, 0x1F, on, yes, 12:30, 2026-01-01, true, True, .5, +5, 1_000, null, Null, 8080"
)


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.write("show.py", PRINT)
    return made


def step(cli: CommandLine, args: str, more: str = "") -> str:
    """Return a step that records its arguments and the variables that begin with T_."""
    program = f"{cli.folder}/show.py, {cli.folder}/seen"
    return f"{{id: s, type: external.process, inputs: {{command: [python3, {program}], args: {args}{more}}}}}"


def seen(cli: CommandLine) -> list[tuple[list[str], dict[str, str]]]:
    """Return what the programs recorded, in order."""
    lines = (cli.folder / "seen").read_text("utf-8").splitlines()
    return [(arguments, variables) for arguments, variables in map(json.loads, lines)]


def test_arguments_and_variables_are_the_characters_that_are_written(cli: CommandLine) -> None:
    env = "{T_DEBUG: true, T_EMPTY: , T_NULL: ~, T_V: 3.10, T_Q: '007'}"
    inner = step(cli, "[3.10]").replace("id: s, ", "")
    of_item = step(cli, "['{{item}}']")
    cli.write(
        "flow.yaml",
        f"{HEAD}  on_exit: [{step(cli, '[hook, 1.0]')}]\n"
        "jobs:\n"
        f"  - {{id: a, steps: [{step(cli, f'[{ARGUMENTS}]', f', env: {env}')}]}}\n"
        f"  - id: b\n    depends_on: [a]\n"
        f"    steps: [{{id: l, type: with_lock, inputs: {{lock_key: 1.0, step: {inner}}}}}]\n"
        f"  - id: c\n    depends_on: [b]\n    for_each: [1.10, 1.5, true]\n    max_parallel: 1\n"
        f"    steps: [{of_item}]\n",
    )
    done = cli.run("run", "flow.yaml")

    assert done.code == 0, done.err
    first, locked, *mapped, hook = seen(cli)
    assert first == (
        ARGUMENTS.split(", "),
        {"T_DEBUG": "true", "T_EMPTY": "", "T_NULL": "", "T_V": "3.10", "T_Q": "007"},
    )
    assert [arguments for arguments, _ in (locked, *mapped, hook)] == [
        ["3.10"],
        *(["1.10"], ["1.5"], ["true"]),
        ["hook", "1.0"],
    ]


def test_params_are_written_alike_in_the_flow_in_a_file_and_on_the_command_line(cli: CommandLine) -> None:
    params = (
        "  params:\n    v: {default: 3.10}\n    e: {type: enum, enum: [1.10, 1.2], default: 1.10}\n"
        "    n: {type: int, default: 0x1F}\n    d: {type: date, default: 2026-01-01}\n"
        "    t: {default: True}\n"
    )
    args = "['{{params.v}}', '{{params.e}}', '{{params.n}}', '{{params.d}}', '{{params.t}}']"
    cli.write("flow.yaml", f"{HEAD}{params}jobs: [{{id: a, steps: [{step(cli, args)}]}}]\n")
    cli.write("params.yaml", "v: 007\ne: 1.2\nn: 007\nd: 2026-02-01\nt: ~\n")
    scheduled = "{v: 1.0, e: 1.10, n: +5, t: no}"
    cli.write(
        "scheduler.yaml",
        f"version: 1\nitems: [{{id: i, cron: '@daily', flow_yaml: flow.yaml, params: {scheduled}}}]\n",
    )
    for arguments in (
        ("run", "flow.yaml"),
        ("run", "flow.yaml", "--params-file", "params.yaml"),
        ("run", "flow.yaml", "--param", "v=1e3", "--param", "n=0x10"),
        ("scheduler", "fire", "i", "--file", "scheduler.yaml", "--here"),
    ):
        done = cli.run(*arguments)
        assert done.code == 0, (arguments, done.out, done.err)

    assert [arguments for arguments, _ in seen(cli)] == [
        ["3.10", "1.10", "31", "2026-01-01", "True"],
        ["007", "1.2", "7", "2026-02-01", "True"],
        ["1e3", "1.10", "16", "2026-01-01", "True"],
        ["1.0", "1.10", "5", "2026-01-01", "no"],
    ]


def test_a_value_of_a_template_is_text_as_in_a_longer_text(cli: CommandLine) -> None:
    values = "{type: json, default: {t: true, n: 3.5, z: ~, s: 3.10, l: [1, true, x], m: {a: 1}}}"
    args = "['{{params.p.t}}', '{{params.p.n}}', '{{params.p.s}}', 'x{{params.p.t}}']"
    env = ", env: {T_L: '{{params.p.l}}', T_T: '{{params.p.t}}'}"
    whole, mapping = step(cli, "'{{params.p.l}}'"), step(cli, "[x, '{{params.p.m}}']")
    cli.write(
        "flow.yaml",
        f"{HEAD}  params: {{p: {values}}}\njobs:\n"
        f"  - {{id: a, steps: [{step(cli, args, env)}]}}\n"
        f"  - {{id: b, depends_on: [a], steps: [{whole}]}}\n"
        f"  - {{id: c, steps: [{mapping}]}}\n",
    )
    done = cli.run("run", "flow.yaml")

    assert seen(cli) == [
        (["true", "3.5", "3.10", "xtrue"], {"T_L": '[1, true, "x"]', "T_T": "true"}),
        (["1", "true", "x"], {}),
    ]
    assert done.code == 1
    assert "the input 'args[1]' of external.process is a text, and its template gave a mapping" in done.err


def test_a_duration_that_a_template_gives_may_have_units_and_a_wrong_one_is_named(cli: CommandLine) -> None:
    limited = step(cli, "[x]", ", timeout_seconds: '{{params.limit}}'")
    cli.write(
        "flow.yaml", f"{HEAD}  params: {{limit: {{default: 5m}}}}\njobs: [{{id: a, steps: [{limited}]}}]\n"
    )

    assert cli.run("run", "flow.yaml").code == 0
    wrong = cli.run("run", "flow.yaml", "--param", "limit=5min")
    assert wrong.code == 1
    assert "the input 'timeout_seconds' of external.process is no duration" in wrong.err
    assert "90s, 5m, 2h, 1d, 1h30m" in wrong.err


def test_missing_quotes_are_shown_where_they_are_missing(cli: CommandLine) -> None:
    cli.write(
        "flow.yaml",
        f"{HEAD}jobs:\n  - id: a\n    steps:\n      - {step(cli, '[-H, Accept: application/json]')}\n",
    )
    done = cli.run("validate", "flow.yaml")

    assert done.code == 2
    assert (
        "error[AF115]: input 'args[1]' of external.process: expected text, got a mapping"
        in done.out + done.err
    )
    assert 'hint: write "Accept: application/json"' in done.out + done.err


def test_a_resource_whose_text_lacks_quotes_says_so(cli: CommandLine) -> None:
    resource = "resources: {r: {kind: db, driver: sqlite3, config: {path: {a: b}}}}\n"
    sql = "{id: s, type: db_extract, inputs: {resource: r, sql: select 1, output: o.tsv}}"
    cli.write("flow.yaml", f"{HEAD}{resource}jobs: [{{id: a, steps: [{sql}]}}]\n")
    done = cli.run("validate", "flow.yaml")

    assert done.code == 2
    assert "error[AF555]: resource 'r': config.path" in done.out + done.err
    assert "hint: write one text, in quotes if it holds ': ', brackets or braces" in done.out + done.err


def test_merge_keys_and_durations_work_in_a_flow(cli: CommandLine) -> None:
    cli.write(
        "flow.yaml",
        f"{HEAD}  retry: &retry {{max_attempts: 2, backoff_seconds: 10ms}}\njobs:\n"
        f"  - id: a\n    timeout_seconds: 1h30m\n    retry: {{<<: *retry, max_backoff_seconds: 1m}}\n"
        f"    steps: [{step(cli, '[x]', ', timeout_seconds: 5m')}]\n",
    )
    done = cli.run("run", "flow.yaml")

    assert done.code == 0, done.err
    assert seen(cli) == [(["x"], {})]


def test_a_resource_gets_the_characters_of_the_flow_and_of_its_profile(cli: CommandLine) -> None:
    cli.write("profiles.yaml", "p: {config: {path: 1.0}, options: {timeout_seconds: 5m}}\n")
    sql = "{id: s, type: db_extract, inputs: {resource: %s, sql: select 1 as x, output: 007}}"
    cli.write(
        "flow.yaml",
        f"{HEAD}  workspace: {{cleanup_policy: never}}\nresources:\n"
        "  own: {kind: db, driver: sqlite3, config: {path: 3.10}}\n"
        "  of_profile: {kind: db, driver: sqlite3, profile: p}\n"
        f"jobs: [{{id: a, steps: [{sql % 'own'}]}}, {{id: b, steps: [{sql % 'of_profile'}]}}]\n",
    )
    done = cli.run("run", "flow.yaml", env={"AETHERFLOW_PROFILES_FILE": "profiles.yaml"})

    assert done.code == 0, done.err
    assert {path.name for path in cli.folder.rglob("*")} >= {"3.10", "1.0", "007"}


def test_a_step_of_a_plugin_gets_characters_and_seconds(cli: CommandLine) -> None:
    cli.write(
        "plugins/mine.py",
        "import msgspec\nfrom aetherflow import Duration, StepContext, step\n\n\n"
        "class In(msgspec.Struct, frozen=True, forbid_unknown_fields=True):\n"
        "    version: str\n    pause: Duration = 1.0\n\n\n"
        "@step('mine')\ndef mine(context: StepContext, inputs: In) -> dict:\n"
        "    '''Do it.'''\n    return {'version': inputs.version, 'pause': inputs.pause}\n",
    )
    inputs = "{version: 3.10, pause: 5m}"
    outputs = "{v: '{{result.version}}', p: '{{result.pause}}'}"
    cli.write(
        "flow.yaml",
        f"{HEAD}jobs: [{{id: a, steps: [{{id: s, type: mine, inputs: {inputs}, outputs: {outputs}}}]}}]\n",
    )
    env = {"AETHERFLOW_PLUGIN_PATHS": "plugins"}
    assert "pause: duration" in cli.run("steps", "show", "mine", env=env).out
    done = cli.run("run", "flow.yaml", "--run-id", "r", env=env)

    assert done.code == 0, done.err
    job = cli.run("runs", "show", "r", "--json").json()
    assert '"v": "3.10"' in json.dumps(job)
    assert '"p": 300.0' in json.dumps(job)


def test_an_unchanged_flow_is_resumed_without_a_word_about_its_definition(cli: CommandLine) -> None:
    cli.write(
        "flow.yaml",
        f"{HEAD}jobs:\n  - {{id: a, steps: [{step(cli, '[3.10, true, 8080]')}]}}\n"
        "  - {id: b, depends_on: [a], steps: [{id: s, type: external.process, inputs: {command: nope}}]}\n",
    )
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1
    again = cli.run("run", "flow.yaml", "--run-id", "r")

    assert "defines it otherwise" not in again.err
    assert len(seen(cli)) == 1

    flow = cli.folder / "flow.yaml"
    flow.write_text(flow.read_text("utf-8").replace("[3.10,", "[3.1,"), encoding="utf-8")
    assert (
        "a.s is kept although the flow now defines it otherwise"
        in cli.run("run", "flow.yaml", "--run-id", "r").err
    )
