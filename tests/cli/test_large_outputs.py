"""A large output: the database stays small, later steps and resumed runs see it whole."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.cli.command_line import CommandLine

SIZE = 600_000
FLOW = """
version: 1
flow: {id: large, state: {path: state.sqlite}, workspace: {root: work}}
jobs:
  - id: make
    steps:
      - id: big
        type: external.process
        inputs:
          command: [sh, -c, "head -c 600000 /dev/zero | tr '\\\\0' x"]
          log: {stdout: capture, max_capture_kb: 2048}
        outputs: {text: "{{result.stdout}}"}
  - id: use
    steps:
      - id: count
        type: external.process
        inputs:
          command: [wc, -c]
          stdin: "{{jobs.make.outputs.text}}"
          log: {stdout: capture}
        outputs: {bytes: "{{result.stdout}}"}
  - id: again
    depends_on: [use]
    steps:
      - {id: gate, type: external.process, inputs: {command: [test, -e, "%GATE%"]}}
      - id: count
        type: external.process
        inputs: {command: [wc, -c], stdin: "{{jobs.make.outputs.text}}", log: {stdout: capture}}
        outputs: {bytes: "{{result.stdout}}"}
"""


def outputs(folder: Path, job: str) -> dict[str, object]:
    connection = sqlite3.connect(folder / "state.sqlite")
    (text,) = connection.execute("SELECT outputs FROM job_state WHERE job_id = ?", (job,)).fetchone()
    connection.close()
    found: dict[str, object] = json.loads(text)
    return found


def test_a_large_output_is_a_file_that_later_steps_and_resumed_runs_see_whole(
    cli: CommandLine, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    cli.write("flow.yaml", FLOW.replace("%GATE%", str(gate)))
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1
    assert str(outputs(tmp_path, "use")["bytes"]).strip() == str(SIZE)
    assert outputs(tmp_path, "make")["text"].keys() == {"$file", "bytes"}  # type: ignore[attr-defined]  # a mapping
    assert sum(file.stat().st_size for file in tmp_path.glob("state.sqlite*")) < SIZE

    gate.touch()
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0
    assert str(outputs(tmp_path, "again")["bytes"]).strip() == str(SIZE)


def test_a_lost_file_is_named_and_rerun_heals(cli: CommandLine, tmp_path: Path) -> None:
    cli.write("flow.yaml", FLOW.replace("%GATE%", str(tmp_path / "gate")))
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1
    (file,) = (tmp_path / "state.logs" / "r" / "outputs").iterdir()
    file.unlink()
    (tmp_path / "gate").touch()
    lost = cli.run("run", "flow.yaml", "--run-id", "r")
    assert lost.code == 1
    assert "AF607" in lost.err
    assert str(file) in lost.err
    assert (
        "restore the file, or add --from make.big, which makes it again; then resume: aetherflow" in lost.err
    )
    assert cli.run("runs", "retry", "r", "--state", "state.sqlite", "--from", "make.big").code == 0
