"""Before a run begins, each worker must see its folders; what it sees is written and read, both ways."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import anyio.to_thread
import msgspec
import pytest

from aetherflow.errors import ConfigError
from aetherflow.execution.shared_folders import LookAtFolders, check_shared_folders
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.executor import ExecutorAttempt, Place, Shipping, WorkerFacts
from aetherflow.worker.questions import answer_of_worker

pytestmark = pytest.mark.asyncio

Change = Callable[[LookAtFolders], LookAtFolders | None]


def same(question: LookAtFolders) -> LookAtFolders:
    return question


class Workers:
    """Implements `OpenExecutor`: workers on machines that may have other folders by the same paths."""

    slots = 8
    joins_within = 0.0
    ships: Shipping | None = None

    def __init__(self, **machines: Change) -> None:
        self._machines = machines

    async def run(self, attempt: ExecutorAttempt) -> None:
        raise AssertionError(attempt)

    async def find(self, keys: Collection[str]) -> frozenset[str]:
        raise AssertionError(keys)

    async def check(self) -> list[CheckResult]:
        return []

    async def workers(self) -> list[WorkerFacts]:
        return [WorkerFacts(Place(name, f"host of {name}"), 1) for name in self._machines]

    async def ask(self, question: bytes) -> dict[str, bytes]:
        answers = {}
        for name, change in self._machines.items():
            here = change(msgspec.json.decode(question, type=LookAtFolders))
            if here is not None:
                sent = msgspec.json.encode(here)
                limiter = anyio.CapacityLimiter(1)
                answers[name] = await anyio.to_thread.run_sync(answer_of_worker, sent, limiter=limiter)
        return answers


def on_disk_of(folder: Path, flow: Path | None = None) -> Change:
    def change(question: LookAtFolders) -> LookAtFolders:
        flow_file = bytes(flow) if flow else question.flow_file
        return msgspec.structs.replace(question, folder=bytes(folder), flow_file=flow_file)

    return change


async def check(workers: Workers, root: Path) -> str:
    """Check the folders; return what is wrong."""
    with pytest.raises(ConfigError) as raised:
        await check_shared_folders("dask", workers, root / "work", str(root / "flow.yaml"), "private")
    assert raised.value.code == "AF844"
    assert "artifacts: ship" in raised.value.hint
    assert names_in(root / "work") == []
    return raised.value.message


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "flow.yaml").write_text("flow")
    return tmp_path


async def test_workers_that_see_the_folders_pass(root: Path) -> None:
    workers = Workers(a=same, b=same)
    await check_shared_folders("dask", workers, root / "work", str(root / "flow.yaml"), "private")
    assert names_in(root / "work") == []


async def test_a_worker_without_the_folder_is_named(root: Path) -> None:
    found = await check(Workers(a=same, b=on_disk_of(root / "nowhere")), root)
    assert found.splitlines()[1:] == [f"b (host of b): {root / 'nowhere'}: No such file or directory"]


async def test_a_folder_of_the_same_name_on_another_machine_does_not_pass(root: Path) -> None:
    other = root / "other"
    other.mkdir()

    def copied(question: LookAtFolders) -> LookAtFolders:
        """Return the question to a machine whose folder is a copy: what is written there stays there."""
        (other / question.file).write_text(question.token)
        return msgspec.structs.replace(question, folder=bytes(other))

    def differs(question: LookAtFolders) -> LookAtFolders:
        (other / question.file).write_text("another token")
        return msgspec.structs.replace(question, folder=bytes(other))

    found = await check(Workers(a=copied), root)
    assert found.splitlines()[1:] == [
        f"a (host of a): {root / 'work'}: what it writes there cannot be read here: No such file or directory"
    ]
    found = await check(Workers(a=differs), root)
    assert found.splitlines()[1:] == [f"a (host of a): {other}: another file is there than the engine wrote"]


async def test_another_flow_file_is_named(root: Path) -> None:
    (root / "other.yaml").write_text("an older flow")
    found = await check(Workers(a=on_disk_of(root / "work", root / "other.yaml")), root)
    assert found.splitlines()[1:] == [f"a (host of a): {root / 'other.yaml'}: it is another file there"]


async def test_a_worker_that_does_not_answer_is_named(root: Path) -> None:
    found = await check(Workers(a=same, **{f"w{n}": lambda _: None for n in range(7)}), root)
    assert found.splitlines()[1] == "w0 (host of w0): no answer"
    assert found.splitlines()[-1] == "and 2 more workers"
