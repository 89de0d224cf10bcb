"""The machine's own clock keeps what the protocol promises."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from aetherflow.clock import Clock, SystemClock


def test_the_system_clock_is_a_clock_and_its_time_is_aware_and_does_not_go_back() -> None:
    clock: Clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    looks = [clock.monotonic() for _ in range(100)]
    assert looks == sorted(looks)


def test_ids_are_twelve_hex_digits_and_differ() -> None:
    ids = {SystemClock().new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 12 and set(one) <= set("0123456789abcdef") for one in ids)


def test_chance_is_at_least_zero_and_less_than_one_and_spread() -> None:
    drawn = [SystemClock().random() for _ in range(2000)]
    assert all(0 <= number < 1 for number in drawn)
    assert 0.4 < sum(drawn) / len(drawn) < 0.6


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", [0, -5])
async def test_a_sleep_of_nothing_lets_others_work(seconds: float) -> None:
    order: list[str] = []

    async def sleeper() -> None:
        await SystemClock().sleep(seconds)
        order.append("slept")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleeper)
        await anyio.lowlevel.checkpoint()
        order.append("other")
    assert sorted(order) == ["other", "slept"]


@pytest.mark.asyncio
async def test_a_sleep_takes_its_time_and_can_be_cancelled() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.02)
    assert clock.monotonic() - before >= 0.019
    with anyio.move_on_after(0.02) as scope:
        await clock.sleep(3600)
    assert scope.cancelled_caught
