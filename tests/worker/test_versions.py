"""What differs between a worker and the engine is told; nothing runs in another version."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.registry import Registry
from aetherflow.runs.worker_check import differences
from aetherflow.sdk.executor import WorkerFacts
from aetherflow.worker import facts
from aetherflow.worker.facts import worker_facts
from tests.worker.engine_double import PLACE, call_of, on_worker
from tests.worker.test_attempt import say


def test_a_step_type_of_another_version_does_not_run(tmp_path: Path) -> None:
    engine, attempt = on_worker(call_of(tmp_path, "say", {"n": 3}, version="say 2"), say)
    attempt.run()
    error = engine.answer.error
    assert error is not None
    assert error.code == "AF806"
    assert error.message == (
        "the step type say has version say 1, but say 2 in the engine (on worker w1 of host host1)"
    )


def test_a_step_that_follows_another_one_has_its_version(tmp_path: Path) -> None:
    call = call_of(
        tmp_path, "file_download_files.after", {}, version=Registry().step_version("file_list_files")
    )
    engine, attempt = on_worker(call)
    attempt.run()
    assert engine.answer.error is not None
    assert "do not fit" in engine.answer.error.message


def test_a_worker_that_runs_has_the_versions_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    before = worker_facts(PLACE, 1)
    monkeypatch.setattr(facts, "facts_here", lambda place: WorkerFacts(place, 1, plugins={"new": "2"}))
    assert worker_facts(PLACE, 1) == before


def test_this_process_differs_in_nothing_from_itself() -> None:
    found = worker_facts(PLACE, 2, resources={"SFTP": 1}, labels=["fast"])
    assert list(differences(found, worker_facts(PLACE, 9))) == []
    assert (found.threads, found.resources, found.labels) == (2, {"SFTP": 1}, ["fast"])


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (("3.11.7", "0.1.0", {}), []),
        (("3.11.9", "0.1.4", {}), []),
        (("3.12.1", "0.1.0", {}), ["Python 3.12.1 instead of 3.11.7"]),
        (("3.11.7", "0.2.0", {}), ["AetherFlow 0.2.0 instead of 0.1.0"]),
        (("3.11.7", "0.1.0.dev1", {}), ["AetherFlow 0.1.0.dev1 instead of 0.1.0"]),
        (("3.11.7", "0.1.0", {"p": "1"}), ["p 1 instead of (not installed)"]),
    ],
)
def test_the_versions_that_matter_are_compared(
    theirs: tuple[str, str, dict[str, str]], expected: list[str]
) -> None:
    own = WorkerFacts(PLACE, 1, "3.11.7", "0.1.0")
    python, aetherflow, plugins = theirs
    assert list(differences(WorkerFacts(PLACE, 1, python, aetherflow, plugins), own)) == expected
