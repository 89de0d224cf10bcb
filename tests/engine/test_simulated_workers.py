"""The real executor gives its steps to simulated workers: some die, and the engine dies and comes back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from aetherflow.engine.state import fold
from aetherflow.errors import StateError
from aetherflow.events import run_events as e
from tests.engine.scripted_machine import encoded
from tests.engine.simulation import World
from tests.engine.test_simulator import FAULTS, carry_through, named, random_plan
from tests.sizes import LARGE

SEEDS = 3000 if LARGE else 100

pytestmark = pytest.mark.torture


def world_of(seed: int) -> World:
    """Return a world whose steps run on workers, of which some die."""
    chance = Random(seed)  # noqa: S311 - reproducible
    return World(random_plan(chance), seed, limit=chance.randint(1, 4), losses=chance.choice([0, 0.1, 0.4]))


def check_keys(world: World) -> None:
    """Check that no attempt was begun twice, and that its end was taken by at most one execution."""
    assert world.workers is not None
    assert set(world.workers.begun.values()) <= {1}
    ends = [one for one in world.disk.stored if isinstance(one, e.StepFinished | e.StepRetrying)]
    starts = [one for one in world.disk.stored if isinstance(one, e.StepStarted)]
    assert len(world.workers.begun) <= len(starts)
    assert len([one for one in ends if isinstance(one, e.StepRetrying)]) <= len(starts)


@pytest.mark.asyncio
async def test_workers_die_and_every_run_ends_the_same_way_twice(
    record_property: Callable[[str, object], None],
) -> None:
    lost = refused = 0
    for seed in range(SEEDS):
        with named(seed):
            worlds = []
            for _ in range(2):
                world = world_of(seed)
                state = await world.execute(cancel_at=seed % 7 if seed % 3 == 0 else None)
                assert state.phase in ("SUCCESS", "FAILED", "CANCELLED")
                assert fold(world.disk.stored) == state
                check_keys(world)
                worlds.append(world)
            assert worlds[0].trace == worlds[1].trace
            assert encoded(worlds[0].disk.stored) == encoded(worlds[1].disk.stored)
            assert worlds[0].workers is not None
            lost += worlds[0].workers.lost
            stored = [one for one in worlds[0].disk.stored if isinstance(one, e.ResultRefused)]
            assert len(stored) <= worlds[0].workers.refused
            refused += len(stored)
    assert lost > SEEDS / 10
    assert refused > SEEDS / 10
    record_property(
        "torture",
        f"simulated workers: {SEEDS} runs twice, {lost} attempts lost, none begun twice, "
        f"{refused} late results recorded as refused",
    )


@pytest.mark.asyncio
async def test_the_engine_dies_and_the_attempts_that_workers_have_go_on(
    record_property: Callable[[str, object], None],
) -> None:
    joined = 0
    for seed in range(SEEDS):
        with named(seed):
            chance = Random(seed)  # noqa: S311 - reproducible
            rehearsal = world_of(seed)
            await rehearsal.execute()
            world = world_of(seed)
            fail_at, fault = chance.randint(1, rehearsal.disk.appends), chance.choice(FAULTS)
            with pytest.raises(StateError, match="the disk is full"):
                await world.execute(fail_at=fail_at, fault=fault)
            await carry_through(world)
            check_keys(world)
            assert world.workers is not None
            joined += world.workers.joined
    assert joined > SEEDS / 10
    record_property("torture", f"simulated workers: {SEEDS} engines died, {joined} attempts went on")
