"""The README is tested as it is read: flows are valid, commands run, code works, nothing is missing."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import stat
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

from aetherflow import StepType, registry
from aetherflow.cli.command_group import built
from aetherflow.cli.commands import each_command
from aetherflow.cli.main import app
from aetherflow.config.settings import Settings
from tests.cli.command_line import OK, CommandLine, no_trace

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
PLACE = "/tmp/aetherflow_readme"  # noqa: S108 - rewritten before it is used


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def flows() -> dict[str, str]:
    """Return the flows of the README by the file name in their first line."""
    found = {}
    for block in blocks("yaml"):
        match = re.match(r"# (\S+\.yaml)\n", block)
        assert match, block[:60]
        found[match[1]] = block
    return found


@pytest.fixture
def reader(cli: CommandLine) -> CommandLine:
    """A folder with the README's flows in it, and a `sqlite3` for those who have none."""
    for name, text in flows().items():
        cli.write(name, text.replace(PLACE, str(cli.folder / "readme")))
    shim = cli.write(
        "bin/sqlite3",
        f"#!{sys.executable}\nimport sqlite3, sys\n"
        "for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]):\n    print(*row, sep='|')\n",
    )
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    cli.env["PATH"] = f"{shim.parent}{os.pathsep}{cli.env['PATH']}"
    return cli


@pytest.mark.parametrize("name", [name for name, text in flows().items() if "\nflow:" in text])
def test_every_flow_of_the_readme_is_valid(reader: CommandLine, name: str) -> None:
    result = reader.run("validate", name)

    assert (result.code, result.out, result.err) == (0, f"{name}: valid\n", "")


def test_every_command_of_the_readme_works_in_its_order(reader: CommandLine) -> None:
    commands = [
        line.removeprefix("$ ")
        for block in blocks("console")
        for line in block.splitlines()
        if line[:2] == "$ "
    ]
    assert len(commands) > 5

    for command in commands:
        result = reader.bash(command.replace(PLACE, str(reader.folder / "readme")))
        assert result.code == 0, (command, result)
        assert no_trace(result), command

    assert reader.query("select status, attempt from runs where run_id = 'first'") == [("SUCCESS", 2)]
    nightly = reader.folder / "readme" / "state.sqlite"
    assert reader.query("select status from runs where run_id = 'night_1'", nightly) == [("SUCCESS",)]
    assert (reader.folder / "events.jsonl").read_text().count("run_finished") == 1


def test_the_rerun_of_the_first_minute_keeps_the_gate_and_runs_the_greeting(reader: CommandLine) -> None:
    assert reader.run("run", "hello.yaml", "--run-id", "first").code == 0

    result = reader.run("run", "hello.yaml", "--run-id", "first", "--rerun", "greet")

    assert "kept: probe.check (SUCCESS)" in result.err
    assert "greet.say | found 2 items" in result.err


def test_the_step_of_the_readme_is_registered_and_counts(cli: CommandLine) -> None:
    code, *_ = blocks("python")
    module = _imported(cli.write("readme_step.py", code))

    step = module.count_lines

    assert isinstance(step, StepType)
    assert step.name == "count_lines"
    assert step.summary == "Count the lines of a file."
    assert msgspec.structs.asdict(step.input_type(path="a")) == {"path": "a"}


def test_the_step_of_the_readme_runs_in_a_flow_once_it_is_registered(cli: CommandLine) -> None:
    code, *_ = blocks("python")
    entry = re.search(r'`(\w+ = "\w+:\w+")`', TEXT)
    assert entry
    cli.write("plugins/my_package.py", code)
    cli.write(
        "plugins/my_package-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: my-package\nVersion: 1\n"
    )
    cli.write(
        "plugins/my_package-1.dist-info/entry_points.txt",
        f"[aetherflow.steps]\n{entry[1].replace(chr(34), '')}\n",
    )
    lines = cli.write("lines.txt", "one\ntwo\n")
    cli.write(
        "flow.yaml",
        OK.replace("check_items, inputs: {items: [x]}", f"count_lines, inputs: {{path: {lines}}}"),
    )

    result = cli.run("run", "flow.yaml", env={"PYTHONPATH": str(cli.folder / "plugins")})

    assert result.code == 0, result
    assert cli.query("select outputs from step_state") == [('{"lines":2}',)]


