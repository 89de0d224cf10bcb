"""A script beside the flow that its program does not find is a warning of validate."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.runs.load_flow import load_checked_flow
from tests.diagnostics.case import process


def found(folder: Path, inputs: str) -> list[str]:
    (folder / "bin").mkdir()
    (folder / "count.sh").touch()
    (folder / "bin/tool").touch()
    flow = folder / "flow.yaml"
    flow.write_text(process(inputs))
    checked = load_checked_flow(flow, {"HOME": str(folder)})
    return [f"{one.severity}[{one.code}] {one.hint}" for one in checked.diagnostics]


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ("command: [sh, count.sh]", "count.sh"),
        ("command: sh, args: [./count.sh, x]", "count.sh"),
        ("command: [bin/tool]", "bin/tool"),
        ("command: ./bin/tool, cwd: '.'", "bin/tool"),
    ],
)
def test_a_script_beside_the_flow(tmp_path: Path, inputs: str, name: str) -> None:
    assert found(tmp_path, inputs) == [f"warning[AF145] add cwd: flow, or write {{{{flow.dir}}}}/{name}"]


def test_a_folder_beside_the_flow(tmp_path: Path) -> None:
    hint = "write {{flow.dir}}/bin, or ./bin for a folder of the artifacts"
    assert found(tmp_path, "command: [ls], cwd: bin") == [f"warning[AF145] {hint}"]


@pytest.mark.parametrize(
    "inputs",
    [
        "command: [ls], cwd: ./bin",
        "command: [ls], cwd: made_by_a_step",
        "command: [sh, count.sh], cwd: flow",
        "command: [sh, '{{flow.dir}}/count.sh']",
        "command: [sh, made_by_a_step.sh]",
        "command: [sh, -c, 'cat count.sh']",
        "command: [cat, count.sh]",
        "command: [tool]",
    ],
)
def test_what_is_no_such_script(tmp_path: Path, inputs: str) -> None:
    assert found(tmp_path, inputs) == []
