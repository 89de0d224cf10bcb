"""Look at the workers of an executor for `doctor --executor`: what they offer, and what differs from here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import anyio
import msgspec
from msgspec.structs import replace

from aetherflow.errors import AetherFlowError
from aetherflow.event_loop import run_loop
from aetherflow.execution.clocks import CLOCK_SECONDS, SayTime, Time
from aetherflow.execution.shared_folders import check_shared_folders
from aetherflow.file_access import FileAccess
from aetherflow.runs.chosen_executors import ExecutorChoice
from aetherflow.runs.worker_check import differences, facts_here
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.executor import OpenExecutor, Place, WorkerFacts

OPEN_SECONDS = 300.0
"""How long the executor may take to open; its own time limit is usually shorter."""

ASK_SECONDS = 60.0

SETTLE_SECONDS = 1.5
"""When no worker has joined for so long, those that are there are looked at: the first opens the cluster."""

MOST_SETTLE_SECONDS = 30.0


class Folders(msgspec.Struct, frozen=True):
    """What all workers must see, unless files are sent to them.

    Attributes:
        work_root: the root of the workspace.
        flow_file: the file of a flow; empty: there is none.
        access: who may read what is written for the check.
    """

    work_root: Path
    flow_file: str
    access: FileAccess


def check_executor(
    choice: ExecutorChoice, folders: Folders, log: Callable[[str, str], None]
) -> list[CheckResult]:
    """Connect to the workers of an executor, or start them if its options say so, and look at them."""
    return run_loop(_check, choice, folders, log)


async def _check(
    choice: ExecutorChoice, folders: Folders, log: Callable[[str, str], None]
) -> list[CheckResult]:
    subject = f"executor {choice.name}"
    try:
        with anyio.fail_after(OPEN_SECONDS):
            async with choice.executor.open(choice.options, log) as executor:
                return await _look(subject, choice.name, executor, folders)
    except TimeoutError:
        return [CheckResult(subject, "error", f"it did not open, or answer, within {OPEN_SECONDS:g} s")]
    except AetherFlowError as error:
        return [CheckResult(subject, "error", f"[{error.code}] {error.message}", error.hint)]


async def _look(subject: str, name: str, executor: OpenExecutor, folders: Folders) -> list[CheckResult]:
    workers = sorted(await _settled(executor), key=lambda one: one.place.worker)
    results = [CheckResult(subject, "ok" if workers else "error", _summary(workers))]
    own = facts_here(Place("engine", ""))
    for facts in workers:
        results.append(_offer(facts))
        results += [
            CheckResult(
                f"worker {facts.place.worker}",
                "error",
                difference,
                "install the same versions there, and start the worker again",
            )
            for difference in differences(facts, own)
        ]
    results += [replace(one, subject=f"{subject}: {one.subject}") for one in await executor.check()]
    results += await _clocks(executor)
    return [*results, await _shared(subject, name, executor, folders)]


async def _settled(executor: OpenExecutor) -> list[WorkerFacts]:
    """Return the workers when no more of them join."""
    workers = await executor.workers()
    with anyio.move_on_after(MOST_SETTLE_SECONDS):
        while True:
            await anyio.sleep(SETTLE_SECONDS)
            before, workers = workers, await executor.workers()
            if len(before) == len(workers):
                break
    return workers


def _summary(workers: Sequence[WorkerFacts]) -> str:
    if not workers:
        return "it has no workers"
    hosts, slots = {one.place.host for one in workers}, sum(one.threads for one in workers)
    numbers = ((len(workers), "worker"), (len(hosts), "host"), (slots, "step"))
    several, where, at_once = (f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers)
    return f"{several} on {where}; {at_once} at once"


def _offer(facts: WorkerFacts) -> CheckResult:
    offers = [*(f"label {label}" for label in facts.labels), *_amounts(facts.resources)]
    steps = "1 step" if facts.threads == 1 else f"{facts.threads} steps"
    message = (
        f"process {facts.place.process_id} on {facts.place.host}; {steps} at once; "
        f"{', '.join(offers) or 'no labels or resources'}; "
        f"AetherFlow {facts.aetherflow}, Python {facts.python}"
    )
    return CheckResult(f"worker {facts.place.worker}", "ok", message)


def _amounts(amounts: Mapping[str, float]) -> Iterable[str]:
    return (f"{name}: {amount:g}" for name, amount in sorted(amounts.items()))


async def _clocks(executor: OpenExecutor) -> list[CheckResult]:
    """Compare the clocks of the workers with ours, as far as the time of their answers allows."""
    before = time.time()
    answers: dict[str, bytes] = {}
    with anyio.move_on_after(ASK_SECONDS):
        answers = await executor.ask(msgspec.json.encode(SayTime()))
    after = time.time()
    results = []
    for worker, answer in sorted(answers.items()):
        theirs = msgspec.json.decode(answer, type=Time).seconds
        off = theirs - after if theirs > after else theirs - before if theirs < before else 0.0
        if abs(off) > CLOCK_SECONDS:
            message = f"its clock differs by {off:+.0f} s from this one"
            results.append(
                CheckResult(f"worker {worker}", "warning", message, "let both keep their time by NTP")
            )
    return results


async def _shared(subject: str, name: str, executor: OpenExecutor, folders: Folders) -> CheckResult:
    where = f"{subject}: files"
    if (ships := executor.ships) is not None:
        size = f"{ships.bytes / 2**20:g} MiB"
        return CheckResult(where, "ok", f"they are sent to workers and back, at most {size} for an attempt")
    try:
        await check_shared_folders(name, executor, folders.work_root, folders.flow_file, folders.access)
    except AetherFlowError as error:
        return CheckResult(where, "error", f"[{error.code}] {error.message}", error.hint)
    return CheckResult(where, "ok", f"all workers see {folders.work_root}, and write there")