def test_the_class_and_the_connector_of_the_readme_work_in_a_plugin_path(cli: CommandLine) -> None:
    _, *code = blocks("python")
    for number, text in enumerate(code):
        cli.write(f"plugins/block_{number}.py", text)
    cli.write(
        "flow.yaml",
        OK.replace(
            "jobs:", "resources:\n  q: {kind: queue, driver: folder, config: {path: .}}\njobs:"
        ).replace("check_items, inputs: {items: [x]}", "count_words, inputs: {text: two words}"),
    )
    env = {"AETHERFLOW_PLUGIN_PATHS": "plugins"}

    result = cli.run("run", "flow.yaml", env=env)
    shown = cli.run("connectors", "show", "queue:folder", "--json", env=env)

    assert result.code == 0, result
    assert "2 words" in result.err
    assert cli.query("select outputs from step_state") == [('{"words":2}',)]
    assert [field["name"] for field in shown.json()["config"]] == ["path"]


def _imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _options() -> set[str]:
    """Return every option of every command, as its help names it."""
    commands = [typer.main.get_command(app), *(built(words, entry) for words, entry in each_command())]
    names = {name for command in commands for parameter in command.params for name in parameter.opts}
    of_typer = {"--help", "--install-completion", "--show-completion"}
    return {name for name in names if name.startswith("--")} - of_typer


def test_every_command_is_in_the_readme() -> None:
    names = [words for words, _ in each_command()]

    assert {"run", "validate", "steps show"} <= set(names)
    assert [name for name in names if not re.search(rf"`(aetherflow )?{name}\b", TEXT)] == []


def test_every_option_is_in_the_readme() -> None:
    options = _options()

    assert {"--run-id", "--json", "--flow-yaml"} <= options
    assert [option for option in sorted(options) if not re.search(rf"{option}(?![\w-])", TEXT)] == []


def test_every_setting_is_in_the_readme() -> None:
    names = [f"AETHERFLOW_{field.upper()}" for field in Settings.__struct_fields__ if field != "sources"]

    assert "AETHERFLOW_STATE_ROOT" in names
    assert [name for name in names if f"`{name}`" not in TEXT] == []


def test_every_step_type_is_in_the_readme() -> None:
    assert [name for name in registry.STEPS if f"`{name}`" not in TEXT] == []


def test_what_the_readme_names_exists() -> None:
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", " ".join(re.findall(r"`([^`\n]+)`", TEXT))))
    settings = set(re.findall(r"`(AETHERFLOW_[A-Z_]+)`", TEXT))
    for_children = {"AETHERFLOW_FLOW_ID", "AETHERFLOW_OUTPUT_DIR"}
    for_children |= {f"AETHERFLOW_{name}_DIR" for name in ("LOCAL_ROOT", "ACTIVE", "CACHE")}  # of a bundle

    assert options - _options() - {"--version"} == set()
    assert settings - for_children <= {f"AETHERFLOW_{name.upper()}" for name in Settings.__struct_fields__}


def test_every_link_leads_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) > 10

    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif "://" not in link:
            assert (ROOT / link).exists(), link


@pytest.mark.parametrize("script", ["demo/run.sh", "tests/run.sh"])
def test_the_scripts_of_the_readme_are_there_and_parse(cli: CommandLine, script: str) -> None:
    assert f"sh {script}" in TEXT
    assert cli.bash(f"sh -n {shlex.quote(str(ROOT / script))}").code == 0
