"""A flow file of wrong shape is read as it was meant; what would only follow from a guess is not reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import InvalidInput
from aetherflow.spec.document import NodePath
from aetherflow.spec.load import FlowDocument, load_flow, read_flow

HEAD = "version: 1\nflow: {id: f}\n"
STEP = "{id: s, type: check_items, inputs: {items: [a]}}"


def read(tmp_path: Path, text: str) -> tuple[FlowDocument | None, list[str]]:
    path = tmp_path / "flow.yaml"
    path.write_text(text)
    loaded, found = read_flow(path)
    return loaded, [f"{d.line}:{d.column} {d.code}" for d in found]


def test_a_right_file_holds_no_guesses(tmp_path: Path) -> None:
    loaded, found = read(tmp_path, f"{HEAD}jobs:\n  - {{id: a, steps: [{STEP}]}}\n")
    assert loaded is not None
    assert (loaded.guesses, found) == (None, [])


def test_a_mistyped_key_is_taken_for_the_nearest_free_one(tmp_path: Path) -> None:
    text = f"{HEAD}jobs:\n  - {{id: a, depend_on: [b], steps: [{STEP}]}}\n  - {{id: b, step: [{STEP}]}}\n"
    loaded, found = read(tmp_path, text)
    assert loaded is not None
    assert loaded.guesses is not None
    assert loaded.spec.jobs[0].depends_on == ["b"]
    assert loaded.spec.jobs[1].steps[0].inputs == {"items": ["a"]}
    assert loaded.guesses.as_written(("jobs", 0, "depends_on", 0)) == ("jobs", 0, "depend_on", 0)
    assert loaded.guesses.as_written(("jobs", 1, "steps", 0, "id")) == ("jobs", 1, "step", 0, "id")
    assert found == ["4:13 AF111", "5:13 AF111"]


def test_what_is_below_a_mistyped_key_is_checked_too(tmp_path: Path) -> None:
    _, found = read(tmp_path, f"{HEAD}jobs:\n  - id: a\n    step: [{{id: .5, type: x}}]\n")
    assert found == ["5:5 AF111", "5:13 AF113"]


def test_a_key_that_is_like_none_and_values_of_wrong_kind_are_left_out(tmp_path: Path) -> None:
    text = f"{HEAD}zzz: 1\njobs:\n  - {{id: a, timeout_seconds: soon, depends_on: [[1]], steps: [{STEP}]}}\n"
    loaded, found = read(tmp_path, text)
    assert loaded is not None
    assert loaded.guesses is not None
    (job,) = loaded.spec.jobs
    assert (job.timeout_seconds, job.depends_on) == (None, [])
    assert loaded.guesses.covers(("jobs", 0, "depends_on", 0))
    assert not loaded.guesses.covers(("jobs", 0, "steps"))
    assert found == ["3:1 AF111", "5:13 AF116", "5:49 AF115"]


@pytest.mark.parametrize(
    ("text", "silent"),
    [
        (f"{HEAD}jobs:\n  - {{steps: [{STEP}]}}\n", ("AF131", ())),
        (f"version: 1\nflow: {{id: f, params: 5}}\njobs:\n  - {{id: a, steps: [{STEP}]}}\n", ("AF404", ())),
        (f"{HEAD}resources: 5\njobs:\n  - {{id: a, steps: [{STEP}]}}\n", ("AF550", ())),
        (
            f"{HEAD}jobs:\n  - {{id: a, steps: [{{id: s, type: check_items, outputs: 5}}]}}\n",
            ("AF407", ("jobs", 0)),
        ),
        (f"{HEAD}jobs:\n  - {{id: a}}\n", ("AF405", ("jobs", 0))),
    ],
    ids=["a job without id", "params", "resources", "outputs", "a job without steps"],
)
def test_what_might_only_follow_from_a_guess_is_not_reported(
    tmp_path: Path, text: str, silent: tuple[str, NodePath]
) -> None:
    loaded, found = read(tmp_path, text)
    assert loaded is not None
    assert loaded.guesses is not None
    assert silent in loaded.guesses.silent
    assert loaded.guesses.explains(silent[0], (*silent[1], "x"))
    assert len(found) == 1


def test_a_job_without_steps_hides_nothing_of_other_jobs(tmp_path: Path) -> None:
    loaded, _ = read(tmp_path, f"{HEAD}jobs:\n  - {{id: a, steps: []}}\n  - {{id: b, steps: [{STEP}]}}\n")
    assert loaded is not None
    assert loaded.guesses is not None
    assert not loaded.guesses.explains("AF131", ("jobs", 1, "depends_on", 0))
    assert not loaded.guesses.explains("AF406", ("jobs", 1, "when"))
    assert not loaded.guesses.explains("AF405", ("jobs", 1, "steps", 0, "inputs"))
    assert not loaded.guesses.explains("AF407", ("jobs", 1))
    assert loaded.guesses.explains("AF405", ("jobs", 0, "steps", 0, "inputs"))
    assert loaded.guesses.explains("AF407", ("jobs", 0))


@pytest.mark.parametrize("text", ["5\n", "[]\n", "a: b\n", "version: 2\n", "jobs: {a: 1}\n"])
def test_whatever_is_there_is_read_or_refused(tmp_path: Path, text: str) -> None:
    loaded, found = read(tmp_path, text)
    assert found
    assert loaded is None or loaded.guesses is not None


def test_who_wants_the_flow_itself_gets_no_guess(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(f"{HEAD}jobs:\n  - {{id: a, step: [{STEP}]}}\n")
    with pytest.raises(InvalidInput, match="AF111"):
        load_flow(path)
