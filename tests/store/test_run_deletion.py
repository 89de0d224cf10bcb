from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.admin.prune_runs import prune
from aetherflow.errors import HeldByAnother, UsageError
from aetherflow.events import run_events as e
from aetherflow.store import lease as leases
from aetherflow.store import run_deletion as rows
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal, LeaseLost
from aetherflow.store.lease import Lease
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run, release_run
from tests.store.clock_double import FakeClock
from tests.store.real_parts import ELSEWHERE, T0, children, opened, query

PRUNER = """
import asyncio, os, sys
from pathlib import Path
from aetherflow.admin import prune_runs
from aetherflow.store import run_deletion as rows

calls = 0

def counted(name):
    work = getattr(rows, name)
    def call(*given, **named):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os._exit(9)
        return work(*given, **named)
    setattr(rows, name, call)

for name in ("hide", "delete_rows", "free_run_ids"):
    counted(name)
print("ready", flush=True)
asyncio.run(prune_runs.prune(Path(sys.argv[1]), keep_days=None, keep_runs=0))
print("pruned", flush=True)
"""


class QuickClock(FakeClock):
    """A clock that stands still and waits for nobody."""

    async def sleep(self, seconds: float) -> None:
        """Only yield."""
        assert seconds >= 0
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def clock() -> QuickClock:
    clock = QuickClock()
    clock.advance(timedelta(days=100).total_seconds())
    return clock


async def play(
    database: Database,
    run_id: str,
    *,
    day: float = 0,
    flow_id: str = "flow",
    jobs: int = 2,
    ends: bool = True,
) -> Lease:
    """Let a run happen on a day after T0; with `ends` false its process dies in it, on another host."""
    clock = QuickClock()
    clock.advance(timedelta(days=day).total_seconds())
    claim = await claim_run(database, run_id, ELSEWHERE, clock)
    common: dict[str, Any] = {"at": clock.now(), "flow_id": flow_id, "run_id": run_id}
    began: list[e.Event] = [e.RunStarted(**common, flow_file="flow.yaml", owner="me")]
    for number in range(jobs):
        job: dict[str, Any] = common | {"job_id": f"j{number}"}
        step: dict[str, Any] = job | {"step_id": "s", "step_type": "check_items", "attempt": 1}
        began += [e.JobStarted(**job), e.StepStarted(**step)]
        began += [e.StepFinished(**step, status="SUCCESS", duration_seconds=0)]
        began += [e.JobFinished(**job, status="SUCCESS")]
    if ends:
        began += [e.RunFinished(**common, status="SUCCESS", duration_seconds=1)]
    await Journal(database).of_run(claim.lease, claim.next_seq).commit(began)
    if ends:
        await release_run(database, claim.lease, clock)
    logs = database.path.with_name(f"{database.path.stem}.logs") / run_id / "j0"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "s.1.log").write_text("said")
    return claim.lease


def runs(path: Path) -> list[str]:
    """Return the ids of the runs that are there."""
    return [run_id for (run_id,) in query(path, "SELECT run_id FROM runs ORDER BY run_id")]


def traces(path: Path, run_id: str) -> list[int]:
    """Return how much is left of a run: rows of each table, the lease, the logs."""
    tables = ("events", "run_state", "job_state", "step_state")
    counts = [query(path, f"SELECT count(*) FROM {name} WHERE run_id = ?", run_id)[0][0] for name in tables]
    counts += [query(path, "SELECT count(*) FROM leases WHERE name = ?", f"run:{run_id}")[0][0]]
    return [*counts, int((path.with_name(f"{path.stem}.logs") / run_id).exists())]


