"""Plugin paths on the command line: used by flows, listed with their source, reported when broken."""

from __future__ import annotations

from tests.cli.command_line import OK, CommandLine, no_trace
from tests.plugins.plugin_sources import CONNECTOR_CLASS, step_source

USES = OK.replace("type: check_items, inputs: {items: [x]}", "type: made_up")
PATHS = {"AETHERFLOW_PLUGIN_PATHS": "plugins"}


def test_a_flow_uses_a_step_of_a_plugin_path(cli: CommandLine) -> None:
    cli.write("plugins/a.py", step_source("made_up", "{'x': 1}"))
    cli.write("flow.yaml", USES)

    result = cli.run("run", "flow.yaml", env=PATHS)

    assert result.code == 0, result
    assert cli.query("select step_type, outputs from step_state") == [("made_up", '{"x":1}')]


def test_a_changed_plugin_is_reported_when_its_step_is_kept(cli: CommandLine) -> None:
    cli.write("flow.yaml", USES)
    cli.write("plugins/a.py", step_source("made_up"))
    cli.write("plugins/b.py", "x = 1")
    assert cli.run("run", "flow.yaml", "--run-id", "r", env=PATHS).code == 1  # a text is no outputs
    cli.write("plugins/a.py", step_source("made_up", "{}"))
    assert cli.run("run", "flow.yaml", "--run-id", "r", env=PATHS).code == 0

    cli.write("plugins/b.py", "x = 2")
    unchanged = cli.run("run", "flow.yaml", "--run-id", "r", env=PATHS)
    cli.write("plugins/a.py", step_source("made_up", "{'x': 2}"))
    changed = cli.run("run", "flow.yaml", "--run-id", "r", env=PATHS)

    assert "a.py" not in unchanged.err
    assert "a.py" in changed.err


def test_a_broken_plugin_file_is_an_error_of_the_flow_that_may_need_it(cli: CommandLine) -> None:
    cli.write("plugins/a.py", "\n\nimport not_there\n")
    cli.write("flow.yaml", USES)

    result = cli.run("validate", "flow.yaml", env=PATHS)

    assert result.code == 2
    assert result.err.startswith(
        f"{cli.folder}/plugins/a.py:3:1: error[AF583]: the plugin needs the module 'not_there', "
        "which is not installed\n  3 | import not_there\n    | ^\n"
        "    hint: install the package that brings it\n"
    )
    assert "error[AF540]: unknown step type 'made_up'" in result.err
    assert f"perhaps it is in the plugin that cannot be loaded: {cli.folder}/plugins/a.py:3" in result.err
    assert cli.run("run", "flow.yaml", env=PATHS).code == 2


def test_without_strictness_a_broken_plugin_file_is_a_warning_of_validate_and_run(cli: CommandLine) -> None:
    cli.write("plugins/a.py", "1 / 0")
    cli.write("plugins/b.py", step_source("made_up", "{}"))
    cli.write("flow.yaml", USES)
    env = {**PATHS, "AETHERFLOW_PLUGIN_STRICT": "false"}

    validated = cli.run("validate", "flow.yaml", env=env)
    run = cli.run("run", "flow.yaml", "--run-id", "r", env=env)
    resumed = cli.run("run", "flow.yaml", "--run-id", "r", "--log-format", "json", env=env)
    dry = cli.run("run", "flow.yaml", "--dry-run", env=env)

    problem = "the plugin cannot be loaded: ZeroDivisionError: division by zero"
    for result in (validated, dry):
        assert f"{cli.folder}/plugins/a.py:1:1: warning[AF582]: {problem}\n" in result.err
    assert run.err.count(problem) == 1
    assert any("WARN" in line and "plugins/a.py:1: the plugin" in line for line in run.err.splitlines())
    (reported,) = [line for line in resumed.lines() if line.get("code") == "AF582"]
    assert reported["level"] == "warning"
    for result in (validated, run, resumed, dry):
        assert result.code == 0
        assert no_trace(result)


def test_a_broken_plugin_file_does_not_hurt_a_flow_without_plugins(cli: CommandLine) -> None:
    cli.write("plugins/a.py", "1 / 0")
    cli.write("flow.yaml", OK)

    result = cli.run("run", "flow.yaml", env=PATHS)

    assert (result.code, "AF582" in result.err) == (0, False)


def test_types_of_plugin_paths_are_listed_and_shown_with_their_source(cli: CommandLine) -> None:
    cli.write("plugins/a.py", step_source("made_up") + CONNECTOR_CLASS.format(name="made:up"))
    place = f"{cli.folder}/plugins/a.py"

    steps = cli.run("steps", "list", env=PATHS)
    connectors = cli.run("connectors", "list", "--json", env=PATHS)

    assert steps.code == 0
    (line,) = [line for line in steps.out.splitlines() if line.startswith("made_up")]
    assert line.split("  ")[0] == "made_up"
    assert line.endswith(f"Give back something.  [{place}:4]")
    made = {"name": "made:up", "summary": "Connects to nothing.", "source": f"{place}:11"}
    assert made in connectors.json()["connectors"]
    assert f"from {place}:4" in cli.run("steps", "show", "made_up", env=PATHS).out
    shown = cli.run("connectors", "show", "made:up", "--json", env=PATHS).json()
    assert (shown["source"], shown["config"]) == (f"{place}:11", [])
    assert cli.run("steps", "show", "check_items", "--json").json()["source"] == "aetherflow"


def test_lists_report_broken_plugins_and_show_the_others(cli: CommandLine) -> None:
    cli.write("plugins/a.py", "1 / 0")
    cli.write("plugins/b.py", step_source("made_up"))

    strict = cli.run("steps", "list", "--json", env=PATHS)
    loose = cli.run("steps", "list", env={**PATHS, "AETHERFLOW_PLUGIN_STRICT": "false"})
    shown = cli.run("steps", "show", "not_there", env=PATHS)

    assert (strict.code, loose.code, shown.code) == (2, 0, 2)
    assert "made_up" in {row["name"] for row in strict.json()["steps"]}
    assert "error[AF582]" in strict.err
    assert "warning[AF582]" in loose.err
    assert "error[AF582]" in shown.err
    assert "error[AF540]: unknown step type 'not_there'" in shown.err


def test_a_secret_that_a_plugin_raises_is_masked(cli: CommandLine) -> None:
    cli.write("plugins/a.py", "import os\nraise RuntimeError(os.environ['MY_PASSWORD'])\n")
    cli.write("flow.yaml", USES)
    env = {**PATHS, "MY_PASSWORD": "hunter2hunter2"}

    for arguments in (["validate", "flow.yaml"], ["steps", "list"], ["run", "flow.yaml"]):
        result = cli.run(*arguments, env=env)
        assert "the plugin cannot be loaded: RuntimeError: ***" in result.err
        assert "hunter2" not in result.out + result.err
