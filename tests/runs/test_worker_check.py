"""Workers that differ from the process of the run, or lack what a step needs, are reported before a run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from aetherflow.errors import ConfigError
from aetherflow.runs.worker_check import facts_here, refuse_other_versions, refuse_unmet_needs
from aetherflow.sdk.executor import Needs, Place, WorkerFacts


def worker(name: str, **changes: object) -> WorkerFacts:
    return replace(facts_here(Place(name, f"host-of-{name}"), 2), **changes)


def test_workers_with_the_same_versions_are_taken() -> None:
    refuse_other_versions("dask", [worker("w1"), worker("w2")])


def test_workers_that_differ_are_named_with_what_differs() -> None:
    own = worker("w1")
    other = {"python": "3.7.1"}
    same, odd = worker("w2", **other), worker("w4", plugins={**own.plugins, "theirs": "2.0"})
    with pytest.raises(ConfigError) as raised:
        refuse_other_versions("dask", [own, same, worker("w3", **other), odd])
    assert raised.value.code == "AF826"
    assert raised.value.message == (
        "workers of the executor 'dask' differ from this process:\n"
        f"w2 (host-of-w2), w3 (host-of-w3): Python 3.7.1 instead of {own.python}\n"
        "w4 (host-of-w4): theirs 2.0 instead of (not installed)"
    )


def test_a_need_that_one_worker_meets_is_met() -> None:
    workers = [worker("w1"), worker("w2", labels=["gpu"], resources={"SFTP": 1})]
    refuse_unmet_needs("dask", workers, {"a.s": Needs({"SFTP": 1}, "gpu"), "a.t": Needs()})


@pytest.mark.parametrize(
    ("needs", "words", "options"),
    [
        (Needs({}, "gpu"), "runs_on: gpu", "--label gpu"),
        (Needs({"SFTP": 3}), "SFTP: 3", "--resource SFTP=3"),
        (Needs({"SFTP": 1}, "fast"), "runs_on: fast, SFTP: 1", "--label fast --resource SFTP=1"),
        (Needs({}, "big one"), "runs_on: big one", "--label 'big one'"),
    ],
)
def test_a_need_that_no_worker_meets_is_reported_with_what_there_is(
    needs: Needs, words: str, options: str
) -> None:
    workers = [worker("w1", labels=["fast"]), worker("w2", resources={"SFTP": 2})]
    with pytest.raises(ConfigError) as raised:
        refuse_unmet_needs("dask", workers, {"a.s": needs})
    assert raised.value.code == "AF827"
    assert raised.value.message == (f"no worker of the executor 'dask' offers what step a.s needs: {words}")
    assert raised.value.hint == (
        f"workers offer: the label fast, SFTP: 2; start one with {options}; "
        "those that a run starts offer what labels and resources of the executor say"
    )