@pytest.mark.asyncio
async def test_nothing_is_left_of_a_deleted_run_and_nothing_is_missing_of_another(
    path: Path, clock: QuickClock
) -> None:
    async with opened(path) as database:
        await play(database, "old", day=1)
        await play(database, "new", day=99)
    kept = traces(path, "new")

    done = await prune(path, keep_days=30, keep_runs=None, clock=clock)

    assert [(run.run_id, run.flow_id, run.status) for run in done.runs] == [("old", "flow", "SUCCESS")]
    assert traces(path, "old") == [0] * 6
    assert traces(path, "new") == kept == [10, 1, 2, 2, 1, 1]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("keep_days", "keep_runs", "expected"),
    [
        (30, None, ["a90", "b95"]),
        (None, 1, ["a90", "b95"]),
        (None, 2, ["a20", "a90", "b20", "b95"]),
        (85, 1, ["a20", "a90", "b20", "b95"]),
        (1, 2, ["a20", "a90", "b20", "b95"]),
        (0, None, []),
        (None, 0, []),
        (100, None, ["a10", "a20", "a90", "b20", "b95"]),
    ],
)
@pytest.mark.asyncio
async def test_a_run_goes_when_no_rule_keeps_it(
    path: Path, clock: QuickClock, keep_days: int | None, keep_runs: int | None, expected: Sequence[str]
) -> None:
    async with opened(path) as database:
        for name in ("a10", "a20", "b20", "a90", "b95"):
            await play(database, name, day=int(name[1:]), flow_id=name[0])

    done = await prune(path, keep_days=keep_days, keep_runs=keep_runs, clock=clock)

    assert runs(path) == expected
    assert len(done.runs) == 5 - len(expected)


@pytest.mark.asyncio
async def test_a_dry_run_shows_the_same_and_deletes_nothing(path: Path, clock: QuickClock) -> None:
    async with opened(path) as database:
        await play(database, "old", day=1)
        await play(database, "new", day=99)

    reported = await prune(path, keep_days=30, keep_runs=None, dry_run=True, clock=clock)

    assert runs(path) == ["new", "old"]
    assert traces(path, "old") == [10, 1, 2, 2, 1, 1]
    assert (await prune(path, keep_days=30, keep_runs=None, clock=clock)).runs == reported.runs


@pytest.mark.asyncio
async def test_an_interrupted_run_goes_by_age_only(path: Path, clock: QuickClock) -> None:
    async with opened(path) as database:
        await play(database, "broken", day=50, ends=False)

    assert (await prune(path, keep_days=None, keep_runs=0, clock=clock)).runs == []
    assert (await prune(path, keep_days=51, keep_runs=0, clock=clock)).runs == []
    (gone,) = (await prune(path, keep_days=49, keep_runs=5, clock=clock)).runs

    assert (gone.run_id, gone.status) == ("broken", "INTERRUPTED")
    assert traces(path, "broken") == [0, 0, 0, 0, 1, 0]


@pytest.mark.asyncio
async def test_a_running_run_stays(path: Path, clock: QuickClock) -> None:
    async with opened(path) as database:
        claim = await claim_run(database, "live", this_process(), clock)
        event = e.RunStarted(at=T0, flow_id="flow", run_id="live", flow_file="flow.yaml", owner="me")
        await Journal(database).of_run(claim.lease, claim.next_seq).commit([event])
        far = clock.now().replace(year=2999)
        assert await database.transact(lambda raw: leases.renew(raw, claim.lease, far))

    assert (await prune(path, keep_days=0, keep_runs=0, clock=clock)).runs == []

    assert runs(path) == ["live"]


@pytest.mark.asyncio
async def test_an_ended_run_that_somebody_has_just_taken_up_stays(path: Path, clock: QuickClock) -> None:
    async with opened(path) as database:
        await play(database, "again", day=1)
        await claim_run(database, "again", this_process(), clock)  # it is resumed; nothing is written yet

    assert (await prune(path, keep_days=30, keep_runs=None, clock=clock)).runs == []

    assert traces(path, "again") == [10, 1, 2, 2, 1, 1]


@pytest.mark.asyncio
async def test_a_run_that_was_resumed_since_it_was_looked_at_is_not_buried(
    path: Path, clock: QuickClock
) -> None:
    async with opened(path) as database:
        await play(database, "again", day=1)
        old = await database.read(lambda raw: rows.old_runs(raw, before=clock.now(), keep=None))
        await database.transact(lambda raw: raw.execute("UPDATE run_state SET attempt = 2"))

        buried = await database.transact(lambda raw: rows.hide(raw, old, this_process(), clock.now()))

    assert buried == []
    assert runs(path) == ["again"]


