"""The README is short and true; `tests/manual/test_examples.py` runs its examples."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from aetherflow import StepType
from tests.cli.command_line import OK, CommandLine
from tests.manual.documents import MANUAL, README, ROOT, blocks
from tests.manual.walk import Visitor

TEXT = README.read_text(encoding="utf-8")
PLUGINS = (MANUAL / "writing-plugins.md").read_text(encoding="utf-8")


def code_of(file: str) -> str:
    """Return a file of the page about plugins."""
    return next(block.text for block in blocks(PLUGINS, "python") if block.file == file)


def test_the_readme_is_short() -> None:
    assert 8_000 <= len(README.read_bytes()) <= 14_000


def test_the_pictures_are_small_and_need_nothing_from_elsewhere() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert {"demo/recording/tree.svg", "demo/recording/summary.svg", "demo/recording/report.png"} <= {
        *pictures
    }
    for name in pictures:
        data = (ROOT / name).read_bytes()
        assert len(data) < 100_000, name
        if name.endswith(".svg"):
            drawing = ET.fromstring(data)  # noqa: S314 - our own file
            assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
            assert not re.search(rb"url\((?!#)|href=", data), name


def test_the_run_in_the_pictures_is_that_of_the_flow_beside_them(cli: CommandLine) -> None:
    flow = ROOT / "demo" / "recording" / "night.yaml"
    assert cli.run("validate", str(flow)).code == 0
    shown = " ".join(ET.parse(flow.with_name("summary.svg")).getroot().itertext())  # noqa: S314 - as above
    line = next(
        number for number, text in enumerate(flow.read_text().splitlines(), 1) if "- id: copy" in text
    )
    assert f"night.yaml:{line}" in shown.replace("\xa0", " ")


def test_the_resume_of_the_first_minute_keeps_the_probe_and_runs_the_greeting(tmp_path: Path) -> None:
    *_, retry = Visitor(tmp_path).follow(TEXT)

    assert retry.command.line == "aetherflow runs retry first"
    assert "kept: probe.check (SUCCESS)" in retry.printed
    assert "greet.say | good morning" in retry.printed
    visitor = Visitor(tmp_path)
    assert visitor.query("select status, attempt from runs where run_id = 'first'") == [("SUCCESS", 2)]


def test_the_step_of_the_manual_is_registered_and_counts() -> None:
    module: dict[str, Any] = {"__name__": "count_lines"}
    exec(compile(code_of("count_lines.py"), "count_lines.py", "exec", dont_inherit=True), module)  # noqa: S102 - the manual's own

    step = module["count_lines"]

    assert isinstance(step, StepType)
    assert step.name == "count_lines"
    assert step.summary == "Count the lines of a file."
    assert msgspec.structs.asdict(step.input_type(path="a")) == {"path": "a"}


def test_the_step_of_the_manual_runs_in_a_flow_once_it_is_registered(cli: CommandLine) -> None:
    entry = re.search(r'`(\w+ = "\w+:\w+")`', PLUGINS)
    assert entry
    cli.write("plugins/my_package.py", code_of("count_lines.py"))
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


def test_the_class_and_the_connector_of_the_manual_work_in_a_plugin_path(cli: CommandLine) -> None:
    for file in ("count_words.py", "folder_queue.py"):
        cli.write(f"plugins/{file}", code_of(file))
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


@pytest.mark.parametrize("script", ["demo/run.sh", "tests/run.sh", "demo/install.sh"])
def test_the_scripts_of_the_readme_are_there_and_parse(cli: CommandLine, script: str) -> None:
    assert f"sh {script}" in TEXT + (ROOT / "demo/run.sh").read_text()
    assert cli.bash(f"sh -n {shlex.quote(str(ROOT / script))}").code == 0


def test_ci_runs_the_commands_of_the_readme() -> None:
    commands = [line for block in blocks(TEXT, "sh") for line in block.text.splitlines()][:2]

    assert commands == ["sh demo/run.sh", "sh tests/run.sh"]
    assert [line for line in (ROOT / ".ci/run").read_text().splitlines() if line in commands] == commands


def test_the_extras_and_the_oldest_python_of_the_readme_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["requires-python"] == ">=3.11"
    tested = [word.rpartition(" ")[2] for word in project["classifiers"] if ":: Python :: 3." in word]
    assert f"You need Linux and Python {', '.join(tested[:-1])} or {tested[-1]}." in TEXT
    named = set(re.findall(r"`\[(\w+)\]`", TEXT)) | set(re.findall(r"checkout\[(\w+)\]", TEXT))
    assert named == set(project["optional-dependencies"]) - {"dev"}


def test_the_pages_of_the_manual_are_in_the_installed_package() -> None:
    assert (Path(sys.modules["aetherflow"].__file__ or "").parent / "manual" / "index.md").is_file()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "aetherflow" in wheel["packages"]
