"""Files that one job writes and others read: each is found once, however long the flow is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.check import shared_files
from aetherflow.plan.plan import Plan, upstream
from aetherflow.runs.load_flow import load_checked_flow

JOBS = 40
WRITER = (
    "- {id: w, steps: [{id: s, type: external.process, "
    'inputs: {command: ["true"], success: {require_files: [/srv/x.txt]}}}]}\n'
)


def reader(name: str, waits_for: str) -> str:
    """Return a job that reads the file."""
    waits = f"depends_on: [{waits_for}], " if waits_for else ""
    return (
        f"- {{id: {name}, {waits}steps: "
        "[{id: s, type: external.process, inputs: {command: [cat, /srv/x.txt]}}]}\n"
    )


def found(folder: Path, jobs: str) -> list[str]:
    """Return the jobs that are warned about."""
    path = folder / "flow.yaml"
    path.write_text(f"version: 1\nflow: {{id: f}}\njobs:\n{jobs}")
    diagnostics = load_checked_flow(path, {}).diagnostics
    return [one.message.split("'")[-2] for one in diagnostics if one.code == "AF439"]


def test_the_order_of_a_file_and_its_readers_is_worked_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def counted(plan: Plan, names: list[str]) -> set[int]:
        asked.append(names)
        return upstream(plan, names)

    monkeypatch.setattr(shared_files, "upstream", counted)
    chain = "".join(reader(f"j{n}", f"j{n - 1}" if n else "w") for n in range(JOBS))

    assert found(tmp_path, WRITER + chain) == []
    assert asked == [["w"]]


def test_a_reader_before_its_writer_and_one_behind_it_are_fine_and_one_beside_it_is_not(
    tmp_path: Path,
) -> None:
    jobs = reader("early", "") + WRITER.replace("id: w,", "id: w, depends_on: [early],")
    jobs += reader("late", "w") + reader("beside", "") + reader("beside_too", "early")

    assert found(tmp_path, jobs) == ["beside", "beside_too"]