@pytest.mark.asyncio
async def test_a_paused_process_cannot_write_into_a_new_run_of_a_pruned_id(
    path: Path, clock: QuickClock
) -> None:
    async with opened(path) as database:
        paused = await play(database, "r", day=1, ends=False)
        await prune(path, keep_days=30, keep_runs=None, clock=clock)
        await claim_run(database, "r", this_process(), clock)
        event = e.JobStarted(at=T0, flow_id="flow", run_id="r", job_id="j")

        with pytest.raises(LeaseLost):
            await Journal(database).of_run(paused, 99).commit([event])

    assert query(path, "SELECT count(*) FROM events") == [(0,)]


@pytest.mark.asyncio
async def test_a_long_history_goes_in_small_transactions(
    path: Path, clock: QuickClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    work = rows.delete_rows

    def counted(raw: Any, run_ids: Sequence[str]) -> int:
        sizes.append(work(raw, run_ids))
        return sizes[-1]

    monkeypatch.setattr(rows, "delete_rows", counted)
    async with opened(path) as database:
        await play(database, "long", day=1, jobs=400)
        for number in range(5):
            await play(database, f"short{number}", day=2)

    done = await prune(path, keep_days=30, keep_runs=None, clock=clock)

    assert len(done.runs) == 6
    assert done.free_bytes > 100_000
    total = (1602 + 800) + 5 * (10 + 4)
    assert (sum(sizes), max(sizes)) == (total, rows.BATCH_ROWS)
    assert query(path, "SELECT count(*) FROM events") == [(0,)]


@pytest.mark.asyncio
async def test_a_killed_prune_leaves_no_half_run_and_the_next_one_finishes_it(
    path: Path, clock: QuickClock
) -> None:
    for kill_at in range(1, 30):
        async with opened(path) as database:
            await play(database, "long", day=1, jobs=200)
        with children(1, PRUNER, str(path), str(kill_at)) as (child,):
            ended = child.hear() == "pruned"
        left = query(path, "SELECT count(*) FROM events WHERE run_id = 'long'")[0][0]
        assert left in (0, 802) or runs(path) == [], kill_at
        if left < 802 and not ended:
            async with opened(path) as database:
                with pytest.raises(HeldByAnother):
                    await claim_run(database, "long", this_process(), clock)

        await prune(path, keep_days=None, keep_runs=0)

        assert traces(path, "long") == [0] * 6, kill_at
        if ended:
            assert kill_at > 4
            return
    raise AssertionError("it never came to a clean end")


@pytest.mark.asyncio
async def test_of_two_prunes_the_second_learns_who_is_at_it(path: Path, clock: QuickClock) -> None:
    async with opened(path) as database:
        await database.transact(
            lambda raw: leases.acquire(raw, "prune", ELSEWHERE, "x", now=clock.now(), ttl_seconds=60)
        )

    with pytest.raises(HeldByAnother, match="is being pruned by process 4711 on another-host"):
        await prune(path, keep_days=0, keep_runs=None, clock=clock)


@pytest.mark.asyncio
async def test_a_prune_without_a_rule_is_refused(path: Path, clock: QuickClock) -> None:
    with pytest.raises(UsageError, match="--keep-days N, --keep-runs N"):
        await prune(path, keep_days=None, keep_runs=None, clock=clock)

    assert not path.parent.exists()


@pytest.mark.asyncio
async def test_any_mix_of_runs_is_pruned_as_a_plain_reading_of_the_rules_says(
    path: Path, clock: QuickClock
) -> None:
    chance = random.Random(20260131)  # noqa: S311 - repeatable, keeps no secret
    days = chance.sample(range(100), 30)
    made = [
        (f"r{number}", day, chance.choice("abc"), chance.random() < 0.8) for number, day in enumerate(days)
    ]
    async with opened(path) as database:
        for run_id, day, flow_id, ends in made:
            await play(database, run_id, day=day + 0.5, flow_id=flow_id, ends=ends, jobs=1)
    expected = set()
    for run_id, day, flow_id, ends in made:
        newer = sum(f == flow_id and o > day and n for _, o, f, n in made)
        if day >= 60 or (ends and newer < 2):
            expected.add(run_id)

    await prune(path, keep_days=40, keep_runs=2, clock=clock)

    assert set(runs(path)) == expected
    assert 0 < len(expected) < 30
